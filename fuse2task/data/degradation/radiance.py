"""Between coded grey levels and linear light, where light adds up and photons are counted."""

import numpy as np

_CODES = np.arange(256) / 255
_TO_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)
_STEPS = 1 << 14  # fine enough that no level shifts by half a code
_LEVELS = np.arange(_STEPS + 1) / _STEPS
_TO_CODE = np.rint(
    255 * np.where(_LEVELS <= 0.0031308, 12.92 * _LEVELS, 1.055 * _LEVELS ** (1 / 2.4) - 0.055)
).astype(np.uint8)  # fmt: skip
_MEAN_REFLECTANCE = 0.35  # of what stands about a road, relative to the light that the air scatters


def to_linear(pixels: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1], float32, of sRGB coded uint8 (IEC 61966-2-1)."""
    return _TO_LINEAR[pixels]


def to_code(light: np.ndarray) -> np.ndarray:
    """sRGB coded uint8 of linear light; what is outside [0, 1] is clipped."""
    return _TO_CODE[(np.clip(light, 0, 1) * _STEPS + 0.5).astype(np.int32)]


def to_grey(level: np.ndarray) -> np.ndarray:
    """uint8 of float grey levels in [0, 255], rounded and clipped; an infrared image is linear as it is."""
    return np.rint(np.clip(level, 0, 255)).astype(np.uint8)


def airlight(light: np.ndarray) -> np.ndarray:
    """Light that air, fog and drops scatter into the camera: (3,) or () float32, linear, at most 0.9.

    A stand-in for the horizon's radiance, which is not known: the mean of the image over the mean reflectance
    of a street, its colour half way to neutral. So it is bright by day and nearly black by night, where the
    brightest pixels (as in He et al., dark channel prior, 2009) would be lamps.
    """
    mean = light.mean(axis=(0, 1)) / _MEAN_REFLECTANCE
    return np.minimum(0.5 * (mean + mean.mean()), 0.9).astype(np.float32)
