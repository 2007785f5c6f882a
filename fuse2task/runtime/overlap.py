"""Overlapped reading, working and writing in bounded memory, and a stopwatch by kind of work."""

import contextlib
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")
Made = TypeVar("Made")
Stored = TypeVar("Stored")

MOST_THREADS = 16
SPARE = 2  # beyond one for each thread, so that a thread that is done finds the next one ready


class Stopwatch:
    """Seconds by kind of work since it was made; any thread may add to them. seconds: of every thread together, so that
    kinds that overlap sum to more than the wall time."""

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
            del item  # so that it is not kept while the next one is waited for

    def summary(self, count: int, unit: str) -> str:
        """Such as `400 pairs in 13.1 s, 30.53 pairs/s: decode 12.0 s, fuse 3.1 s, waiting 9.9 s (all threads)`."""
        wall = max(time.perf_counter() - self.started, 1e-9)
        parts = ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in self.seconds.items())
        return f"{count} {unit} in {wall:.1f} s, {count / wall:.2f} {unit}/s: {parts} (all threads)"


def threads() -> int:
    """How many threads load, and how many store: one for each core that this process may use, at most 16."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, MOST_THREADS)


def overlapped(
    groups: Iterable[Sequence[Item]],
    load: Callable[[Item], Loaded],
    work: Callable[[Sequence[Item], Sequence[Loaded]], Sequence[Made]],
    store: Callable[[Item, Made], Stored],
    stored: Callable[[], None],
    stopwatch: Stopwatch,
) -> list[Stored]:
    """Each item loaded, worked on together with the others of its group, and stored; what `store` gave, in order.

    `load` and `store` run in `threads()` threads each, which pays as far as they release the interpreter's lock;
    `work` runs in the calling thread, group by group, and so does `stored` after each `store`. Beside a group that is
    gathered or worked on, at most `threads() + SPARE` items are loaded (or being loaded), and as many worked on and not
    yet stored. The calling thread's idle time counts as "waiting". What `load`, `work`, `store` or `stored` raises, or
    KeyboardInterrupt, comes after everything that was worked on has been stored, as far as it can be.
    """
    bound = threads() + SPARE
    results: list[Stored] = []
    storing: deque[Future[Stored]] = deque()

    def take() -> None:
        with stopwatch.timing("waiting"):
            results.append(storing.popleft().result())
        stored()

    with ThreadPoolExecutor(threads()) as writers, ThreadPoolExecutor(threads()) as readers:
        groups, same_groups = itertools.tee(groups)
        items = itertools.chain.from_iterable(same_groups)
        loaded = stopwatch.over(ahead(items, load, readers, bound), "waiting")
        for group in groups:
            made = deque(work(group, list(itertools.islice(loaded, len(group)))))
            for item in group:
                storing.append(writers.submit(store, item, made.popleft()))
                while storing and (len(storing) >= bound or storing[0].done()):
                    take()
        while storing:
            take()
    return results


def ahead(items: Iterable[Item], load: Callable[[Item], Loaded], readers: Executor, bound: int) -> Iterator[Loaded]:
    """`load(item)` for each item, in order, by `readers`: at most `bound` are loaded or being loaded at a time. What
    `load` raises is raised when its item is due."""
    loading: deque[Future[Loaded]] = deque()
    for item in items:
        loading.append(readers.submit(load, item))
        if len(loading) == bound:
            yield loading.popleft().result()
    while loading:
        yield loading.popleft().result()


def in_batches(items: Iterable[Any], pixels: int) -> list[list[Any]]:
    """Groups of items of one `size` (width, height), of at most `pixels` pixels each, but of one item at least. A group
    stands where its first item stands, and its items keep their order, so that the same items always give the same
    groups."""
    groups: list[list[Any]] = []
    open_group: dict[tuple[int, int], list[Any]] = {}
    for item in items:
        width, height = item.size
        group = open_group.get(item.size)
        if group is None or (len(group) + 1) * width * height > pixels:
            group = open_group[item.size] = []
            groups.append(group)
        group.append(item)
    return groups
