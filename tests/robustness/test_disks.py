"""Disks that are full or read-only, and folders that go away: one line with the mend, and going on afterwards."""

import subprocess
import time

import pytest
from killing import CASES

COMMANDS = tuple(CASES)
FOLDERS = [name for name in COMMANDS if not name.endswith(("eval", "score"))]
ROOM = {"fusion apply": 64, "data degrade": 64, "data synth": 64, "bench run": 96, "fusion train": 512}  # KiB


def error_of(run) -> str:
    """The error line of a command that failed with exit code 1."""
    assert run.end() == 1, run.said
    assert "Traceback" not in run.said
    errors = [line for line in run.said.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, run.said
    return errors[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(killing, material, mounted, tmp_path, name):
    expected, _, _ = material.reference(name)
    disk = mounted(f"size={ROOM.get(name, 4)}k")
    run = killing.Run(material.command(name), disk, tmp_path / "said.txt")
    error = error_of(run)
    assert "space" in error
    assert "out" in error
    killing.check_whole(disk / "out", run.process.pid)
    subprocess.run(["mount", "-o", "remount,size=2g", disk], check=True)
    again = killing.Run(material.command(name), disk, tmp_path / "said.txt")
    assert again.end() == 0, again.said
    killing.assert_same(killing.outcome(disk / "out"), expected, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_read_only_output_is_told(killing, material, mounted, tmp_path, name):
    disk = mounted("size=1m")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    error = error_of(killing.Run(material.command(name), disk, tmp_path / "said.txt"))
    assert "out" in error
    assert "read-only; choose another output" in error


@pytest.mark.parametrize("name", ["fusion apply", "fusion score", "segmentation eval", "data synth"])
def test_a_file_in_place_of_the_output_folder_is_told(killing, material, tmp_path, name):
    (tmp_path / "out").write_text("mine")
    run = killing.Run(material.command(name), tmp_path)
    assert run.end() in (1, 2), run.said
    errors = [line for line in run.said.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, run.said
    assert "out" in errors[0]
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_is_removed_underneath_is_told_and_made_anew(killing, material, tmp_path, name):
    expected, _, _ = material.reference(name)
    # By then the lock is held: a folder that goes before is made anew.
    sign = {"bench run": "out/fused/scenes", "fusion apply": "out/images", "data degrade": "out/Vis",
            "data import": "out/visible", "data synth": "out/train"}.get(name, "out")  # fmt: skip
    for attempt in range(10):
        run = killing.Run(material.command(name), tmp_path)
        begun = tmp_path / sign / "log.csv" if "train" in name else tmp_path / sign
        while not begun.exists() and run.process.is_alive():
            time.sleep(0.001)
        (tmp_path / "out").rename(tmp_path / f"gone{attempt}")
        if run.end() != 0:  # else it had finished before its folder went
            break
    error = error_of(run)
    assert "removed" in error
    assert "out" in error
    assert not (tmp_path / "out").exists()
    again = killing.Run(material.command(name), tmp_path)
    assert again.end() == 0, again.said
    killing.assert_same(killing.outcome(tmp_path / "out"), expected, name)


@pytest.mark.slow
def test_a_limit_on_the_size_of_files_is_told(killing, material, tmp_path):
    name = "fusion train"
    expected, _, _ = material.reference(name)
    run = killing.Run(material.command(name), tmp_path, largest=1 << 20)
    assert "larger than the system allows" in error_of(run)
    again = killing.Run(material.command(name), tmp_path)
    assert again.end() == 0, again.said
    killing.assert_same(killing.outcome(tmp_path / "out"), expected, name)
