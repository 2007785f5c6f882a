"""What stands behind and lies under the objects: houses, trees, road, pavement, sky."""

from dataclasses import replace

import numpy as np

from fuse2task.data.synthetic.canvas import Item
from fuse2task.data.synthetic.materials import (
    BARK,
    DARK,
    FOLIAGE,
    GLASS,
    PAVEMENT,
    ROAD,
    SKY,
    VERGE,
    WHITE_PAINT,
    Material,
    tinted,
)
from fuse2task.data.synthetic.shapes import Part, disc, rectangle
from fuse2task.data.synthetic.view import View

_FAR = 60.0
_WALLS = ((0.30, 0.17, 0.12), (0.36, 0.33, 0.27), (0.22, 0.22, 0.23), (0.40, 0.36, 0.30), (0.26, 0.20, 0.15))


def backdrop(view: View, rng: np.random.Generator) -> list[Item]:
    """Scenery from near to far; together it fills the image."""
    return [
        *_trees(view, rng),
        *_houses(view, rng),
        _hedge(view, rng),
        *_ground(view, rng),
        _sheet(SKY, view, 0, view.horizon + 0.5),
    ]


def _trees(view: View, rng: np.random.Generator) -> list[Item]:
    items = []
    for _ in range(int(rng.integers(1, 4))):
        distance, x = rng.uniform(24, 32), rng.choice([-1, 1]) * rng.uniform(7, 15)
        leaves = replace(FOLIAGE, reflectance=tinted(FOLIAGE.reflectance, rng.uniform(0.7, 1.4)))
        parts: list[Part] = [(rectangle(-0.2, 0, 0.2, 3), BARK)]
        for _ in range(5):
            crown_x, crown_y = rng.uniform(-1.2, 1.2), rng.uniform(3.0, 5.0)
            parts.append((disc(crown_x, crown_y, rng.uniform(1.0, 1.7)), leaves))
        items.append(Item.standing(None, parts, view, float(x), distance))
    return items


def _houses(view: View, rng: np.random.Generator) -> list[Item]:
    """A row of fronts from edge to edge, with a gap of sky where the street ends."""
    scale = view.focal / _FAR
    left, right = -view.width / 2 / scale, view.width / 2 / scale
    gap = rng.uniform(-3.0, 3.0)
    items, x = [], left
    while x < right:
        width, height = rng.uniform(9, 16), rng.uniform(17, 26)
        if not x <= gap <= x + width:
            items.append(Item.standing(None, _house(width, height, rng), view, x, _FAR))
        x += width
    return items


def _hedge(view: View, rng: np.random.Generator) -> Item:
    """Far trees along the horizon, where the row of houses leaves a gap."""
    reach = 2 * view.width * _FAR / view.focal
    tops = np.stack([np.linspace(-reach, reach, 60), rng.uniform(3.0, 8.0, 60)], axis=1)
    outline = np.concatenate([tops, [(reach, -1), (-reach, -1)]])
    return Item.standing(None, [(outline, FOLIAGE)], view, 0.0, 1.2 * _FAR)


def _house(width: float, height: float, rng: np.random.Generator) -> list[Part]:
    colour = tinted(_WALLS[rng.integers(len(_WALLS))], rng.uniform(0.7, 1.2))
    wall = Material(colour, emissivity=0.94, solar=rng.uniform(0.7, 0.9))
    parts: list[Part] = [(rectangle(0, -1, width, height), wall)]
    columns, floors = max(2, int(width / 3.2)), int(height / 3.6)
    lit = rng.random((floors, columns)) < 0.14
    warm = rng.random((floors, columns)) < 0.12
    for floor in range(1, floors):
        for column in range(columns):
            x, y = (column + 0.3) * width / columns, floor * 3.6
            light = (0.42, 0.32, 0.16) if lit[floor, column] else DARK
            window = replace(GLASS, emission=light, emissivity=0.9, heat=4.0 if warm[floor, column] else 0.0)
            parts.append((rectangle(x, y, x + 0.45 * width / columns, y + 1.9), window))
    return parts


def _ground(view: View, rng: np.random.Generator) -> list[Item]:
    half, kerb = rng.uniform(4.2, 5.4), rng.uniform(2.0, 3.0)
    near, far = 0.95 * view.nearest, 200.0
    starts = np.arange(rng.uniform(3, 5), 40, 4.5)
    dashes: list[Part] = [(rectangle(-0.07, z, 0.07, z + 1.6), WHITE_PAINT) for z in starts]
    road = replace(ROAD, reflectance=tinted(ROAD.reflectance, rng.uniform(0.7, 1.3)))
    lane: list[Part] = [(rectangle(-half, near, half, far), road)]
    pavement: list[Part] = [(rectangle(-half - kerb, near, half + kerb, far), PAVEMENT)]
    items = [Item.lying(None, parts, view, _FAR) for parts in (dashes, lane, pavement)]
    return [*items, _sheet(VERGE, view, view.horizon, view.height + 1, flat=True)]


def _sheet(material: Material, view: View, top: float, bottom: float, flat: bool = False) -> Item:
    return Item(None, 10 * _FAR, 0.0, [(rectangle(-2, top - 2, view.width + 2, bottom), material)], flat=flat)
