"""People, lamps and what stands or is painted on a street."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from fuse2task.data.synthetic.materials import (
    BLACK_PAINT,
    CONE,
    HOUSING,
    LANTERN,
    POLE,
    RAIL,
    RAIL_POST,
    SKIN,
    WHITE_PAINT,
    YELLOW_PAINT,
    Material,
    tinted,
)
from fuse2task.data.synthetic.shapes import Part, bar, disc, mirrored, polygon, rectangle


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
        parts.append(
            (
                polygon((-half(low), low), (half(low), low), (half(high), high), (-half(high), high)),
                WHITE_PAINT,
            )
        )
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
    posts: list[Part] = [(rectangle(x - 0.08, 0.0, x + 0.08, 0.4), RAIL_POST) for x in places]
    return [
        *posts,
        (rectangle(-half, 0.35, half, 0.85), RAIL),
        (rectangle(-half, 0.56, half, 0.64), RAIL_POST),
    ]


def curve(rng: np.random.Generator, side: float) -> list[Part]:
    """A kerb line bending along the road: ground outline as (metres to the right, metres ahead)."""
    ahead = np.linspace(3.2, 15.0, 16)
    bend = rng.uniform(-0.012, 0.03) * side
    centre = side * rng.uniform(2.4, 3.4) + bend * (ahead - 3.2) ** 2
    width = rng.uniform(0.4, 0.5)
    left = np.stack([centre - width / 2, ahead], axis=1)
    right = np.stack([centre + width / 2, ahead], axis=1)
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
