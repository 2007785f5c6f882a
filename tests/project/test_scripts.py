"""Scripts beside the packages: benchmarks and maintainers' tools still fit the code that they call."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted([*ROOT.glob("benchmarks/*.py"), *ROOT.glob("tools/*.py")])


def test_there_are_scripts():
    assert len(SCRIPTS) > 8


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_finds_everything_that_it_imports(script, monkeypatch):
    monkeypatch.syspath_prepend(str(script.parent))
    runpy.run_path(str(script), run_name="not main")


def test_contrast_of_an_object_is_its_grey_level_less_that_around_it():
    contrast = runpy.run_path(str(ROOT / "tools" / "gains.py"), run_name="not main")["contrast"]
    image = np.full((40, 60), 50.0)
    image[10:20, 20:40] = 80
    assert contrast(image, (20, 10, 20, 10)) == 30
    assert contrast(image, (20.2, 9.8, 20.1, 10.3)) == 30
    around = 14 * 14 - 100  # pixels, of which 20 are the object's other half
    assert contrast(image, (30, 10, 10, 10)) == 30 - 30 * 20 / around
    assert contrast(image, (-5, -5, 5, 5)) == 0


@pytest.fixture
def in_own_process(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from measuring import in_own_process

    return in_own_process


def test_what_a_measuring_process_found_outlives_it(in_own_process):
    def dies(number):
        yield {"what": "first", "value": number}
        os.kill(os.getpid(), signal.SIGKILL)

    first, last = in_own_process(dies, 3, seconds=300, forked=True)
    assert first == {"what": "first", "value": 3}
    assert last["reason"] == f"the process ended with -{signal.SIGKILL}"


def test_a_measuring_process_is_ended_in_time(in_own_process):
    def hangs(_):
        while True:
            time.sleep(1)
        yield {}

    (row,) = in_own_process(hangs, None, seconds=0, forked=True)
    assert row["reason"].startswith("cut off")


@pytest.mark.slow
def test_the_benchmark_of_devices_measures_every_part(tmp_path, monkeypatch):
    script, output = ROOT / "benchmarks" / "device.py", tmp_path / "device.json"
    options = ["--device", "cpu", "--quick", "--minutes", "9", "--output", str(output)]
    done = subprocess.run([sys.executable, str(script), *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads(output.read_text())["rows"]
    assert {row["part"] for row in rows} >= {"products", "inference", "training", "scores", "writing"}
    reasons = {row["part"]: row["reason"] for row in rows if "reason" in row}
    assert reasons == {
        "golden cases": "no --golden folder", "inference": "needs a CUDA device, this is cpu"
    }, done.stderr  # fmt: skip
    monkeypatch.syspath_prepend(str(script.parent))
    assert done.stdout == runpy.run_path(str(script))["table"](rows) + "\n"
