"""Outlines in metres: x to the right, y up from the ground. A part is an outline with a material."""

import numpy as np

from fuse2task.data.synthetic.materials import Material

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
