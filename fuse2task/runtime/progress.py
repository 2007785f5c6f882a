"""Progress of long work: a rich bar on a terminal, log lines with rate and time left elsewhere (rich has none)."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress


def say(message: str) -> None:
    """One line for the user, on standard error."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


class Meter:
    """Counts `total` units of work under `label`.

    On a terminal a rich bar is drawn; elsewhere a line is logged every `interval` seconds and at the end.
    """

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

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
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
        left = (self.total - self.done) / self.rate if self.rate > 0 else float("inf")
        time_left = f"{left:.0f} s left" if left != float("inf") else "time left unknown"
        say(f"{self.label}: {self.done}/{self.total} {self.unit}, {self.rate:.2f}/s, {time_left} {note}".rstrip())
