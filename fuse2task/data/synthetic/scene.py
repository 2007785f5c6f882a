"""Synthetic scenes: scenery and objects composed from a seed into a registered pair with truth."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np

from fuse2task.data.classes import M3FD, MSRS
from fuse2task.data.dataset import Box
from fuse2task.data.synthetic import objects
from fuse2task.data.synthetic.canvas import Canvas, Item, View
from fuse2task.data.synthetic.objects import DARK, Material, Part, disc, material, rectangle, tinted
from fuse2task.data.synthetic.sensors import Weather, infrared_image, visible_image
from fuse2task.runtime.compute import generator
from fuse2task.runtime.errors import RequestError

_FAR = 60.0  # metres, to the houses
MOST_OVERLAP = 0.25  # of the smaller outline, when an object looks for its place
TRIES = 12
MIN_SIZE, MAX_SIZE = 64, 4096
Task = Literal["detection", "segmentation"]
Lamp = tuple[float, float, float]  # metres to the right, ahead, above the road
_PAINTED = {"curve": objects.curve, "bump": objects.bump}


def backdrop(view: View, rng: np.random.Generator) -> list[Item]:
    """Scenery from near to far; together it fills the image."""
    near, far = [*_trees(view, rng), *_houses(view, rng)], [_hedge(view, rng), *_ground(view, rng)]
    return [*near, *far, _sheet("sky", view, 0, view.horizon + 0.5)]


def _trees(view: View, rng: np.random.Generator) -> list[Item]:
    items = []
    for _ in range(int(rng.integers(1, 4))):
        distance, x = rng.uniform(24, 32), rng.choice([-1, 1]) * rng.uniform(7, 15)
        leaves = _shaded("foliage", rng.uniform(0.7, 1.4))
        parts: list[Part] = [(rectangle(-0.2, 0, 0.2, 3), material("bark"))]
        for _ in range(5):
            parts.append((disc(rng.uniform(-1.2, 1.2), rng.uniform(3.0, 5.0), rng.uniform(1.0, 1.7)), leaves))
        items.append(Item.standing(None, parts, view, float(x), distance))
    return items


def _houses(view: View, rng: np.random.Generator) -> list[Item]:
    """A row of fronts from edge to edge, with a gap of sky where the street ends."""
    right, gap = view.width / 2 / (view.focal / _FAR), rng.uniform(-3.0, 3.0)
    items, x = [], -right
    while x < right:
        width, height = rng.uniform(9, 16), rng.uniform(17, 26)
        if not x <= gap <= x + width:
            items.append(Item.standing(None, _house(width, height, rng), view, x, _FAR))
        x += width
    return items


def _shaded(name: str, factor: float) -> Material:
    return replace(material(name), reflectance=tinted(material(name).reflectance, factor))


def _hedge(view: View, rng: np.random.Generator) -> Item:
    """Far trees along the horizon, where the row of houses leaves a gap."""
    reach = 2 * view.width * _FAR / view.focal
    tops = np.stack([np.linspace(-reach, reach, 60), rng.uniform(3.0, 8.0, 60)], axis=1)
    outline = np.concatenate([tops, [(reach, -1), (-reach, -1)]])
    return Item.standing(None, [(outline, material("foliage"))], view, 0.0, 1.2 * _FAR)


def _house(width: float, height: float, rng: np.random.Generator) -> list[Part]:
    wall = Material(objects.drawn_colour(rng, "wall", 0.7, 1.2), emissivity=0.94, solar=rng.uniform(0.7, 0.9))
    parts: list[Part] = [(rectangle(0, -1, width, height), wall)]
    columns, floors = max(2, int(width / 3.2)), int(height / 3.6)
    lit, warm = (rng.random((floors, columns)) < share for share in (0.14, 0.12))
    for floor in range(1, floors):
        for column in range(columns):
            x, y = (column + 0.3) * width / columns, floor * 3.6
            light, heat = (0.42, 0.32, 0.16) if lit[floor, column] else DARK, 4.0 * warm[floor, column]
            window = replace(material("glass"), emission=light, emissivity=0.9, heat=heat)
            parts.append((rectangle(x, y, x + 0.45 * width / columns, y + 1.9), window))
    return parts


def _ground(view: View, rng: np.random.Generator) -> list[Item]:
    half, kerb = rng.uniform(4.2, 5.4), rng.uniform(2.0, 3.0)
    near, far = 0.95 * view.nearest, 200.0
    starts = np.arange(rng.uniform(3, 5), 40, 4.5)
    dashes: list[Part] = [(rectangle(-0.07, z, 0.07, z + 1.6), material("white_paint")) for z in starts]
    lane = rectangle(-half, near, half, far), _shaded("road", rng.uniform(0.7, 1.3))
    pavement = rectangle(-half - kerb, near, half + kerb, far), material("pavement")
    items = [Item.lying(None, parts, view, _FAR) for parts in (dashes, [lane], [pavement])]
    return [*items, _sheet("verge", view, view.horizon, view.height + 1, flat=True)]


def _sheet(name: str, view: View, top: float, bottom: float, flat: bool = False) -> Item:
    return Item(None, 10 * _FAR, 0.0, [(rectangle(-2, top - 2, view.width + 2, bottom), material(name))], flat=flat)


def classes_of(task: Task) -> tuple[str, ...]:
    """Names of the labelled classes of `task`, in the order of M3FD, or of MSRS without its background."""
    return M3FD if task == "detection" else MSRS[1:]


def compose(view: View, task: Task, index: int, rng: np.random.Generator) -> tuple[list[Item], list[Lamp]]:
    """The objects of scene `index`, with the poles that carry lamps, and the street lamps that burn at night.

    Two classes are called for in turn by `index`, three to five more objects are drawn by lot.
    """
    kinds, names = objects.street()["standing"][task], classes_of(task)
    turn, half = index // 2, len(names) // 2
    roster = [names[turn % len(names)], names[(turn + half) % len(names)]]
    often = np.array([kind["often"] for kind in kinds.values()])
    roster += rng.choice(list(kinds), size=int(rng.integers(3, 6)), p=often / often.sum()).tolist()
    items: list[Item] = []
    for name in roster:
        if name in _PAINTED:
            parts = _PAINTED[name](rng, float(rng.choice([-1, 1])))
            items.append(Item.lying(name, parts, view, 1.0 if name == "bump" else 2.0))
        elif item := _placed(name, kinds[name], view, items, rng):
            items.append(item)
    if task == "segmentation":  # lamps are no class there, but they light the street
        for x in (-4.2, 4.2):
            items.append(Item.standing(None, objects.lantern(rng), view, x, rng.uniform(9, 14)))
    burning = [item for item in items if any(part is material("lantern") for _, part in item.parts)]
    carried = [item for item in items if item.name in ("Lamp", None)]
    items += [Item.standing(None, objects.pole(rng), view, item.x, item.distance + 0.01) for item in carried]
    return items, [(item.x, item.distance, 3.7) for item in burning]


def _placed(name: str, kind: dict[str, Any], view: View, others: list[Item], rng: np.random.Generator) -> Item | None:
    """The object where it overlaps the others little; None when every place that it tries is taken."""
    parts = getattr(objects, kind["draw"])(rng)
    half = max(float(np.abs(outline[:, 0]).max()) for outline, _ in parts)
    for _ in range(TRIES):
        distance = rng.uniform(kind["near"], kind["far"])
        room = max(view.width / 2 * distance / view.focal - 0.9 * half, 0.0)
        x = float(rng.choice([-1, 1])) * rng.uniform(min(kind["aside"], 0.6 * room), room)
        item = Item.standing(name, parts, view, x, distance)
        if all(other.flat or _overlap(item.bounds, other.bounds) < MOST_OVERLAP for other in others):
            return item
    return None


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Shared area as a share of the smaller one's."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(width, 0.0) * max(height, 0.0) / smaller


@dataclass(frozen=True)
class Scene:
    """One pair and its truth.

    visible: (H, W, 3) uint8 RGB. infrared: (H, W) uint8. boxes: the extent of each object's visible pixels,
    in edges. instances: (H, W) int16, k on the pixels of boxes[k - 1]. mask: (H, W) uint8 class index: in
    the order of MSRS for segmentation, 1 + the place in M3FD for detection, 0 elsewhere.
    """

    visible: np.ndarray
    infrared: np.ndarray
    boxes: tuple[Box, ...]
    instances: np.ndarray
    mask: np.ndarray


def check_size(size: tuple[int, int]) -> None:
    """Refuse sizes (width, height) that scenes cannot have. RequestError: a side is out of range."""
    if min(size) < MIN_SIZE or max(size) > MAX_SIZE:
        raise RequestError(f"size {size[0]}x{size[1]}: synthetic scenes have sides of {MIN_SIZE} to {MAX_SIZE} px")


def render(seed: int, index: int, size: tuple[int, int], night: bool, task: Task) -> Scene:
    """Scene `index` of the series `seed`, at `size` (width, height), by day or by night.

    A scene depends on its arguments alone. Its geometry does not depend on `night`: a night view shows the
    street of the day view. Classes take turns: six scenes in a row call for each of M3FD's, eight for MSRS's.
    RequestError: a side is below 64 or above 4096 px.
    """
    check_size(size)
    view = View.of(size)
    rng = generator("synthetic", task, seed, index, "geometry")
    items, lamps = compose(view, task, index, rng)
    canvas = Canvas(view)
    for item in sorted([*items, *backdrop(view, rng)], key=lambda item: (item.flat, item.distance)):
        canvas.paint(item)
    weather = _weather(night, lamps, rng)
    noise = generator("synthetic", task, seed, index, "noise")
    texture = _texture(view, noise)
    index_of = {name: number for number, name in enumerate(classes_of(task), start=1)}
    numbers = np.array([0, *(index_of[box.name] for box in canvas.boxes)], np.uint8)
    visible, infrared = (image(canvas, weather, texture, noise) for image in (visible_image, infrared_image))
    return Scene(visible, infrared, tuple(canvas.boxes), canvas.instances, numbers[canvas.instances])


def _weather(night: bool, lamps: list[Lamp], rng: np.random.Generator) -> Weather:
    level, warmth, sun = rng.uniform(0.0, 1.0, 3).tolist()
    if night:
        glow = 0.012 + 0.014 * level
        return Weather(True, (glow, 0.95 * glow, 0.9 * glow), 4 + 10 * warmth, -18 + 10 * warmth, 2.0 + sun, lamps, 1.0)
    power = 0.7 + 0.35 * level
    return Weather(False, (power, 0.97 * power, 0.92 * power), 18 + 8 * warmth, -12 + 8 * warmth, 7 + 5 * sun, (), 0.45)


def _texture(view: View, rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32 mottle of about unit variance, coarse and fine."""
    total = np.zeros((view.height, view.width), np.float32)
    for cells, weight in ((10, 0.6), (40, 0.6), (110, 0.5)):
        shape = (max(cells * view.height // view.unit, 2), max(cells * view.width // view.unit, 2))
        coarse = rng.standard_normal(shape, dtype=np.float32)
        total += weight * cv2.resize(coarse, (view.width, view.height), interpolation=cv2.INTER_LINEAR)
    return total * 1.4
