"""Ctrl-C and termination: one line, exit code 1, nothing half-written, no child left."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from fuse2task.runtime import progress
from fuse2task.runtime.errors import explain
from fuse2task.runtime.files import file_digest, journal_rows
from fuse2task.runtime.progress import MESSAGE, Interrupted, interruptible

SLOW_AVERAGE = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the test runner was started without
from fuse2task.cli.main import run
from fusion.methods.base import RULES

plain = RULES["average"]

def slow(infrared, visible):
    time.sleep(0.1)
    return plain(infrared, visible)

RULES["average"] = slow
run(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_command_in_order(folder_dataset, tmp_path, number):
    root, out = folder_dataset(60, size=(160, 120)), tmp_path / "out"
    request = ["fusion", "apply", "--method", "average", "--data", root, "--layout", "folder", "-o", out]
    running = subprocess.Popen(
        [sys.executable, "-c", SLOW_AVERAGE, *map(str, request)], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while len(list(out.rglob("*.png"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.005)
    running.send_signal(number)
    running.send_signal(signal.SIGTERM)  # schedulers and torchrun send several
    _, said = running.communicate(timeout=60)
    assert running.returncode == 1
    assert said.splitlines()[-1] == MESSAGE
    assert "Traceback" not in said
    assert not list(out.rglob("*.tmp"))
    assert not list(out.rglob("*.lock"))
    images = {path.stem: file_digest(path) for path in (out / "images").rglob("*.png")}
    assert 5 <= len(images) < 60
    rows = [row for path in out.rglob("journal-*") for row in journal_rows(path)]
    assert {row["id"]: row["image"] for row in rows} == images


DEAF = """
import sys, time
from fuse2task.runtime import progress
progress.GRACE = 0.5
with progress.interruptible():
    for _ in range(600):
        try:
            print("ready", flush=True)
            time.sleep(0.1)
        except BaseException:  # as some libraries do
            pass
"""


def test_a_signal_that_a_library_swallows_still_ends_the_process():
    running = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (1, f"{MESSAGE}\n")


def test_handlers_are_as_before_afterwards_and_ignored_signals_stay_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        others = [signal.getsignal(number) for number in progress.SIGNALS]
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
        assert [signal.getsignal(number) for number in progress.SIGNALS] == others
    finally:
        signal.signal(signal.SIGHUP, before)


def sleep_long() -> None:
    time.sleep(60)


def test_workers_leave_control_c_to_the_parent_and_end_with_it(monkeypatch):
    monkeypatch.setattr(progress, "_end_late", lambda: None)
    handlers = {number: signal.getsignal(number) for number in progress.SIGNALS}
    worker = multiprocessing.get_context("fork").Process(target=sleep_long)
    try:
        with pytest.raises(Interrupted), interruptible():  # noqa: PT012 - the block is what is interrupted
            worker.start()
            os.kill(worker.pid, signal.SIGINT)
            worker.join(0.3)
            assert worker.is_alive()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        worker.join(10)
        assert worker.exitcode == -signal.SIGTERM
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class Deadly(Dataset):
    """Its loading process is killed, as by a system that is out of memory."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return index


def test_a_loading_process_that_dies_is_reported():
    # Our trainings load in threads; a detector's on a GPU has PyTorch's processes.
    with pytest.raises(RuntimeError) as caught:
        list(DataLoader(Deadly(), num_workers=1, multiprocessing_context="fork"))
    assert explain(caught.value).startswith("a worker process died")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["worker", "control-c"])
def test_a_benchmark_with_workers_ends_in_order_and_goes_on(killing, material, tmp_path, how):
    expected, _, _ = material.reference("bench run")
    command = [*material.command("bench run")[:-1], "cpu,cpu:0"]
    run = killing.Run(command, tmp_path)
    workers: list[int] = []
    while not workers and run.process.is_alive():
        workers = [pid for pid in killing.session(run.process.pid) if b"spawn_main" in command_line(pid)]
    if how == "worker":
        os.kill(workers[0], signal.SIGKILL)
        assert run.end() == 1, run.said
        assert run.said.splitlines()[-1].startswith("error: a worker process died")
    else:
        assert run.kill_at(0, signal.SIGINT)
    assert "Traceback" not in run.said
    again = killing.Run(command, tmp_path)
    assert again.end() == 0, again.said
    found = killing.outcome(tmp_path / "out")
    for name in ("results.csv", "comparisons.csv"):  # jobs end in another order
        assert sorted(found[name].splitlines()) == sorted(expected[name].splitlines())


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
