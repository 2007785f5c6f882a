"""Objects of a street scene: vehicles, people, lamps, barriers and road markings."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from fuse2task.data.synthetic.surfaces import DARK, Material, Part, bar, disc, mirrored, polygon, rectangle, tinted

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

_PAINTS = (
    (0.62, 0.62, 0.62), (0.30, 0.31, 0.33), (0.05, 0.05, 0.06),
    (0.45, 0.04, 0.04), (0.05, 0.12, 0.42), (0.10, 0.25, 0.16),
)  # fmt: skip
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
        (rectangle(-0.5, 0.38, 0.5, 0.68), bonnet) if front else (rectangle(0.35, 0.25, 0.6, 0.38), exhaust),
        (rectangle(-0.86, 0.62, -0.56, 0.8), lamp),
        (rectangle(0.56, 0.62, 0.86, 0.8), lamp),
        (rectangle(-0.24, 0.4, 0.24, 0.52), WHITE_PAINT),
    ]


def bus(rng: np.random.Generator) -> list[Part]:
    """A bus with its row of windows, 7.5 m from the side or 2.5 m along the road."""
    colours = ((0.65, 0.45, 0.05), (0.10, 0.35, 0.55), (0.50, 0.06, 0.05), (0.15, 0.42, 0.22))
    body = replace(_paint(rng, colours), heat=2.0)
    cabin = replace(GLASS, heat=rng.uniform(6, 10), emission=(0.30, 0.27, 0.18))
    engine = replace(body, heat=rng.uniform(14, 22))
    band = replace(body, reflectance=(0.7, 0.7, 0.7))
    if rng.random() < 0.6:
        parts: list[Part] = [
            (rectangle(-3.75, 0.35, 3.75, 3.0), body),
            (rectangle(-3.75, 0.9, 3.75, 1.15), band),
            *((rectangle(x, 1.45, x + 1.02, 2.45), cabin) for x in np.arange(-3.5, 2.4, 1.2)),
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
    tubes = (
        ((-0.55, 0.36), (-0.1, 0.4)), ((-0.1, 0.4), (-0.25, 0.95)), ((-0.25, 0.8), (0.42, 0.85)),
        ((-0.1, 0.4), (0.42, 0.82)), ((0.38, 1.02), (0.55, 0.36)), ((-0.55, 0.36), (-0.22, 0.8)),
    )  # fmt: skip
    parts: list[Part] = [
        *((disc(x, 0.36, radius), side) for x in (-0.55, 0.55) for radius, side in ((0.38, _BLACK), (0.28, spokes))),
        *((bar(start, end, 0.1), frame) for start, end in tubes),
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


def person(rng: np.random.Generator) -> list[Part]:
    """A standing or walking person of 1.55 to 1.9 m; clothes are half as warm as skin."""
    scale, stride, swing = rng.uniform(0.9, 1.1), rng.uniform(0.0, 0.28), rng.uniform(0.05, 0.25)
    red, green, blue = rng.uniform(0.03, 0.30, 3).tolist()
    coat = Material((red, green, blue), skin=rng.uniform(0.5, 0.62), solar=0.35)
    trousers = Material(tinted((0.9, 0.95, 1.1), rng.uniform(0.03, 0.16)), skin=0.55, solar=0.35)
    hair = Material((0.04, 0.03, 0.025), skin=0.7, solar=0.4)
    parts = [
        (bar((0.08, 0.82), (stride, 0.0), 0.19), trousers),
        (bar((-0.08, 0.82), (-stride, 0.0), 0.19), trousers),
        (bar((-0.22, 1.36), (-0.25 - swing, 0.82), 0.13), coat),
        (bar((0.22, 1.36), (0.25 + swing, 0.82), 0.13), coat),
        (polygon((-0.2, 0.74), (0.2, 0.74), (0.27, 1.4), (0.1, 1.48), (-0.1, 1.48), (-0.27, 1.4)), coat),
        (disc(0.0, 1.6, 0.14, 1.15), SKIN),
        (polygon((-0.14, 1.62), (0.14, 1.62), (0.1, 1.76), (-0.1, 1.76)), hair),
    ]
    parts = [(outline * scale, material) for outline, material in parts]
    return parts if rng.random() < 0.5 else mirrored(parts)


def lantern(rng: np.random.Generator) -> list[Part]:
    """The head of a street lamp, 3.2 to 4.2 m above the ground: bright at night, never warm."""
    base = rng.uniform(3.2, 3.5)
    if rng.random() < 0.5:
        return [
            (polygon((-0.26, base), (0.26, base), (0.42, base + 0.62), (-0.42, base + 0.62)), LANTERN),
            (polygon((-0.5, base + 0.62), (0.5, base + 0.62), (0.0, base + 0.92)), HOUSING),
        ]
    return [(rectangle(-0.2, base, 0.2, base + 0.15), HOUSING), (disc(0.0, base + 0.52, 0.42), LANTERN)]


def signal(rng: np.random.Generator) -> list[Part]:
    """A traffic light on its pole, 3.0 to 4.2 m above the ground, one of its three colours lit."""
    base, lit = rng.uniform(3.0, 3.2), int(rng.integers(3))
    parts: list[Part] = [(rectangle(-0.27, base, 0.27, base + 1.12), HOUSING)]
    for place, colour in enumerate(((0.05, 0.6, 0.3), (0.6, 0.4, 0.03), (0.6, 0.04, 0.03))):
        material = Material(tinted(colour, 1.0 if place == lit else 0.2), solar=0.8, emissivity=0.94)
        if place == lit:
            material = replace(material, emission=(3 * colour[0], 3 * colour[1], 3 * colour[2]))
        parts.append((disc(0.0, base + 0.2 + 0.36 * place, 0.15), material))
    return parts


def pole(rng: np.random.Generator) -> list[Part]:
    """What carries a lamp."""
    width = rng.uniform(0.05, 0.08)
    return [(rectangle(-width, 0.0, width, 3.6), POLE), (rectangle(-2 * width, 0.0, 2 * width, 0.4), POLE)]


def color_cone(rng: np.random.Generator) -> list[Part]:
    """A traffic cone 0.9 m high with two reflecting bands."""
    bands = [(0.3, 0.47), (0.6, 0.74)]
    slope = 0.27 / 0.84

    def half(y: float) -> float:
        return 0.31 - slope * (y - 0.06)

    parts: list[Part] = [
        (rectangle(-0.38, 0.0, 0.38, 0.08), BLACK_PAINT),
        (polygon((-half(0.06), 0.06), (half(0.06), 0.06), (half(0.9), 0.9), (-half(0.9), 0.9)), CONE),
    ]
    for low, high in bands[: int(rng.integers(1, 3))]:
        band = polygon((-half(low), low), (half(low), low), (half(high), high), (-half(high), high))
        parts.append((band, WHITE_PAINT))
    return parts


def car_stop(rng: np.random.Generator) -> list[Part]:
    """A parking block 1.7 m wide and 0.34 m high, concrete with yellow ends."""
    concrete = Material((0.42, 0.41, 0.39), retro=12.0, solar=0.97)
    end = rng.uniform(0.3, 0.42)
    return [
        (polygon((-0.85, 0.0), (0.85, 0.0), (0.76, 0.34), (-0.76, 0.34)), concrete),
        (polygon((-0.85, 0.0), (-0.85 + end, 0.0), (-0.8 + end, 0.34), (-0.76, 0.34)), YELLOW_PAINT),
        (polygon((0.85 - end, 0.0), (0.85, 0.0), (0.76, 0.34), (0.8 - end, 0.34)), YELLOW_PAINT),
    ]


def guardrail(rng: np.random.Generator) -> list[Part]:
    """4 to 5 m of guardrail across the view, 0.8 m high: two beams, a groove and posts."""
    half = rng.uniform(2.0, 2.5)
    places = np.linspace(-half + 0.2, half - 0.2, 4)
    return [
        *((rectangle(x - 0.08, 0.0, x + 0.08, 0.4), RAIL_POST) for x in places),
        (rectangle(-half, 0.35, half, 0.85), RAIL),
        (rectangle(-half, 0.56, half, 0.64), RAIL_POST),
    ]


def curve(rng: np.random.Generator, side: float) -> list[Part]:
    """A kerb line bending along the road: ground outline as (metres to the right, metres ahead)."""
    ahead = np.linspace(3.2, 15.0, 16)
    bend = rng.uniform(-0.012, 0.03) * side
    centre = side * rng.uniform(2.4, 3.4) + bend * (ahead - 3.2) ** 2
    width = rng.uniform(0.4, 0.5)
    left, right = (np.stack([centre + shift, ahead], axis=1) for shift in (-width / 2, width / 2))
    return [(np.concatenate([left, right[::-1]]), WHITE_PAINT)]


def bump(rng: np.random.Generator, side: float) -> list[Part]:
    """A speed bump across a lane, striped yellow and black: ground outline as `curve`."""
    near = rng.uniform(5.2, 7.0)
    far, inner = near * 1.22, rng.uniform(-0.2, 0.4)
    edges = inner + np.linspace(0.0, rng.uniform(3.2, 4.0), 9)
    return [
        (rectangle(a, near, b, far) * (side, 1.0), BLACK_PAINT if stripe % 2 else YELLOW_PAINT)
        for stripe, (a, b) in enumerate(pairwise(edges))
    ]
