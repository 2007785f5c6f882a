"""Vehicles seen from the side or along the road: bodywork, glass, wheels, lights and what an engine warms."""

from dataclasses import replace

import numpy as np

from fuse2task.data.synthetic.materials import DARK, GLASS, HUB, METAL, TYRE, WHITE_PAINT, Material, tinted
from fuse2task.data.synthetic.shapes import Part, bar, disc, mirrored, polygon, rectangle

_PAINTS = (
    (0.62, 0.62, 0.62),
    (0.30, 0.31, 0.33),
    (0.05, 0.05, 0.06),
    (0.45, 0.04, 0.04),
    (0.05, 0.12, 0.42),
    (0.10, 0.25, 0.16),
)
_BLACK = Material((0.03, 0.03, 0.03), solar=0.8)
_HEADLAMP = (2.5, 2.4, 2.1)
_TAIL_LAMP = (1.3, 0.06, 0.04)


def car(rng: np.random.Generator) -> list[Part]:
    """A car, 4.2 m long from the side or 1.8 m wide along the road."""
    paint, moving = _paint(rng), rng.random() < 0.65
    warm = rng.uniform(9, 18) if moving else rng.uniform(3, 7)
    bonnet = replace(paint, heat=warm)
    if rng.random() < 0.5:
        parts = [
            (polygon((-2.1, 0.3), (2.1, 0.3), (2.1, 0.72), (1.25, 0.9), (-1.95, 0.92), (-2.1, 0.8)), paint),
            (polygon((-1.75, 0.88), (1.15, 0.88), (0.45, 1.45), (-1.15, 1.45)), paint),
            (polygon((-1.5, 0.92), (-0.3, 0.92), (-0.3, 1.37), (-1.05, 1.37)), GLASS),
            (polygon((-0.2, 0.92), (0.95, 0.92), (0.4, 1.37), (-0.2, 1.37)), GLASS),
            (polygon((1.05, 0.35), (2.08, 0.35), (2.08, 0.7), (1.1, 0.87)), bonnet),
            (rectangle(1.9, 0.56, 2.12, 0.72), _lamp(_HEADLAMP, moving)),
            (rectangle(-2.12, 0.62, -1.95, 0.82), _lamp(_TAIL_LAMP, moving)),
            *_wheel(-1.3, 0.34), *_wheel(1.3, 0.34),
        ]  # fmt: skip
        return parts if rng.random() < 0.5 else mirrored(parts)
    front = rng.random() < 0.5
    lamp = _lamp(_HEADLAMP if front else _TAIL_LAMP, moving)
    exhaust = replace(METAL, heat=25.0 if moving else 4.0, emissivity=0.9)
    return [
        (rectangle(-0.82, 0.0, -0.55, 0.4), TYRE),
        (rectangle(0.55, 0.0, 0.82, 0.4), TYRE),
        (polygon((-0.9, 0.25), (0.9, 0.25), (0.9, 0.8), (0.8, 0.95), (-0.8, 0.95), (-0.9, 0.8)), paint),
        (polygon((-0.78, 0.93), (0.78, 0.93), (0.6, 1.47), (-0.6, 1.47)), paint),
        (polygon((-0.66, 0.97), (0.66, 0.97), (0.52, 1.38), (-0.52, 1.38)), GLASS),
        (
            rectangle(-0.5, 0.38, 0.5, 0.68) if front else rectangle(0.35, 0.25, 0.6, 0.38),
            bonnet if front else exhaust,
        ),
        (rectangle(-0.86, 0.62, -0.56, 0.8), lamp),
        (rectangle(0.56, 0.62, 0.86, 0.8), lamp),
        (rectangle(-0.24, 0.4, 0.24, 0.52), WHITE_PAINT),
    ]


