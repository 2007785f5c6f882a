"""Every reader on generated bad input: it is read, or refused with a message that names the file.

50 inputs by default, 250 among the slow tests; `python tests/robustness/bad_input.py --inputs 10000` tries many more.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import bad_input
import pytest

SCRIPT = Path(__file__).with_name("bad_input.py")


@pytest.mark.parametrize(("inputs", "seed"), [(50, 1000), pytest.param(250, 1001, marks=pytest.mark.slow)])
def test_every_reader_reads_or_refuses(inputs, seed):
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("memory is watched by Linux's /proc")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, SCRIPT, "--inputs", str(inputs), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    total = done.stdout.strip().splitlines()[-2]
    read, refused, *wrong = (int(cell) for cell in total.strip("| ").split("|")[2:])
    assert wrong == [0] * 5
    assert read > inputs // 25
    assert refused > 0.6 * inputs
    assert read + refused == inputs


@pytest.mark.slow
def test_the_watch_sees_what_goes_wrong(tmp_path):
    """A reader that writes beside its output, one that loops and one that raises count as wrong."""
    code = """
import json, pathlib, signal, sys
import bad_input, readers
def bad(path, out):
    if kind == "outside": (out.parent / "x").write_text("")
    if kind == "traceback": {}["missing"]
    while kind == "hang": pass
    if kind == "memory": len(b"x" * (bad_input.BYTES + 2**26))
    if kind == "unnamed":
        from fuse2task.runtime.errors import RequestError
        raise RequestError("no")
readers.readers = lambda: {"YOLO": readers.Reader("YOLO", "YOLO", bad)}
bad_input.SECONDS = 0.2
def alarm(*_): raise bad_input.Alarm
signal.signal(signal.SIGPROF, alarm)
watch = bad_input.Watch()
for kind in sys.argv[2:]:
    print(json.dumps(bad_input.run_case(0, 1, "YOLO", watch, pathlib.Path(sys.argv[1]) / kind)))
"""
    kinds = ("read", "outside", "traceback", "hang", "memory", "unnamed")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPT.parent), os.environ["PYTHONPATH"]])}
    command = [sys.executable, "-c", code, tmp_path, *kinds]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert tuple(json.loads(line)["outcome"] for line in done.stdout.splitlines()) == kinds, done.stdout


def test_a_reader_that_sleeps_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(bad_input, "WAITING", 2)
    child = bad_input.Child(0, None, tmp_path)
    child.command = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(100)"]
    assert child.ask(1) is None
    assert child.slept
    child.command = [sys.executable, "-c", "import os; print('ready', flush=True); os.kill(os.getpid(), 11)"]
    assert child.ask(2) is None
    assert not child.slept
