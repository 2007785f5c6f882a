"""Interruption by Ctrl-C and termination: work and child processes stop at once, exit code 1."""

import _thread
import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 10.0  # seconds for ending in order; then the process ends as it is, which loses no more than a kill does
MESSAGE = "error: interrupted; run the same command again to resume"

_owner = 0  # the process whose signals are caught


class Interrupted(BaseException):
    """A signal asked this process to stop. No KeyboardInterrupt, which Typer turns into exit code 130."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """In the block the first SIGINT, SIGTERM or SIGHUP raises `Interrupted` in the main thread; later ones do nothing.

    torchrun, terminals and schedulers send several. Signals that the parent has had ignored (nohup) stay ignored.
    Processes forked in the block leave SIGINT, which a terminal sends to all of them, to this one. Call it from the
    main thread.
    """
    global _owner
    caught = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.getsignal(number) for number in caught}
    came = False

    def stop(number: int, frame: object) -> None:
        nonlocal came
        if not came:
            came = True
            _thread.start_new_thread(_end_late, ())  # threading's own start takes a lock that this thread may hold
            raise Interrupted

    _owner = os.getpid()
    for number in caught:
        signal.signal(number, stop)
    try:
        yield
    finally:
        if came:
            end_children()
        else:
            _owner = 0
            for number in caught:
                signal.signal(number, before[number])


def end_children() -> None:
    """End the worker processes of this one."""
    for child in multiprocessing.active_children():
        child.terminate()


def _end_late() -> None:
    # The exception may be lost in a library that catches everything, or the main thread may be held up by a thread.
    time.sleep(GRACE)
    with contextlib.suppress(Exception):
        for child in multiprocessing.active_children():
            child.kill()
        print(MESSAGE, file=sys.stderr, flush=True)  # noqa: T201
    os._exit(1)


def _in_a_fork() -> None:
    if _owner:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


os.register_at_fork(after_in_child=_in_a_fork)