def bus(rng: np.random.Generator) -> list[Part]:
    """A bus with its row of windows, 7.5 m from the side or 2.5 m along the road."""
    body = replace(
        _paint(rng, ((0.65, 0.45, 0.05), (0.10, 0.35, 0.55), (0.50, 0.06, 0.05), (0.15, 0.42, 0.22))),
        heat=2.0,
    )
    cabin = replace(GLASS, heat=rng.uniform(6, 10), emission=(0.30, 0.27, 0.18))
    engine = replace(body, heat=rng.uniform(14, 22))
    band = replace(body, reflectance=(0.7, 0.7, 0.7))
    if rng.random() < 0.6:
        parts: list[Part] = [
            (rectangle(-3.75, 0.35, 3.75, 3.0), body),
            (rectangle(-3.75, 0.9, 3.75, 1.15), band),
        ]
        parts += [(rectangle(x, 1.45, x + 1.02, 2.45), cabin) for x in np.arange(-3.5, 2.4, 1.2)]
        parts += [
            (rectangle(2.75, 0.5, 3.45, 2.45), GLASS),
            (rectangle(-3.7, 0.4, -2.6, 1.15), engine),
            (rectangle(3.6, 0.6, 3.78, 0.85), _lamp(_HEADLAMP, True)),
            (rectangle(-3.78, 0.9, -3.6, 1.25), _lamp(_TAIL_LAMP, True)),
            *_wheel(-2.2, 0.48), *_wheel(2.1, 0.48),
        ]  # fmt: skip
        return parts if rng.random() < 0.5 else mirrored(parts)
    return [
        (rectangle(-1.1, 0.0, -0.75, 0.5), TYRE),
        (rectangle(0.75, 0.0, 1.1, 0.5), TYRE),
        (rectangle(-1.25, 0.3, 1.25, 3.0), body),
        (rectangle(-1.1, 1.25, 1.1, 2.4), cabin),
        (rectangle(-0.7, 2.55, 0.7, 2.85), replace(GLASS, emission=(1.2, 0.7, 0.1))),
        (rectangle(-0.9, 0.4, 0.9, 0.75), engine),
        (rectangle(-1.2, 0.75, -0.8, 1.0), _lamp(_HEADLAMP, True)),
        (rectangle(0.8, 0.75, 1.2, 1.0), _lamp(_HEADLAMP, True)),
    ]


def truck(rng: np.random.Generator) -> list[Part]:
    """A lorry, its cab apart from a plain box: 6.6 m from the side or 2.4 m from behind."""
    cab = _paint(rng, ((0.55, 0.05, 0.04), (0.05, 0.18, 0.5), (0.6, 0.6, 0.58)))
    box = Material(tinted((1.0, 1.0, 0.97), rng.uniform(0.45, 0.7)), emissivity=0.9, solar=0.6)
    chassis = Material((0.04, 0.04, 0.045), heat=4.0)
    if rng.random() < 0.6:
        parts = [
            (rectangle(-3.3, 0.45, 3.1, 0.75), chassis),
            (rectangle(-3.3, 0.75, 1.35, 3.2), box),
            (polygon((1.6, 0.45), (3.3, 0.45), (3.3, 1.5), (2.95, 2.5), (1.6, 2.5)), cab),
            (polygon((2.2, 1.55), (3.15, 1.55), (2.85, 2.3), (2.2, 2.3)), GLASS),
            (rectangle(1.75, 0.45, 3.2, 1.1), replace(cab, heat=rng.uniform(14, 22))),
            (rectangle(1.4, 0.7, 1.55, 2.7), replace(METAL, heat=26.0, emissivity=0.9)),
            (rectangle(3.15, 0.65, 3.33, 0.9), _lamp(_HEADLAMP, True)),
            (rectangle(-3.33, 0.5, -3.15, 0.75), _lamp(_TAIL_LAMP, True)),
            *_wheel(-2.3, 0.48), *_wheel(-1.2, 0.48), *_wheel(2.4, 0.48),
        ]  # fmt: skip
        return parts if rng.random() < 0.5 else mirrored(parts)
    seam = replace(box, reflectance=(0.2, 0.2, 0.2))
    return [
        (rectangle(-1.05, 0.0, -0.6, 0.6), TYRE),
        (rectangle(0.6, 0.0, 1.05, 0.6), TYRE),
        (rectangle(-1.2, 0.45, 1.2, 0.8), chassis),
        (rectangle(-1.2, 0.8, 1.2, 3.2), box),
        (rectangle(-0.04, 0.85, 0.04, 3.15), seam),
        (rectangle(-0.3, 0.25, 0.3, 0.5), replace(METAL, heat=24.0, emissivity=0.9)),
        (rectangle(-1.2, 0.55, -0.85, 0.75), _lamp(_TAIL_LAMP, True)),
        (rectangle(0.85, 0.55, 1.2, 0.75), _lamp(_TAIL_LAMP, True)),
    ]


