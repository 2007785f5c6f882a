"""Batches made ahead: the same as one after the other, bounded, and an error is raised when its batch is due."""

import threading
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fuse2task.runtime.overlap import SPARE
from fuse2task.training.loop import batches, share_of


class Draw(NamedTuple):
    number: int
    key: object


class Counting:
    """A sample says which draw it is; remembers which were asked for."""

    def __init__(self, broken: int | None = None):
        self.broken, self.asked, self.lock = broken, 0, threading.Lock()

    def __getitem__(self, draw):
        with self.lock:
            self.asked += 1
        if draw.number == self.broken:
            raise ValueError("this one is broken")
        return np.full((1, 2, 2), draw.number, dtype=np.uint8), np.float32(draw.number), draw.number


@settings(max_examples=40)
@given(count=st.integers(0, 40), batch=st.integers(1, 7), threads=st.integers(1, 5))
def test_batches_are_those_of_a_plain_loop(count, batch, threads):
    made = list(batches(Counting(), [Draw(number, None) for number in range(count)], batch, threads, pinned=False))
    assert [len(numbers) for *_, numbers in made] == [batch] * (count // batch) + [count % batch] * (count % batch > 0)
    for pixels, floats, numbers in made:
        assert (pixels.dtype, floats.dtype, numbers.dtype) == (torch.uint8, torch.float32, torch.int64)
        assert pixels.shape[1:] == (1, 2, 2)
        assert pixels[:, 0, 1, 1].tolist() == floats.tolist() == numbers.tolist()
    assert [number for *_, numbers in made for number in numbers.tolist()] == list(range(count))


def test_no_more_is_made_ahead_than_said_and_threads_end_with_the_loop():
    samples = Counting()
    before = threading.active_count()
    loader = batches(samples, [Draw(number, None) for number in range(100)], 2, 3, pinned=False)
    next(loader)
    assert samples.asked <= 2 * (3 + SPARE)
    loader.close()
    assert threading.active_count() == before


def test_a_broken_sample_is_reported_when_its_batch_is_due():
    loader = batches(Counting(broken=5), [Draw(number, None) for number in range(8)], 2, 2, pinned=False)
    assert [next(loader)[-1].tolist(), next(loader)[-1].tolist()] == [[0, 1], [2, 3]]
    with pytest.raises(ValueError, match="this one is broken"):
        next(loader)


@given(count=st.integers(0, 9), share=st.integers(1, 4), processes=st.integers(1, 4))
def test_processes_share_out_every_batch(count, share, processes):
    batch = share * processes
    draws = list(range(count * batch))
    shares = [share_of(draws, batch, process, processes) for process in range(processes)]
    assert {len(mine) for mine in shares} == {count * share}
    for start in range(count):
        parts = [mine[start * share : (start + 1) * share] for mine in shares]
        assert sorted(draw for part in parts for draw in part) == draws[start * batch : (start + 1) * batch]
