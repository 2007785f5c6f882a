"""Batches made ahead of their use by threads, so that decoding and cutting cost a training step no time."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from fuse2task.runtime.overlap import SPARE, ahead
from fusion.training.samples import Draw, PairDataset

Batch = tuple[Tensor, ...]


def batches(samples: PairDataset, draws: Sequence[Draw], batch: int, threads: int, pinned: bool) -> Iterator[Batch]:
    """The samples of `draws`, `batch` at a time, in order: for each part of a sample one tensor, its dtype kept.

    Samples are made by `threads` threads, which pays as far as they release the interpreter's lock; at most
    `threads + SPARE` batches are ready or being made. pinned: in memory that a GPU can copy from by itself.

    Raises:
        What a sample raises, when its batch is due.
    """

    def make(start: int) -> Batch:
        drawn = [samples[draw] for draw in draws[start : start + batch]]
        made = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
        return tuple(part.pin_memory() if pinned else part for part in made)

    pool = ThreadPoolExecutor(threads, "samples")
    try:
        yield from ahead(range(0, len(draws), batch), make, pool, threads + SPARE)
    finally:
        pool.shutdown(cancel_futures=True)
