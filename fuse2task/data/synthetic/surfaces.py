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


SKY = Material((0.50, 0.62, 0.85), emissivity=0.0)
ROAD = Material((0.10, 0.10, 0.105), solar=1.0)
PAVEMENT = Material((0.24, 0.23, 0.21), solar=0.85)
VERGE = Material((0.09, 0.14, 0.05), solar=0.45)
FOLIAGE = Material((0.06, 0.12, 0.04), solar=0.25)
BARK = Material((0.12, 0.08, 0.05), solar=0.5)
# Paint and plastic on or by the road take the road's temperature: they differ from it by their colour alone.
WHITE_PAINT = Material((0.75, 0.75, 0.72), retro=30.0, solar=0.97)
YELLOW_PAINT = Material((0.70, 0.50, 0.05), retro=30.0, solar=0.97)
BLACK_PAINT = Material((0.03, 0.03, 0.03), solar=1.0)
CONE = Material((0.75, 0.16, 0.03), retro=30.0, solar=0.97)
RAIL = Material((0.50, 0.52, 0.55), retro=10.0, solar=0.95, emissivity=0.93)
RAIL_POST = Material((0.20, 0.21, 0.22), retro=4.0, solar=0.95)
POLE = Material((0.06, 0.06, 0.07), solar=0.8, emissivity=0.94)
HOUSING = Material((0.05, 0.05, 0.055), solar=0.8, emissivity=0.94)
LANTERN = Material((0.55, 0.53, 0.45), emission=(2.4, 1.9, 1.1), solar=0.8, emissivity=0.94)
GLASS = Material((0.07, 0.09, 0.11), emissivity=0.82, solar=0.5)
TYRE = Material((0.025, 0.025, 0.025), heat=6.0, solar=0.9)
HUB = Material((0.40, 0.40, 0.42), heat=9.0, emissivity=0.8, solar=0.5)
METAL = Material((0.35, 0.35, 0.37), emissivity=0.75, solar=0.6)
SKIN = Material((0.45, 0.28, 0.20), skin=0.92, solar=0.1)


Part = tuple[np.ndarray, Material]

_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 17)[:-1]), np.sin(np.linspace(0, 2 * np.pi, 17)[:-1])], axis=1)


def polygon(*points: tuple[float, float]) -> np.ndarray:
    """(N, 2) float64 corner points."""
    return np.array(points, dtype=np.float64)


def rectangle(left: float, bottom: float, right: float, top: float) -> np.ndarray:
    """Four corners of an upright rectangle."""
    return polygon((left, bottom), (right, bottom), (right, top), (left, top))


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
