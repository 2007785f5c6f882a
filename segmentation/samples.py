"""Training samples: images and masks of a fused dataset, their statistics and augmentation."""

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from fuse2task.data.fused import FusedDataset
from fuse2task.data.images import as_rgb, read_mask, read_visible
from fuse2task.runtime.compute import generator
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.packages import go_offline
from fuse2task.runtime.progress import Meter
from segmentation.evaluation import IGNORE, outside
from segmentation.recipe import Augmentation

VERSION = "2.0.8"  # of albumentations: the last one under the MIT licence; its transforms decide the weights
STRENGTH = 0.25  # largest relative change of brightness, contrast and saturation
Draw = tuple[int, int]  # epoch, number of the pair


@dataclass(frozen=True)
class Labelled:
    """A fused image and its mask; `classes` is how many there are."""

    id: str
    image: Path
    mask: Path
    classes: int

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 RGB and (H, W) uint8 indices. RequestError: a file is unreadable, sizes differ, or the mask
        has an index outside the classes."""
        image, mask = as_rgb(read_visible(self.image)), read_mask(self.mask)
        if image.shape[:2] != mask.shape:
            raise RequestError(f"{self.mask}: {mask.shape[::-1]} pixels, but its image is {image.shape[1::-1]}")
        if wrong := outside(mask, self.classes, IGNORE):
            raise RequestError(f"{self.mask}: values {wrong} are not among the {self.classes} classes or 255")
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


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class SegmentationSamples:
    """Augmented samples: (3, h, w) float32, (h, w) int64, number of the pair; fixed by (seed, epoch, id)."""

    def __init__(self, pairs: Sequence[Labelled], augment: "Augment", normalisation: Normalisation, seed: int):
        self.pairs, self.augment, self.normalisation, self.seed = pairs, augment, normalisation, seed

    def __getitem__(self, draw: Draw) -> tuple[np.ndarray, np.ndarray, int]:
        epoch, number = draw
        pair = self.pairs[number]
        image, mask = self.augment(*pair.read(), self.seed, "augment", epoch, pair.id)
        return self.normalisation(image).numpy(), mask.astype(np.int64), number


def draws_of_epoch(pairs: int, seed: int, epoch: int) -> list[Draw]:
    """Every pair once, in the epoch's order."""
    return [(epoch, number) for number in generator(seed, "order", epoch).permutation(pairs).tolist()]


class Augment:
    """Random size, crop, flip and colour of (image, mask), fixed by a key; from any thread. recipe: ranges and
    probabilities. crop: (height, width) of what comes out. fill: RGB colour, 0 to 255, with which an image smaller than
    the crop is padded; its mask gets 255. Fuse2TaskError: albumentations is not the pinned release."""

    def __init__(self, recipe: Augmentation, crop: tuple[int, int], fill: Sequence[float]):
        _check_release()
        import albumentations as A

        factors = (1 - STRENGTH, 1 + STRENGTH)
        low, high = recipe.scale
        self._make = lambda: A.Compose(
            [
                A.RandomScale(scale_limit=(low - 1, high - 1), p=1),
                A.PadIfNeeded(min_height=crop[0], min_width=crop[1], fill=tuple(fill), fill_mask=IGNORE, p=1),
                A.RandomCrop(height=crop[0], width=crop[1], p=1),
                A.HorizontalFlip(p=recipe.flip),
                A.ColorJitter(brightness=factors, contrast=factors, saturation=factors, hue=(0, 0), p=recipe.colour),
            ]
        )
        self._own = threading.local()  # a pipeline holds its random state

    def __call__(self, image: np.ndarray, mask: np.ndarray, *key: object) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 RGB and (H, W) uint8 to the same of the crop's size; equal keys draw equally."""
        if not hasattr(self._own, "pipeline"):
            self._own.pipeline = self._make()
        self._own.pipeline.set_random_seed(int(generator(*key).integers(2**32)))
        changed = self._own.pipeline(image=image, mask=mask)
        return changed["image"], changed["mask"]


def _check_release() -> None:
    go_offline()  # the import asks the network for a newer release otherwise
    with contextlib.suppress(metadata.PackageNotFoundError):
        metadata.version("albumentationsx")
        raise Fuse2TaskError(
            "albumentationsx is installed: it takes albumentations' place, with telemetry and the AGPL; "
            f"run `pip uninstall albumentationsx`, `pip install --force-reinstall albumentations=={VERSION}`"
        )
    if (found := metadata.version("albumentations")) != VERSION:
        fix = f"run `pip install albumentations=={VERSION}`"
        raise Fuse2TaskError(f"albumentations {found} is installed, but recipes are defined by {VERSION}; {fix}")


@dataclass(frozen=True)
class Survey:
    """colours: (3, 256) int64 histogram. pixels: (C,) int64 of each class. pixels_where_present: (C,) int64, counted
    pixels of the images that show the class."""

    colours: np.ndarray
    pixels: np.ndarray
    pixels_where_present: np.ndarray

    def normalisation(self) -> Normalisation:
        """Mean and population standard deviation of the pixels on [0, 1]; the latter at least 1/255."""
        values, counts = np.arange(256) / 255, self.colours / self.colours.sum(axis=1, keepdims=True)
        mean = counts @ values
        std = np.sqrt(np.maximum((counts * (values - mean[:, None]) ** 2).sum(axis=1), 1 / 255**2))
        return Normalisation(tuple(mean.tolist()), tuple(std.tolist()))

    def median_frequency_weights(self) -> list[float]:
        """median(f) / f[c] (median frequency balancing, Eigen and Fergus, ICCV 2015). f[c] is the pixels of class c
        over all counted pixels of the images that show it. A class that training never shows gets 1."""
        shown = self.pixels > 0
        frequency = self.pixels[shown] / self.pixels_where_present[shown]
        weights = np.ones(len(self.pixels))
        weights[shown] = np.median(frequency) / frequency
        return weights.tolist()


def survey(pairs: Sequence[Labelled], classes: int) -> Survey:
    """Read all `pairs`. RequestError: as `Labelled.read`."""
    found = Survey(np.zeros((3, 256), np.int64), np.zeros(classes, np.int64), np.zeros(classes, np.int64))
    with Meter("reading training pairs", len(pairs)) as meter:
        for pair in pairs:
            image, mask = pair.read()
            for channel in range(3):
                found.colours[channel] += np.bincount(image[..., channel].ravel(), minlength=256)
            counts = np.bincount(mask[mask != IGNORE], minlength=classes)
            found.pixels[:] += counts
            found.pixels_where_present[:] += np.where(counts > 0, counts.sum(), 0)
            meter.advance()
    return found
