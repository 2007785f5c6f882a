"""Augmentation of training samples: the only module that touches albumentations."""

from collections.abc import Sequence
from importlib import metadata

import numpy as np

from fuse2task.runtime.compute import generator
from fuse2task.runtime.errors import Fuse2TaskError
from fuse2task.runtime.packages import go_offline
from segmentation.confusion import IGNORE
from segmentation.recipe import Augmentation

VERSION = "2.0.8"  # the last release under the MIT licence; its transforms decide the weights
STRENGTH = 0.25  # largest relative change of brightness, contrast and saturation


class Augment:
    """Random size, crop, flip and colour of (image, mask), fixed by a key.

    Args:
        recipe: ranges and probabilities.
        crop: (height, width) of what comes out.
        fill: RGB colour, 0 to 255, with which an image smaller than the crop is padded; its mask gets 255.

    Raises:
        Fuse2TaskError: albumentations is not the pinned release.
    """

    def __init__(self, recipe: Augmentation, crop: tuple[int, int], fill: Sequence[float]):
        _check_release()
        import albumentations as A

        factors = (1 - STRENGTH, 1 + STRENGTH)
        low, high = recipe.scale
        self._pipeline = A.Compose(
            [
                A.RandomScale(scale_limit=(low - 1, high - 1), p=1),
                A.PadIfNeeded(min_height=crop[0], min_width=crop[1], fill=tuple(fill), fill_mask=IGNORE, p=1),
                A.RandomCrop(height=crop[0], width=crop[1], p=1),
                A.HorizontalFlip(p=recipe.flip),
                A.ColorJitter(brightness=factors, contrast=factors, saturation=factors, hue=(0, 0), p=recipe.colour),
            ]
        )

    def __call__(self, image: np.ndarray, mask: np.ndarray, *key: object) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 RGB and (H, W) uint8 to the same of the crop's size; equal keys draw equally."""
        self._pipeline.set_random_seed(int(generator(*key).integers(2**32)))
        changed = self._pipeline(image=image, mask=mask)
        return changed["image"], changed["mask"]


def _check_release() -> None:
    go_offline()  # the import asks the network for a newer release otherwise
    try:
        metadata.version("albumentationsx")
    except metadata.PackageNotFoundError:
        pass
    else:
        raise Fuse2TaskError(
            "albumentationsx is installed: it takes albumentations' place, with telemetry and the AGPL; "
            f"run `pip uninstall albumentationsx`, `pip install --force-reinstall albumentations=={VERSION}`"
        )
    if metadata.version("albumentations") != VERSION:
        raise Fuse2TaskError(
            f"albumentations {metadata.version('albumentations')} is installed, but recipes are defined by "
            f"{VERSION}; run `pip install albumentations=={VERSION}`"
        )
