"""Training samples: square grey crops or squashed images, fixed by (seed, stage, epoch, position) alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from fuse2task.data.colour import luma
from fuse2task.data.dataset import Pair
from fuse2task.data.images import read_infrared, read_visible
from fuse2task.data.loading import load_dataset
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.seeding import generator
from fusion.recipe import FusionRecipe, Sampling

Sample = tuple[torch.Tensor, torch.Tensor, int]  # infrared and visible (1, S, S) in [0, 255], number of the pair


def gather(recipe: FusionRecipe) -> tuple[list[Pair], list[Pair]]:
    """Training and held-out pairs of all sources; the held-out ones are spread evenly over the list.

    Raises:
        RequestError: a source is broken, or there are too few pairs.
    """
    pairs: list[Pair] = []
    for source in recipe.data:
        dataset = load_dataset(source.root, source.layout, split=source.split)
        missing = [part for part in source.parts if part not in dataset.splits]
        if missing:
            raise RequestError(f"{source.root}: no split {missing[0]!r}; it has {', '.join(dataset.splits)}")
        pairs += [pair for part in source.parts for pair in dataset.part(part)]
    if len(pairs) <= recipe.held_out:
        raise RequestError(
            f"{len(pairs)} training pairs, of which held_out={recipe.held_out} leave none; give more data"
        )
    kept = {(2 * i + 1) * len(pairs) // (2 * recipe.held_out) for i in range(recipe.held_out)}
    training = [pair for number, pair in enumerate(pairs) if number not in kept]
    return training, [pairs[number] for number in sorted(kept)]


@dataclass(frozen=True)
class Draw:
    """One draw of an epoch: which pair, and the key of its random numbers (None: the centre, unflipped)."""

    number: int
    key: tuple[object, ...] | None


class PairDataset(Dataset[Any]):
    """Samples by `Draw`, whose number counts in `pairs`."""

    pairs: Sequence[Pair]


class Samples(PairDataset):
    """Samples of `pairs`, decoded once and kept as uint8 (squashed ones at their final size)."""

    def __init__(self, pairs: Sequence[Pair], sampling: Sampling):
        self.pairs, self.sampling = pairs, sampling
        self._kept: dict[int, np.ndarray] = {}

    def __getitem__(self, draw: Draw) -> Sample:
        pair = self._pair(draw.number)
        size = self.sampling.size
        height, width = pair.shape[1:]
        rng = None if draw.key is None else generator(*draw.key)
        if rng is None:
            top, left = (height - size) // 2, (width - size) // 2
        else:
            top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
        crop = pair[:, top : top + size, left : left + size]
        if rng is not None and self.sampling.flips:
            crop = crop[:, :: rng.choice((1, -1)), :: rng.choice((1, -1))]
        infrared, visible = torch.from_numpy(np.ascontiguousarray(crop)).float()[:, None]
        return infrared, visible, draw.number

    def _pair(self, number: int) -> np.ndarray:
        # (2, H, W) uint8, sides at least the sample's
        if number not in self._kept:
            pair, size = self.pairs[number], self.sampling.size
            planes = [read_infrared(pair.infrared), luma(read_visible(pair.visible))]
            if self.sampling.mode == "resize":
                planes = [cv2.resize(plane, (size, size)) for plane in planes]
            planes = [self._grown(plane) for plane in planes]
            self._kept[number] = np.stack(planes)
        return self._kept[number]

    def _grown(self, plane: np.ndarray) -> np.ndarray:
        size = self.sampling.size
        dy, dx = max(size - plane.shape[0], 0), max(size - plane.shape[1], 0)
        if dy == dx == 0:
            return plane
        return cv2.copyMakeBorder(plane, dy // 2, dy - dy // 2, dx // 2, dx - dx // 2, cv2.BORDER_REFLECT)


class EpochSampler(Sampler[Draw]):
    """The draws of one epoch, from `start` on: permutations of the pairs, one after the other."""

    def __init__(self, pairs: int, count: int, key: tuple[object, ...], start: int = 0):
        self.pairs, self.count, self.key, self.start = pairs, count, key, start

    def __len__(self) -> int:
        return self.count - self.start

    def __iter__(self) -> Iterator[Draw]:
        rounds = -(-self.count // self.pairs)
        order = np.concatenate([generator(*self.key, "order", i).permutation(self.pairs) for i in range(rounds)])
        for position in range(self.start, self.count):
            yield Draw(int(order[position]), (*self.key, position))
