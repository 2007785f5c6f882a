"""The stopwatch: what it sums, what it says."""

import time

import pytest

from fuse2task.runtime.stopwatch import Stopwatch


class Clock:
    """A time that passes only when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


def test_seconds_of_a_kind_add_up_also_when_the_block_fails(clock):
    watch = Stopwatch()
    with watch.timing("decode"):
        clock.now += 2
    with pytest.raises(OSError), watch.timing("decode"):  # noqa: PT012
        clock.now += 3
        raise OSError
    with watch.timing("fuse"):
        clock.now += 1
    assert watch.seconds == {"decode": 5, "fuse": 1}
    assert watch.summary(12, "pairs") == "12 pairs in 6.0 s, 2.00 pairs/s: decode 5.0 s, fuse 1.0 s (all threads)"


def test_the_wait_for_items_is_counted_and_not_what_is_done_with_them(clock):
    def slow():
        for number in range(3):
            clock.now += 2
            yield number
        clock.now += 4  # until it is known that there are no more

    watch, seen = Stopwatch(), []
    for item in watch.over(slow(), "waiting for data"):
        seen.append(item)
        clock.now += 50
    assert seen == [0, 1, 2]
    assert watch.seconds == {"waiting for data": 10}
