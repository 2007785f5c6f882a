"""Long work: its progress, as a rich bar on a terminal and log lines elsewhere (rich has none), and its interruption by
Ctrl-C and termination, upon which work and child processes stop at once, exit code 1."""

import _thread
import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 10.0  # seconds for ending in order; then the process ends as it is, which loses no more than a kill does
MESSAGE = "error: interrupted; run the same command again to resume"

_owner = 0  # the process whose signals are caught


def say(message: str) -> None:
    """One line for the user, on standard error."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


class Meter:
    """Counts `total` units of work under `label`. On a terminal a rich bar is drawn; elsewhere a line is logged every
    `interval` seconds and at the end."""

    def __init__(self, label: str, total: int, unit: str = "images", done: int = 0, interval: float = 15.0):
        self.label, self.total, self.unit, self.interval = label, total, unit, interval
        self.done = self.start_done = done
        self.started = self.last_line = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), transient=False,
            )  # fmt: skip
            self._bar.start()
            self._task = self._bar.add_task(self.label, total=self.total, completed=self.done, rate="")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif kind is None:
            self._line()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more units; `note` (a loss, say) is shown beside the rate."""
        self.done += count
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, rate=f"{self.rate:.1f} {self.unit}/s {note}")
        elif time.monotonic() - self.last_line >= self.interval:
            self._line(note)

    @property
    def rate(self) -> float:
        """Units per second since the start of this run."""
        return (self.done - self.start_done) / max(time.monotonic() - self.started, 1e-9)

    def _line(self, note: str = "") -> None:
        self.last_line = time.monotonic()
        rate = self.rate
        time_left = f"{(self.total - self.done) / rate:.0f} s left" if rate > 0 else "time left unknown"
        say(f"{self.label}: {self.done}/{self.total} {self.unit}, {self.rate:.2f}/s, {time_left} {note}".rstrip())


class Interrupted(BaseException):
    """A signal asked this process to stop. No KeyboardInterrupt, which Typer turns into exit code 130."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """In the block the first SIGINT, SIGTERM or SIGHUP raises `Interrupted` in the main thread; later ones do nothing.

    torchrun, terminals and schedulers send several. Signals that the parent has had ignored (nohup) stay ignored.
    Processes forked in the block leave SIGINT, which a terminal sends to all of them, to this one. For the main thread.
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
            for number in caught:  # a handler of ours would give way to the default while the interpreter ends
                signal.signal(number, signal.SIG_IGN)
            for child in multiprocessing.active_children():
                child.terminate()
        else:
            _owner = 0
            for number in caught:
                signal.signal(number, before[number])


def _end_late() -> None:
    # The exception may be lost in a library that catches everything, or the main thread may be held up by a thread.
    time.sleep(GRACE)
    with contextlib.suppress(Exception):
        for child in multiprocessing.active_children():
            child.kill()
        say(MESSAGE)
    os._exit(1)


def _in_a_fork() -> None:
    if _owner:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)


os.register_at_fork(after_in_child=_in_a_fork)
