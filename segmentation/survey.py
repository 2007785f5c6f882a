"""One pass over the training pairs: colour statistics, class frequencies, no bad file left."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fuse2task.runtime.progress import Meter
from segmentation.confusion import IGNORE
from segmentation.samples import Labelled, Normalisation


@dataclass(frozen=True)
class Survey:
    """colours: (3, 256) int64 histogram. pixels: (C,) int64 of each class.

    pixels_where_present: (C,) int64, counted pixels of the images that show the class.
    """

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
        """median(f) / f[c] (median frequency balancing, Eigen and Fergus, ICCV 2015).

        f[c] is the pixels of class c over all counted pixels of the images that show it. A class that
        training never shows gets 1.
        """
        shown = self.pixels > 0
        frequency = self.pixels[shown] / self.pixels_where_present[shown]
        weights = np.ones(len(self.pixels))
        weights[shown] = np.median(frequency) / frequency
        return weights.tolist()


def survey(pairs: Sequence[Labelled], classes: int) -> Survey:
    """Read all `pairs`.

    Raises:
        RequestError: as `Labelled.read`.
    """
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
