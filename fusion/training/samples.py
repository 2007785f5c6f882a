"""Training samples: square grey crops or squashed images, fixed by (seed, stage, epoch, position) alone."""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from fuse2task.data.dataset import Pair, content_hash, say_notes
from fuse2task.data.images import luma, read_pair
from fuse2task.data.loading import load_dataset
from fuse2task.runtime.compute import generator
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import atomic_path, value_hash
from fuse2task.runtime.progress import say
from fuse2task.training.run_folder import SCRATCH
from fusion.recipe import FusionRecipe, Jitter, Sampling

Sample = tuple[np.ndarray, np.ndarray, int]  # infrared and visible (1, S, S) uint8, number of the pair
SHARE = 0.25  # of the memory that is free at the start, for all processes of a run on one machine
KEY = "kept"


def gather(recipe: FusionRecipe) -> tuple[list[Pair], list[Pair]]:
    """Training and held-out pairs, these evenly spread over the list. Raises RequestError: too few, broken source."""
    pairs: list[Pair] = []
    for source in recipe.data:
        dataset = load_dataset(source.root, source.layout, split=source.split)
        if recipe.task is None or (source.boxes is None and source.annotations is None):  # else its boxes are read too
            say_notes(dataset.notes)
        if missing := [part for part in source.parts if part not in dataset.splits]:
            raise RequestError(f"{source.root}: no split {missing[0]!r}; it has {', '.join(dataset.splits)}")
        pairs += [pair for part in source.parts for pair in dataset.part(part)]
    if len(pairs) <= recipe.held_out:
        raise RequestError(
            f"{len(pairs)} training pairs, of which held_out={recipe.held_out} leave none; give more data"
        )
    kept = sorted((2 * i + 1) * len(pairs) // (2 * recipe.held_out) for i in range(recipe.held_out))
    return [pair for number, pair in enumerate(pairs) if number not in kept], [pairs[number] for number in kept]


@dataclass(frozen=True)
class Draw:
    """One draw of an epoch: which pair, the key of its random numbers (None: the centre, unflipped), and which of the
    pair's samples it is where there are only so many."""

    number: int
    key: tuple[object, ...] | None
    crop: int = 0


class PairDataset(ABC):
    """Samples by `Draw`, whose number counts in `pairs`; from any thread. crops: how many a pair has (None: any)."""

    pairs: Sequence[Pair]
    crops: int | None = None

    @abstractmethod
    def __getitem__(self, draw: Draw) -> tuple[Any, ...]:
        """Arrays of the same shapes for every draw; last the number of the pair in the run's list, or where pairs have
        `crops` samples, that of the sample."""


class KeptTensors:
    """Tensors by number, under a name within a run folder, from any thread; they can be made again at any time."""

    def __init__(self, run: Path, name: str):
        self.folder = run / SCRATCH / name
        self._memory: dict[int, Tensor] = {}
        self._left = _affordable()
        self._lock = threading.Lock()

    def get(self, number: int, make: Callable[[], Tensor]) -> Tensor:
        """What was kept under `number`, or what `make` gives (on the CPU, for nobody to change), kept from now on."""
        found = self.find(number)
        if found is None:
            self.keep(number, found := make())
        return found

    def find(self, number: int) -> Tensor | None:
        """What was kept under `number`, or None."""
        found = self._memory.get(number)
        if found is None and self._left < 0:
            try:
                with safe_open(self._file(number), framework="pt") as handle:
                    found = handle.get_tensor(KEY)
            except FileNotFoundError:
                return None
        return found

    def keep(self, number: int, tensor: Tensor) -> None:
        """Keep a tensor of the CPU that nobody changes. Raises Fuse2TaskError: no room in memory, nor in the folder."""
        with self._lock:
            if self._left >= tensor.nbytes:
                self._left -= tensor.nbytes
                self._memory[number] = tensor
                return
            if self._left >= 0:
                say(f"{self.folder}: takes what is too much for the memory, until the run is finished")
                self._left = -1
            with atomic_path(self._file(number)) as temporary:
                save_file({KEY: tensor.contiguous()}, temporary)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:07d}.safetensors"


