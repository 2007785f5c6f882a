"""Where the time of long work went."""

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


class Stopwatch:
    """Seconds by kind of work since it was made; any thread may add to them.

    seconds: of every thread together, so that kinds that overlap sum to more than the wall time.
    """

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def timing(self, kind: str) -> Iterator[None]:
        """Count the block's wall time as `kind`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self.seconds[kind] = self.seconds.get(kind, 0.0) + time.perf_counter() - began

    def over(self, items: Iterable[Item], kind: str) -> Iterator[Item]:
        """The same items, counting the time until each is there as `kind`."""
        iterator = iter(items)
        end = object()
        while True:
            with self.timing(kind):
                item = next(iterator, end)
            if item is end:
                return
            yield item  # type: ignore[misc]
            del item  # lest it is kept while the next one is waited for

    def summary(self, count: int, unit: str) -> str:
        """Such as `400 pairs in 13.1 s, 30.53 pairs/s: decode 12.0 s, fuse 3.1 s, waiting 9.9 s (all threads)`."""
        wall = max(time.perf_counter() - self.started, 1e-9)
        parts = ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in self.seconds.items())
        return f"{count} {unit} in {wall:.1f} s, {count / wall:.2f} {unit}/s: {parts} (all threads)"