def motorcycle(rng: np.random.Generator) -> list[Part]:
    """A motorcycle from the side, 2.1 m long, with a hot engine and exhaust."""
    paint = _paint(rng)
    parts = [
        *_wheel(-0.72, 0.34), *_wheel(0.72, 0.34),
        (bar((0.72, 0.34), (0.45, 1.05), 0.1), METAL),
        (polygon((-0.95, 0.62), (-0.2, 0.55), (0.5, 0.7), (0.45, 0.98), (-0.1, 0.85), (-0.95, 0.88)), paint),
        (rectangle(-0.32, 0.2, 0.35, 0.62), replace(METAL, heat=rng.uniform(22, 30), emissivity=0.95)),
        (bar((-0.95, 0.3), (-0.1, 0.25), 0.12), replace(METAL, heat=30.0, emissivity=0.95)),
        (bar((0.3, 1.12), (0.5, 1.08), 0.08), _BLACK),
        (disc(0.6, 0.92, 0.12), _lamp(_HEADLAMP, True)),
        (rectangle(-1.02, 0.72, -0.92, 0.85), _lamp(_TAIL_LAMP, True)),
    ]  # fmt: skip
    return parts if rng.random() < 0.5 else mirrored(parts)


def bike(rng: np.random.Generator) -> list[Part]:
    """A bicycle from the side, 1.8 m long: nothing warm, bare metal that mirrors the cold sky."""
    frame = replace(_paint(rng, ((0.55, 0.05, 0.05), (0.05, 0.30, 0.55), (0.55, 0.55, 0.1))), emissivity=0.7)
    spokes = Material((0.22, 0.22, 0.23), emissivity=0.75, solar=0.6)
    parts: list[Part] = []
    for x in (-0.55, 0.55):
        parts += [(disc(x, 0.36, 0.38), _BLACK), (disc(x, 0.36, 0.28), spokes)]
    tubes = (
        ((-0.55, 0.36), (-0.1, 0.4)),
        ((-0.1, 0.4), (-0.25, 0.95)),
        ((-0.25, 0.8), (0.42, 0.85)),
        ((-0.1, 0.4), (0.42, 0.82)),
        ((0.38, 1.02), (0.55, 0.36)),
        ((-0.55, 0.36), (-0.22, 0.8)),
    )
    for start, end in tubes:
        parts.append((bar(start, end, 0.1), frame))
    parts += [
        (bar((-0.4, 0.98), (-0.1, 0.98), 0.1), _BLACK),
        (bar((0.2, 1.08), (0.5, 1.05), 0.08), _BLACK),
        (rectangle(-0.98, 0.5, -0.86, 0.62), Material((0.7, 0.05, 0.03), retro=25.0)),
    ]
    return parts if rng.random() < 0.5 else mirrored(parts)


def _paint(rng: np.random.Generator, colours: tuple[tuple[float, float, float], ...] = _PAINTS) -> Material:
    colour = tinted(colours[rng.integers(len(colours))], rng.uniform(0.8, 1.15))
    return Material(colour, emissivity=0.88, solar=0.75)


def _lamp(light: tuple[float, float, float], on: bool) -> Material:
    reflectance = (0.6, 0.6, 0.58) if light == _HEADLAMP else (0.4, 0.04, 0.03)
    return Material(reflectance, emission=light if on else DARK, emissivity=0.9, retro=3.0)


def _wheel(x: float, radius: float) -> list[Part]:
    return [(disc(x, radius, radius), TYRE), (disc(x, radius, radius * 0.55), HUB)]