class PairSamples(PairDataset):
    """Samples of `pairs`, decoded once and kept as uint8 (squashed ones at their final size)."""

    def __init__(self, pairs: Sequence[Pair], sampling: Sampling, kept: KeptTensors):
        self.pairs, self.sampling, self.crops, self._kept = pairs, sampling, sampling.crops, kept

    def __getitem__(self, draw: Draw) -> Sample:
        # (2, H, W) uint8, sides at least the sample's
        pair = self._kept.get(draw.number, lambda: self._decoded(self.pairs[draw.number])).numpy()
        rng = None if draw.key is None else generator(*draw.key)
        jitter = None if rng is None else self.sampling.jitter
        side = drawn_side(self.sampling.size, pair.shape[1:], jitter, rng)
        room = [length - side for length in pair.shape[1:]]
        top, left = (length // 2 if rng is None else int(rng.integers(length + 1)) for length in room)
        crop = resized(pair[:, top : top + side, left : left + side], self.sampling.size)
        if rng is not None and self.sampling.flips:
            crop = crop[:, :: rng.choice((1, -1)), :: rng.choice((1, -1))]
        if jitter and rng is not None:
            crop = jittered(crop, jitter, rng)
        return crop[:1], crop[1:], draw.number * (self.crops or 1) + draw.crop

    def _decoded(self, pair: Pair) -> Tensor:
        infrared, visible = read_pair(pair)
        planes, size = [infrared, luma(visible)], self.sampling.size
        if self.sampling.mode == "resize":
            planes = [cv2.resize(plane, (size, size)) for plane in planes]
        return torch.from_numpy(np.stack([self._grown(plane) for plane in planes]))

    def _grown(self, plane: np.ndarray) -> np.ndarray:
        size = self.sampling.size
        dy, dx = max(size - plane.shape[0], 0), max(size - plane.shape[1], 0)
        if dy == dx == 0:
            return plane
        return cv2.copyMakeBorder(plane, dy // 2, dy - dy // 2, dx // 2, dx - dx // 2, cv2.BORDER_REFLECT)


def drawn_side(size: int, room: Sequence[int], jitter: Jitter | None, rng: np.random.Generator | None) -> int:
    """Side of the crop that is to become a sample of `size`, at most that of an image of `room` (height, width)."""
    if jitter is None or rng is None or jitter.zoom == 1:
        return size
    return min(round(size * jitter.zoom ** rng.uniform(-1, 1)), *room)


def resized(planes: np.ndarray, size: int) -> np.ndarray:
    """(C, S, S) uint8 to (C, size, size), averaged over areas where it gets smaller."""
    if planes.shape[1] == size:
        return planes
    how = cv2.INTER_AREA if size < planes.shape[1] else cv2.INTER_LINEAR
    return np.stack([cv2.resize(plane, (size, size), interpolation=how) for plane in planes])


def jittered(planes: np.ndarray, jitter: Jitter, rng: np.random.Generator) -> np.ndarray:
    """A sample as other cameras would have recorded it. planes: (C, S, S) uint8, infrared and visible luma first, which
    alone change."""
    levels = np.arange(256, dtype=np.float32)
    changed = []
    for plane, inverts in zip(planes[:2], (jitter.invert, 0.0), strict=True):
        table = 255 - levels if rng.random() < inverts else levels
        middle = table[plane].mean()
        table = (table - middle) * jitter.gain ** rng.uniform(-1, 1) + middle + jitter.offset * rng.uniform(-1, 1)
        changed.append(table.round().clip(0, 255).astype(np.uint8)[plane])
    return np.concatenate([np.stack(changed), planes[2:]])


class TrainingPairs:
    """The pairs that a run in `root` trains on, those held out, and their samples; errors as `gather`."""

    def __init__(self, recipe: FusionRecipe, root: Path):
        self.recipe, self.root = recipe, root
        training, held_out = gather(recipe)
        self.training = PairSamples(training, recipe.sampling, KeptTensors(root, "pairs"))
        self.held_out = PairSamples(held_out, recipe.sampling, KeptTensors(root, "held-out"))

    @cached_property
    def hash(self) -> str:
        """Of all pairs by content, and which are held out."""
        return value_hash([content_hash(part.pairs) for part in (self.training, self.held_out)])

    def held_out_batches(self, batch: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
        """Centre samples of the held-out pairs, infrared and visible (B, 1, S, S) in [0, 255]."""
        parts = (image.to(device).float().split(batch) for image in centres(self.held_out, len(self.held_out.pairs)))
        return zip(*parts, strict=True)


def centres(samples: PairDataset, count: int) -> tuple[Tensor, Tensor]:
    """Centre samples of the first `count` pairs, unflipped: infrared and visible (count, 1, S, S) uint8."""
    drawn = [samples[Draw(number, None)][:2] for number in range(count)]
    infrared, visible = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
    return infrared, visible


def draws_of_epoch(pairs: int, count: int, key: tuple[object, ...], crops: int | None = None) -> list[Draw]:
    """The `count` draws of one epoch: permutations of the pairs, or of the `crops` samples of each, one after the
    other. key: seed, stage, epoch; which samples there are depends on the seed alone."""
    total = pairs * (crops or 1)
    order = np.concatenate([generator(*key, "order", i).permutation(total) for i in range(count // total + 1)])[:count]
    if crops is None:
        return [Draw(int(number), (*key, position)) for position, number in enumerate(order)]
    return [Draw(int(number) // crops, (key[0], "crop", int(number)), int(number) % crops) for number in order]


def _affordable() -> int:
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's word for those on this machine
    return int(psutil.virtual_memory().available * SHARE / processes)
