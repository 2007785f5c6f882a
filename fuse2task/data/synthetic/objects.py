"""Materials, outlines and objects of a street scene: vehicles, people, lamps, barriers, markings; see street.yaml."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fuse2task.runtime.reading import read_yaml

RGB = tuple[float, float, float]
DARK: RGB = (0.0, 0.0, 0.0)
_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 17)[:-1]), np.sin(np.linspace(0, 2 * np.pi, 17)[:-1])], axis=1)


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


@functools.cache
def street() -> dict[str, Any]:
    """What street.yaml says."""
    return read_yaml(Path(__file__).with_name("street.yaml"), "description of a street")


@functools.cache
def material(name: str) -> Material:
    """A material of street.yaml; the same object each time."""
    fields = street()["materials"][name].items()
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in fields}
    return Material(**values)


def drawn_colour(rng: np.random.Generator, kind: str, least: float, greatest: float) -> RGB:
    """One of the colours of street.yaml, made darker or brighter by lot."""
    colours = street()["colours"][kind]
    return tinted(colours[rng.integers(len(colours))], rng.uniform(least, greatest))


_SHAPES: dict[str, Callable[..., np.ndarray]] = {
    "polygon": polygon, "rectangle": rectangle, "disc": disc,
    "bar": lambda x0, y0, x1, y1, width: bar((x0, y0), (x1, y1), width),
}  # fmt: skip


def _drawn(outlines: str, **own: Material) -> list[Part]:
    """Outlines of street.yaml; own: the materials that are not there."""
    parts: list[Part] = []
    for name, shape, *numbers in street()["outlines"][outlines]:
        if shape == "wheel":
            x, radius = numbers
            parts += [(disc(x, radius, radius), material(name)), (disc(x, radius, radius * 0.55), material("hub"))]
            continue
        parts.append((_SHAPES[shape](*numbers), own.get(name) or material(name)))
    return parts


def _either_way(parts: list[Part], rng: np.random.Generator) -> list[Part]:
    return parts if rng.random() < 0.5 else mirrored(parts)


def _paint(rng: np.random.Generator, colours: str = "vehicle") -> Material:
    return Material(drawn_colour(rng, colours, 0.8, 1.15), emissivity=0.88, solar=0.75)


def car(rng: np.random.Generator) -> list[Part]:
    """A car from the side, the front or behind, parked or moving."""
    paint, moving = _paint(rng), rng.random() < 0.65
    warm = rng.uniform(9, 18) if moving else rng.uniform(3, 7)
    own = {"paint": paint, "bonnet": replace(paint, heat=warm)}
    own["exhaust"] = replace(material("metal"), heat=25.0 if moving else 4.0, emissivity=0.9)
    if not moving:
        own |= {name: replace(material(name), emission=DARK) for name in ("headlamp", "tail_lamp")}
    if rng.random() < 0.5:
        return _either_way(_drawn("car from the side", **own), rng)
    return _drawn("car from the front" if rng.random() < 0.5 else "car from behind", **own)


def bus(rng: np.random.Generator) -> list[Part]:
    """A bus with its row of windows, from the side or along the road."""
    body = replace(_paint(rng, "bus"), heat=2.0)
    cabin = replace(material("glass"), heat=rng.uniform(6, 10), emission=(0.30, 0.27, 0.18))
    own = {"body": body, "cabin": cabin, "engine": replace(body, heat=rng.uniform(14, 22))}
    if rng.random() < 0.6:
        parts = _drawn("bus from the side", **own, band=replace(body, reflectance=(0.7, 0.7, 0.7)))
        parts += [(rectangle(x, 1.45, x + 1.02, 2.45), cabin) for x in np.arange(-3.5, 2.4, 1.2)]
        return _either_way(parts, rng)
    return _drawn("bus along the road", **own)


def truck(rng: np.random.Generator) -> list[Part]:
    """A lorry, its cab apart from a plain box, from the side or from behind."""
    cab = _paint(rng, "cab")
    box = Material(tinted((1.0, 1.0, 0.97), rng.uniform(0.45, 0.7)), emissivity=0.9, solar=0.6)
    if rng.random() < 0.6:
        engine = replace(cab, heat=rng.uniform(14, 22))
        exhaust = replace(material("metal"), heat=26.0, emissivity=0.9)
        return _either_way(_drawn("truck from the side", cab=cab, box=box, engine=engine, exhaust=exhaust), rng)
    seam, exhaust = replace(box, reflectance=(0.2,) * 3), replace(material("metal"), heat=24.0, emissivity=0.9)
    return _drawn("truck from behind", box=box, seam=seam, exhaust=exhaust)


def motorcycle(rng: np.random.Generator) -> list[Part]:
    """A motorcycle from the side with a hot engine and exhaust."""
    paint, metal = _paint(rng), replace(material("metal"), emissivity=0.95)
    engine, exhaust = replace(metal, heat=rng.uniform(22, 30)), replace(metal, heat=30.0)
    return _either_way(_drawn("motorcycle", paint=paint, engine=engine, exhaust=exhaust), rng)


def bike(rng: np.random.Generator) -> list[Part]:
    """A bicycle from the side: nothing warm, bare metal that mirrors the cold sky."""
    return _either_way(_drawn("bike", frame=replace(_paint(rng, "frame"), emissivity=0.7)), rng)


def person(rng: np.random.Generator) -> list[Part]:
    """A standing or walking person of 1.55 to 1.9 m; clothes are half as warm as skin."""
    scale, stride, swing = rng.uniform(0.9, 1.1), rng.uniform(0.0, 0.28), rng.uniform(0.05, 0.25)
    red, green, blue = rng.uniform(0.03, 0.30, 3).tolist()
    coat = Material((red, green, blue), skin=rng.uniform(0.5, 0.62), solar=0.35)
    trousers = Material(tinted((0.9, 0.95, 1.1), rng.uniform(0.03, 0.16)), skin=0.55, solar=0.35)
    limbs = [
        (bar((0.08, 0.82), (stride, 0.0), 0.19), trousers),
        (bar((-0.08, 0.82), (-stride, 0.0), 0.19), trousers),
        (bar((-0.22, 1.36), (-0.25 - swing, 0.82), 0.13), coat),
        (bar((0.22, 1.36), (0.25 + swing, 0.82), 0.13), coat),
    ]
    parts = [(outline * scale, part) for outline, part in [*limbs, *_drawn("person above the limbs", coat=coat)]]
    return _either_way(parts, rng)


def lantern(rng: np.random.Generator) -> list[Part]:
    """The head of a street lamp, 3.2 to 4.2 m above the ground: bright at night, never warm."""
    base, housing, light = rng.uniform(3.2, 3.5), material("housing"), material("lantern")
    if rng.random() < 0.5:
        roof = base + 0.62
        return [
            (polygon((-0.26, base), (0.26, base), (0.42, roof), (-0.42, roof)), light),
            (polygon((-0.5, roof), (0.5, roof), (0.0, base + 0.92)), housing),
        ]
    return [(rectangle(-0.2, base, 0.2, base + 0.15), housing), (disc(0.0, base + 0.52, 0.42), light)]


def signal(rng: np.random.Generator) -> list[Part]:
    """A traffic light on its pole, 3.0 to 4.2 m above the ground, one of its three colours lit."""
    base, lit = rng.uniform(3.0, 3.2), int(rng.integers(3))
    parts: list[Part] = [(rectangle(-0.27, base, 0.27, base + 1.12), material("housing"))]
    for place, (red, green, blue) in enumerate(((0.05, 0.6, 0.3), (0.6, 0.4, 0.03), (0.6, 0.04, 0.03))):
        dull = Material(tinted((red, green, blue), 1.0 if place == lit else 0.2), solar=0.8, emissivity=0.94)
        lens = replace(dull, emission=(3 * red, 3 * green, 3 * blue)) if place == lit else dull
        parts.append((disc(0.0, base + 0.2 + 0.36 * place, 0.15), lens))
    return parts


def lamp(rng: np.random.Generator) -> list[Part]:
    """A street lamp or a traffic light."""
    return lantern(rng) if rng.random() < 0.6 else signal(rng)


def pole(rng: np.random.Generator) -> list[Part]:
    """What carries a lamp."""
    width = rng.uniform(0.05, 0.08)
    outlines = rectangle(-width, 0.0, width, 3.6), rectangle(-2 * width, 0.0, 2 * width, 0.4)
    return [(outline, material("pole")) for outline in outlines]


def color_cone(rng: np.random.Generator) -> list[Part]:
    """A traffic cone 0.9 m high with two reflecting bands."""

    def between(low: float, high: float) -> np.ndarray:
        bottom, top = (0.31 - 0.27 / 0.84 * (y - 0.06) for y in (low, high))
        return polygon((-bottom, low), (bottom, low), (top, high), (-top, high))

    bands = [between(0.3, 0.47), between(0.6, 0.74)][: int(rng.integers(1, 3))]
    return [
        (rectangle(-0.38, 0.0, 0.38, 0.08), material("black_paint")),
        (between(0.06, 0.9), material("cone")),
        *((band, material("white_paint")) for band in bands),
    ]


def car_stop(rng: np.random.Generator) -> list[Part]:
    """A parking block 1.7 m wide and 0.34 m high, concrete with yellow ends."""
    end = rng.uniform(0.3, 0.42)
    return [
        (polygon((-0.85, 0.0), (0.85, 0.0), (0.76, 0.34), (-0.76, 0.34)), material("concrete")),
        (polygon((-0.85, 0.0), (-0.85 + end, 0.0), (-0.8 + end, 0.34), (-0.76, 0.34)), material("yellow_paint")),
        (polygon((0.85 - end, 0.0), (0.85, 0.0), (0.76, 0.34), (0.8 - end, 0.34)), material("yellow_paint")),
    ]


def guardrail(rng: np.random.Generator) -> list[Part]:
    """4 to 5 m of guardrail across the view, 0.8 m high: two beams, a groove and posts."""
    half = rng.uniform(2.0, 2.5)
    places = np.linspace(-half + 0.2, half - 0.2, 4)
    return [
        *((rectangle(x - 0.08, 0.0, x + 0.08, 0.4), material("rail_post")) for x in places),
        (rectangle(-half, 0.35, half, 0.85), material("rail")),
        (rectangle(-half, 0.56, half, 0.64), material("rail_post")),
    ]


def curve(rng: np.random.Generator, side: float) -> list[Part]:
    """A kerb line bending along the road: ground outline as (metres to the right, metres ahead)."""
    ahead = np.linspace(3.2, 15.0, 16)
    bend = rng.uniform(-0.012, 0.03) * side
    centre = side * rng.uniform(2.4, 3.4) + bend * (ahead - 3.2) ** 2
    width = rng.uniform(0.4, 0.5)
    left, right = (np.stack([centre + shift, ahead], axis=1) for shift in (-width / 2, width / 2))
    return [(np.concatenate([left, right[::-1]]), material("white_paint"))]


def bump(rng: np.random.Generator, side: float) -> list[Part]:
    """A speed bump across a lane, striped yellow and black: ground outline as `curve`."""
    near = rng.uniform(5.2, 7.0)
    far, inner = near * 1.22, rng.uniform(-0.2, 0.4)
    edges = inner + np.linspace(0.0, rng.uniform(3.2, 4.0), 9)
    return [
        (rectangle(a, near, b, far) * (side, 1.0), material("black_paint") if stripe % 2 else material("yellow_paint"))
        for stripe, (a, b) in enumerate(pairwise(edges))
    ]
