"""A seeded share of `benchmarks/rubbish.py`: every bad input is read or refused with a message that names the file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "rubbish.py"


@pytest.mark.slow
def test_every_reader_reads_or_refuses():
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("memory is watched by Linux's /proc")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, SCRIPT, "--inputs", "250", "--seed", "1001"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    total = done.stdout.strip().splitlines()[-2]
    read, refused, *wrong = (int(cell) for cell in total.strip("| ").split("|")[2:])
    assert wrong == [0] * 5
    assert read > 10
    assert refused > 150
    assert read + refused == 250


def test_the_watch_sees_what_goes_wrong(tmp_path):
    """A reader that writes beside its output, one that loops and one that raises are told apart from good ones."""
    code = """
import json, pathlib, signal, sys
import rubbish, rubbish_readers as readers
def bad(path, out):
    if kind == "outside": (out.parent / "x").write_text("")
    if kind == "traceback": {}["missing"]
    while kind == "hang": pass
    if kind == "memory": len(b"x" * (rubbish.BYTES + 2**26))
    if kind == "unnamed":
        from fuse2task.runtime.errors import RequestError
        raise RequestError("no")
readers.readers = lambda: {"YOLO": readers.Reader("YOLO", "YOLO", bad)}
rubbish.SECONDS = 0.2
def alarm(*_): raise rubbish.Alarm
signal.signal(signal.SIGPROF, alarm)
watch = rubbish.Watch()
for kind in sys.argv[2:]:
    print(json.dumps(rubbish.run_case(0, 1, "YOLO", watch, pathlib.Path(sys.argv[1]) / kind)))
"""
    kinds = ("read", "outside", "traceback", "hang", "memory", "unnamed")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPT.parent), os.environ["PYTHONPATH"]])}
    command = [sys.executable, "-c", code, tmp_path, *kinds]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert tuple(json.loads(line)["outcome"] for line in done.stdout.splitlines()) == kinds, done.stdout


def test_a_reader_that_sleeps_is_ended(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import rubbish

    monkeypatch.setattr(rubbish, "WAITING", 2)
    child = rubbish.Child(0, None, tmp_path)
    child.command = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(100)"]
    assert child.ask(1) is None
    assert child.slept
    child.command = [sys.executable, "-c", "import os; print('ready', flush=True); os.kill(os.getpid(), 11)"]
    assert child.ask(2) is None
    assert not child.slept
