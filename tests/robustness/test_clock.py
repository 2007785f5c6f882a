"""Clocks that jump: nothing depends on the order of wall-clock times."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from fuse2task.data.degradation.writing import degrade_dataset
from fuse2task.data.loading import load_dataset
from fusion.dataset_writer import write_fused
from fusion.methods import make_method
from fusion.methods.base import Arithmetic, average
from fusion.quality import scorer

YEARS = 3.2e7 * 20


def tree(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def shift_times(root: Path, seconds: float) -> None:
    """Set every second file's times into the future, the others' into the past."""
    for number, path in enumerate(sorted(root.rglob("*"))):
        when = time.time() + (seconds if number % 2 else -seconds)
        os.utime(path, (when, when))


class Stops(Arithmetic):
    """Average that is interrupted at its third pair."""

    def __init__(self):
        super().__init__("average", average)
        self.left = 2

    def fuse(self, pair, infrared, visible):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().fuse(pair, infrared, visible)


@pytest.fixture
def jumping(monkeypatch):
    """A wall clock that goes back by an hour at every look."""
    now = [time.time()]

    def look() -> float:
        now[0] -= 3600
        return now[0]

    return lambda: monkeypatch.setattr(time, "time", look)


@pytest.mark.parametrize("seconds", [YEARS, -YEARS])
def test_a_dataset_goes_on_whatever_its_files_times_say(folder_dataset, tmp_path, jumping, seconds):
    root, out = folder_dataset(5, boxes=True), tmp_path / "out"

    def dataset():
        return load_dataset(root, "folder", boxes=root / "boxes")

    write_fused(dataset(), make_method("average"), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        write_fused(dataset(), Stops(), out)
    for folder in (root, out):
        shift_times(folder, seconds)
    jumping()
    redone = Stops()
    redone.left = 3  # two pairs are taken over
    assert write_fused(dataset(), redone, out)
    assert redone.left == 0
    assert tree(out) == tree(tmp_path / "whole")


@pytest.mark.parametrize("seconds", [YEARS, -YEARS])
def test_a_changed_source_is_seen_by_its_content(folder_dataset, tmp_path, jumping, seconds):
    root, out = folder_dataset(3), tmp_path / "out"
    first = degrade_dataset(root, "folder", "noise", 2, out)
    before, times = tree(first.root), {path: path.stat() for path in root.rglob("*.png")}
    jumping()
    shift_times(out, seconds)
    degrade_dataset(root, "folder", "noise", 2, out)
    assert tree(out) == before
    (root / "vi" / "p1.png").write_bytes((root / "vi" / "p0.png").read_bytes())
    for path, stat in times.items():
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    degrade_dataset(root, "folder", "noise", 2, out)
    assert tree(out)["vi/p1.png"] != before["vi/p1.png"]
    assert tree(out)["vi/p2.png"] == before["vi/p2.png"]


def test_scores_go_on_whatever_times_say(folder_dataset, tmp_path, jumping, monkeypatch):
    root = folder_dataset(4)
    pairs = load_dataset(root, "folder").pairs
    whole, out, fused = tmp_path / "whole.csv", tmp_path / "out.csv", {"vi": root / "vi"}
    scorer.score_folders(pairs, fused, "standard", whole, ["EN", "MI"], "cpu")
    with monkeypatch.context() as patch:
        patch.setattr(scorer.files, "write_text", None)
        with pytest.raises(TypeError):
            scorer.score_folders(pairs, fused, "standard", out, ["EN", "MI"], "cpu")
    shift_times(root, YEARS)
    jumping()
    with monkeypatch.context() as patch:
        patch.setattr(scorer, "score_batch", None)  # nothing is scored again
        scorer.score_folders(pairs, fused, "standard", out, ["EN", "MI"], "cpu")
    assert out.read_bytes() == whole.read_bytes()
