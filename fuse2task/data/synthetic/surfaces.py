"""Materials in both bands, and outlines in metres."""

from dataclasses import dataclass

import numpy as np

RGB = tuple[float, float, float]

DARK: RGB = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Material:
    """One surface in both bands.

    reflectance: diffuse, linear RGB in [0, 1]. retro: how many times more of the camera car's headlights
    comes back than from a diffuse surface. emission: linear RGB light given off at night, 1 being the
    sensor's white. emissivity: long-wave, in [0, 1]; the rest mirrors the sky. heat: kelvin above air, from
    an engine or heating. solar: share of the warming that a black surface takes from the sun. skin: share
    of the way from air to 33 degrees Celsius, the temperature of skin.
    """

    reflectance: RGB
    retro: float = 0.0
    emission: RGB = DARK
    emissivity: float = 0.95
    heat: float = 0.0
    solar: float = 0.8
    skin: float = 0.0


def tinted(colour: RGB, factor: float) -> RGB:
    """`colour` made darker or brighter, at most 1."""
    red, green, blue = colour
    return min(red * factor, 1.0), min(green * factor, 1.0), min(blue * factor, 1.0)


Part = tuple[np.ndarray, Material]

_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 17)[:-1]), np.sin(np.linspace(0, 2 * np.pi, 17)[:-1])], axis=1)


def polygon(*points: tuple[float, float] | float) -> np.ndarray:
    """(N, 2) float64 corner points, given as pairs or as numbers in a row."""
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def rectangle(left: float, bottom: float, right: float, top: float) -> np.ndarray:
    """Four corners of an upright rectangle."""
    return polygon(left, bottom, right, bottom, right, top, left, top)


def disc(x: float, y: float, radius: float, flatness: float = 1.0) -> np.ndarray:
    """A circle as 16 corners; `flatness` scales its height."""
    return _CIRCLE * (radius, radius * flatness) + (x, y)


def bar(start: tuple[float, float], end: tuple[float, float], width: float) -> np.ndarray:
    """A straight stroke of `width` from `start` to `end`."""
    a, b = np.array(start), np.array(end)
    along = (b - a) / max(float(np.hypot(*(b - a))), 1e-9)
    across = np.array([-along[1], along[0]]) * width / 2
    return np.stack([a + across, b + across, b - across, a - across])


def mirrored(parts: list[Part]) -> list[Part]:
    """The same parts facing the other way."""
    return [(outline * (-1.0, 1.0), material) for outline, material in parts]
