"""Images and masks of a fused dataset, checked as they are read, and training samples made of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from fuse2task.data.fused import FusedDataset
from fuse2task.data.images import as_rgb, read_mask, read_visible
from fuse2task.runtime.compute import generator
from fuse2task.runtime.errors import RequestError
from segmentation.augmentation import Augment
from segmentation.confusion import IGNORE

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Labelled:
    """A fused image and its mask; `classes` is how many there are."""

    id: str
    image: Path
    mask: Path
    classes: int

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 RGB and (H, W) uint8 indices.

        Raises:
            RequestError: a file is unreadable, sizes differ, or the mask has an index outside the classes.
        """
        image, mask = as_rgb(read_visible(self.image)), read_mask(self.mask)
        if image.shape[:2] != mask.shape:
            raise RequestError(f"{self.mask}: {mask.shape[::-1]} pixels, but its image is {image.shape[1::-1]}")
        outside = [int(value) for value in np.unique(mask) if self.classes <= value != IGNORE]
        if outside:
            raise RequestError(f"{self.mask}: values {outside} are not among the {self.classes} classes or 255")
        return image, mask


def labelled(data: FusedDataset, split: str) -> list[Labelled]:
    """The pairs of one split, by id; none where the dataset has no such split."""
    if split not in data.splits:
        return []
    rows = zip(data.ids(split), data.images(split), data.masks(split), strict=True)
    return [Labelled(name, image, mask, len(data.classes)) for name, image, mask in rows]


@dataclass(frozen=True)
class Normalisation:
    """RGB mean and standard deviation on [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, image: np.ndarray) -> torch.Tensor:
        """(3, H, W) float32 from (H, W, 3) uint8 RGB."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        scaled = (image.astype(np.float32) / 255 - mean) / std
        return torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))


Sample = tuple[torch.Tensor, torch.Tensor, str]


class Samples(Dataset[Sample]):
    """Augmented samples of one epoch: (3, h, w) float32, (h, w) int64, id; fixed by (seed, epoch, id)."""

    def __init__(self, pairs: list[Labelled], augment: Augment, normalisation: Normalisation, seed: int, epoch: int):
        self.pairs, self.augment, self.normalisation = pairs, augment, normalisation
        self.seed, self.epoch = seed, epoch

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        pair = self.pairs[index]
        image, mask = self.augment(*pair.read(), self.seed, "augment", self.epoch, pair.id)
        return self.normalisation(image), torch.from_numpy(mask.astype(np.int64)), pair.id

    def batches(self, size: int, process: int = 0, processes: int = 1) -> list[list[int]]:
        """One process's share of every batch of `size`; what fills no batch is left for other epochs."""
        order = generator(self.seed, "order", self.epoch).permutation(len(self)).tolist()
        starts = range(0, len(order) - size + 1, size)
        return [order[start : start + size][process::processes] for start in starts]
