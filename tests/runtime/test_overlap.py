"""Overlapped loading, working and storing: order, bounds, errors, interruption; the stopwatch."""

import itertools
import threading
import time
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuse2task.runtime import overlap
from fuse2task.runtime.overlap import SPARE, Stopwatch, threads

PATIENCE = 20.0  # seconds; only a failing test waits so long


def nothing() -> None:
    pass


def overlapped(items, load, work, store, stored, stopwatch):
    """Items in groups of one."""

    def work_on_one(group, loaded):
        return [work(group[0], loaded.pop())]

    return overlap.overlapped(([item] for item in items), load, work_on_one, store, stored, stopwatch)


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(), max_size=9), max_size=9), st.integers(1, 3))
def test_groups_are_worked_on_together_and_stored_one_by_one(groups, count):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "threads", lambda: count)
        worked = []

        def work(group, loaded):
            worked.append(list(group))
            return [item + sum(loaded) for item in loaded]

        results = overlap.overlapped(groups, lambda item: 2 * item, work, lambda *pair: pair, nothing, Stopwatch())
    assert worked == groups
    assert results == [(item, 2 * item + 2 * sum(group)) for group in groups for item in group]


@settings(max_examples=30)
@given(st.lists(st.integers()), st.integers(1, 5))
def test_results_are_those_of_the_plain_loop_in_its_order(items, count):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "threads", lambda: count)
        worked, stored = [], []

        def work(item, loaded):
            worked.append((item, loaded))
            return loaded * 3

        results = overlapped(
            items, lambda item: item + 1, work, lambda item, made: (item, made), lambda: stored.append(1), Stopwatch()
        )
    assert results == [(item, (item + 1) * 3) for item in items]
    assert worked == [(item, item + 1) for item in items]
    assert len(stored) == len(items)


def test_slow_items_do_not_change_the_order_and_steps_do_overlap():
    second_loaded, second_stored = threading.Event(), threading.Event()

    def load(item):
        if item == 0:
            assert second_loaded.wait(PATIENCE)
        if item == 1:
            second_loaded.set()
        return item

    def store(item, made):
        if item == 0:
            assert second_stored.wait(PATIENCE)
        if item == 1:
            second_stored.set()
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "threads", lambda: 2)
        assert overlapped(range(6), load, lambda _, loaded: loaded, store, nothing, Stopwatch()) == list(range(6))


class Gauge:
    """Makes objects and knows how many of them are alive, and how many ever were at once."""

    def __init__(self):
        self.alive = self.most = 0
        self.changed = threading.Condition()

    def make(self):
        class Pixels:
            pass

        made = Pixels()
        weakref.finalize(made, self._gone)
        with self.changed:
            self.alive += 1
            self.most = max(self.most, self.alive)
            self.changed.notify_all()
        return made

    def _gone(self):
        with self.changed:
            self.alive -= 1

    def reaches(self, count):
        with self.changed:
            return self.changed.wait_for(lambda: self.most >= count, PATIENCE)


def test_what_is_loaded_ahead_is_bounded_however_slow_the_work_is():
    gauge, bound, taken = Gauge(), threads() + SPARE, itertools.count()

    def work(item, _):
        assert gauge.reaches(bound)  # the readers have done all that they may
        assert next(taken) == item

    overlapped(range(40), lambda _: gauge.make(), work, lambda *_: None, nothing, Stopwatch())
    assert gauge.most == bound
    assert gauge.alive == 0


def test_what_waits_for_the_writers_is_bounded_however_slow_they_are():
    gauge, bound = Gauge(), threads() + SPARE

    def store(_item, _made):
        assert gauge.reaches(bound)

    overlapped(range(40), lambda item: item, lambda *_: gauge.make(), store, nothing, Stopwatch())
    assert gauge.most == bound
    assert gauge.alive == 0


def test_items_are_asked_for_as_they_are_needed():
    asked = itertools.count()
    items = (next(asked) for _ in itertools.count())  # without an end

    def work(item, _):
        if item == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        overlapped(items, lambda item: item, work, lambda *_: None, nothing, Stopwatch())
    assert next(asked) <= 5 + threads() + SPARE


@pytest.mark.parametrize("step", ["load", "work", "store"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_error_surfaces_after_what_was_worked_on_is_stored(step, error):
    worked, stored = [], []

    def fail(where, item):
        if where == step and item == 7:
            raise error

    def load(item):
        fail("load", item)

    def work(item, _):
        fail("work", item)
        worked.append(item)

    def store(item, _):
        fail("store", item)
        stored.append(item)

    before = threading.active_count()
    with pytest.raises(type(error)) as caught:
        overlapped(range(1000), load, work, store, nothing, Stopwatch())
    assert caught.value is error
    assert worked == list(range(len(worked)))
    assert 7 <= len(worked) <= 7 + 1 + threads() + SPARE
    assert sorted(stored) == [item for item in worked if not (step == "store" and item == 7)]
    assert threading.active_count() == before


def test_the_waiting_is_counted():
    stopwatch = Stopwatch()
    overlapped(range(3), lambda item: item, lambda *_: None, lambda *_: None, nothing, stopwatch)
    assert set(stopwatch.seconds) == {"waiting"}


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
