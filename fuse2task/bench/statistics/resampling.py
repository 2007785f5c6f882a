"""Weights of images: the bootstrap and the jackknife as rows of how often each image counts."""

from collections.abc import Hashable, Sequence

import numpy as np


def bootstrap(images: int, replicates: int, seed: int, groups: Sequence[Hashable] | None = None) -> np.ndarray:
    """Counts (replicates, images) float64 of the ordinary bootstrap (Efron 1979): drawn with replacement.

    The same arguments give the same weights, so that methods scored on the same images in the same order share
    them, which is what makes a comparison paired.

    Args:
        images: number of images, > 0.
        replicates: number of rows, > 0.
        seed: >= 0.
        groups: one label an image. Neighbouring frames of a film resemble each other; where labels say which
            belong together, whole groups are drawn (cluster bootstrap: Davison and Hinkley 1997, section 3.8), as
            many as there are.

    Raises:
        ValueError: a number out of range, or not one label an image.
    """
    if images < 1 or replicates < 1:
        raise ValueError(f"{images} images and {replicates} replicates; both must be positive")
    group = group_numbers(images, groups)
    count = int(group.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=replicates)
    return drawn[:, group].astype(np.float64)


def jackknife(images: int, groups: Sequence[Hashable] | None = None) -> np.ndarray:
    """Leave-one-out weights (images, images) float64; with groups (groups, images), one whole group out a row.

    Raises:
        ValueError: no images, or not one label an image.
    """
    if images < 1:
        raise ValueError(f"{images} images; there must be some")
    group = group_numbers(images, groups)
    return (np.arange(group.max() + 1)[:, None] != group).astype(np.float64)


def group_numbers(images: int, groups: Sequence[Hashable] | None = None) -> np.ndarray:
    """Number (images,) int64 of each image's group, from 0, in order of first appearance; every image its own if None.

    Raises:
        ValueError: not one label an image.
    """
    if groups is None:
        return np.arange(images)
    if len(groups) != images:
        raise ValueError(f"{len(groups)} group labels for {images} images")
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in groups], dtype=np.int64)
