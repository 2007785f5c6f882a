"""Reading, working and writing at the same time, with memory that does not grow with the work."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from fuse2task.runtime.stopwatch import Stopwatch

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")
Made = TypeVar("Made")
Stored = TypeVar("Stored")


class HasSize(Protocol):
    """Anything with a size."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""


Sized = TypeVar("Sized", bound=HasSize)

MOST_THREADS = 16
SPARE = 2  # beyond one for each thread, so that a thread that is done finds the next one ready


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
    yet stored. The calling thread's idle time counts as "waiting".

    Raises:
        What `load`, `work`, `store` or `stored` raises, or KeyboardInterrupt; always after everything that was worked
        on has been stored, as far as it can be.
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
    """`load(item)` for each item, in order, by `readers`: at most `bound` are loaded or being loaded at a time.

    Raises:
        What `load` raises, when its item is due.
    """
    loading: deque[Future[Loaded]] = deque()
    for item in items:
        loading.append(readers.submit(load, item))
        if len(loading) == bound:
            yield loading.popleft().result()
    while loading:
        yield loading.popleft().result()


def in_batches(items: Iterable[Sized], pixels: int) -> list[list[Sized]]:
    """Groups of items of one size, of at most `pixels` pixels each, but of one item at least.

    A group stands where its first item stands, and its items keep their order, so that the same items always give
    the same groups.
    """
    groups: list[list[Sized]] = []
    open_group: dict[tuple[int, int], list[Sized]] = {}
    for item in items:
        width, height = item.size
        group = open_group.get(item.size)
        if group is None or (len(group) + 1) * width * height > pixels:
            group = open_group[item.size] = []
            groups.append(group)
        group.append(item)
    return groups
