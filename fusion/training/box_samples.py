"""Crops of pairs with their colour and boxes, for the stage that a detector drives."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from fuse2task.data.dataset import Box, Pair
from fuse2task.data.images import as_rgb, read_infrared, read_visible
from fuse2task.data.loading import load_dataset
from fuse2task.runtime.compute import generator
from fuse2task.runtime.errors import RequestError
from fusion.recipe import FusionRecipe
from fusion.training.kept_tensors import KeptTensors
from fusion.training.samples import Draw, PairDataset

MOST_BOXES = 64
SEEN = 0.4  # share of a box that must be inside the crop for the box to stay

TaskSample = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]


def boxes_of(recipe: FusionRecipe) -> tuple[tuple[str, ...], dict[Path, tuple[Box, ...]]]:
    """Classes, and the boxes of every pair of the sources that have some, by infrared file.

    Raises:
        RequestError: no source has boxes, or two sources differ in their classes.
    """
    classes: tuple[str, ...] = ()
    boxes: dict[Path, tuple[Box, ...]] = {}
    for source in recipe.data:
        if source.boxes is None:
            continue
        dataset = load_dataset(source.root, source.layout, split=source.split, boxes=source.boxes)
        assert dataset.boxes is not None
        if classes and dataset.boxes.classes != classes:
            raise RequestError(
                f"{source.boxes}: classes {dataset.boxes.classes} differ from another source's {classes}"
            )
        classes = dataset.boxes.classes
        boxes |= {pair.infrared: dataset.boxes.boxes[pair.id] for pair in dataset.pairs}
    if not classes:
        raise RequestError("task: a detector needs boxes; give data.N.boxes=FOLDER to a source of the recipe")
    return classes, boxes


class TaskSamples(PairDataset):
    """Crops at native scale, mirrored at random, of those of `pairs` that have boxes (or are known to have none)."""

    def __init__(
        self, pairs: Sequence[Pair], classes: Sequence[str], boxes: Mapping[Path, tuple[Box, ...]], size: int,
        kept: KeptTensors,
    ):  # fmt: skip
        self.numbers = [number for number, pair in enumerate(pairs) if pair.infrared in boxes]
        self.pairs = [pairs[number] for number in self.numbers]
        if not self.pairs:
            raise RequestError("task: no training pair has boxes; give data.N.boxes=FOLDER to a source of the recipe")
        small = [pair.id for pair in self.pairs if min(pair.size) < size]
        if small:
            raise RequestError(f"task: {small[0]} is smaller than the crops; lower task.size={size}")
        self.size = size
        self._boxes = [_rows(boxes[pair.infrared], classes) for pair in self.pairs]
        self._kept = kept

    def __getitem__(self, draw: Draw) -> TaskSample:
        """infrared (1, S, S), visible luma (1, S, S) and chroma Cr, Cb (2, S, S), all uint8, boxes (64, 5) float32 as
        `DetectionLoss` takes them, number of the pair in the run's list."""
        # infrared, Y, Cr, Cb (4, H, W) uint8
        planes = self._kept.get(draw.number, lambda: _decoded(self.pairs[draw.number])).numpy()
        size, (height, width) = self.size, planes.shape[1:]
        rng = generator(*(draw.key or ("centre",)))
        top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
        planes = planes[:, top : top + size, left : left + size]
        boxes = _cropped(self._boxes[draw.number], left, top, size)
        if rng.random() < 0.5:
            planes = planes[..., ::-1]
            boxes[:, 1] = 1 - boxes[:, 1]
        filled = np.full((MOST_BOXES, 5), -1, dtype=np.float32)
        filled[: len(boxes)] = boxes[:MOST_BOXES]
        return planes[:1], planes[1:2], planes[2:], filled, self.numbers[draw.number]


class WithGeneral(PairDataset):
    """Each sample of `task` with one of `shared`, drawn from the pairs that are not in `task`."""

    def __init__(self, task: TaskSamples, shared: PairDataset):
        self.pairs, self._task, self._shared = task.pairs, task, shared
        self._others = sorted(set(range(len(shared.pairs))) - set(task.numbers))
        if not self._others:
            raise RequestError("task.general_weight: every training pair has boxes; give more data, or a weight of 0")

    def __getitem__(self, draw: Draw) -> tuple[Any, ...]:
        """What `task` gives, with infrared and visible (1, S, S) uint8 of the other sample before the number."""
        *images, number = self._task[draw]
        key = (*(draw.key or ("centre",)), "general")
        other = self._others[generator(*key).integers(len(self._others))]
        infrared, visible, _ = self._shared[Draw(other, key)]
        return *images, infrared, visible, number


def _decoded(pair: Pair) -> torch.Tensor:
    ycrcb = cv2.cvtColor(as_rgb(read_visible(pair.visible)), cv2.COLOR_RGB2YCrCb)
    return torch.from_numpy(np.concatenate([read_infrared(pair.infrared)[None], ycrcb.transpose(2, 0, 1)]))


def _rows(boxes: Sequence[Box], classes: Sequence[str]) -> np.ndarray:
    rows = [[classes.index(box.name), box.x, box.y, box.w, box.h] for box in boxes]
    return np.array(rows, dtype=np.float32).reshape(-1, 5)


def _cropped(boxes: np.ndarray, left: int, top: int, size: int) -> np.ndarray:
    """Rows (class, x, y, w, h) in pixels of the image to (class, centre x, centre y, w, h) as fractions of a crop."""
    corner = np.array([left, top], dtype=np.float32)
    low, high = boxes[:, 1:3] - corner, boxes[:, 1:3] + boxes[:, 3:5] - corner
    low, high = low.clip(0, size), high.clip(0, size)
    seen = (high - low).prod(axis=1) > SEEN * boxes[:, 3:5].prod(axis=1)
    found = np.concatenate([boxes[:, :1], (low + high) / 2 / size, (high - low) / size], axis=1)
    return found[seen]
