"""Faults of the sensors: shot and read noise, a bolometer's noise and column pattern, dead and hot pixels."""

from itertools import pairwise

import numpy as np

from fuse2task.data.degradation.radiance import to_code, to_grey, to_linear
from fuse2task.data.degradation.shot import Shot

NOISE_ELECTRONS = (5000, 1500, 500, 150, 50)  # photoelectrons of white
READ_NOISE = 3.0  # electrons rms
NOISE_NETD = (0.1, 0.25, 0.5, 1.0, 2.0)  # kelvin rms, temporal
COLUMN_SHARE = 0.5  # fixed column pattern, rms over temporal rms
KELVIN_SPAN = 40.0  # taken for the range that 0 to 255 stand for
BAD_PIXELS = (0, 1e-4, 5e-4, 2e-3, 1e-2)  # share of all; level 1 is a single hot pixel


def noise_visible(shot: Shot, level: int) -> np.ndarray:
    """Poisson photoelectrons of linear light and Gaussian read noise, amplified back to the same brightness."""
    light = to_linear(shot.visible)
    return to_code(photons(light, NOISE_ELECTRONS, level, shot.random("visible")) / NOISE_ELECTRONS[level - 1])


def noise_infrared(shot: Shot, level: int) -> np.ndarray:
    """Temporal noise of the stated NETD, and a pattern of columns that is the same in every image."""
    unit = 255 / KELVIN_SPAN * NOISE_NETD[level - 1]
    temporal = shot.random("infrared").standard_normal(shot.infrared.shape, dtype=np.float32)
    columns = shot.sensor_random("columns").standard_normal(shot.infrared.shape[1], dtype=np.float32)
    return to_grey(shot.infrared + unit * (temporal + COLUMN_SHARE * columns))


def hotpixel_infrared(shot: Shot, level: int) -> np.ndarray:
    """Hot (255) and dead (0) pixels in turn, at places that are the same in every image of this size."""
    pixels = shot.infrared.copy()
    count = max(round(BAD_PIXELS[level - 1] * pixels.size), 1)
    places = shot.sensor_random("pixels").permutation(pixels.size)[:count]
    pixels.flat[places] = np.where(np.arange(count) % 2 == 0, 255, 0)
    return pixels


def photons(light: np.ndarray, electrons: tuple[float, ...], level: int, rng: np.random.Generator) -> np.ndarray:
    """Photoelectrons that are read out at `level`, float32, of linear light in [0, 1].

    electrons: of white at level 1, 2 ..., falling. Each level keeps some of the photons of the level above it, so
    that counts are Poisson at every level and levels share their noise. Read noise is added last.
    """
    read = rng.standard_normal(light.shape, dtype=np.float32)
    counts = rng.poisson(light * electrons[0])
    for brighter, darker in pairwise(electrons[:level]):
        counts = rng.binomial(counts, darker / brighter)
    return counts + READ_NOISE * read
