"""What stands on the street of a scene, and where."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fuse2task.data.classes import M3FD, MSRS
from fuse2task.data.synthetic import street, vehicles
from fuse2task.data.synthetic.canvas import Item
from fuse2task.data.synthetic.materials import LANTERN
from fuse2task.data.synthetic.shapes import Part
from fuse2task.data.synthetic.view import View

Task = Literal["detection", "segmentation"]
Lamp = tuple[float, float, float]  # metres to the right, ahead, above the road

MOST_OVERLAP = 0.25  # of the smaller outline, when an object looks for its place
TRIES = 12


@dataclass(frozen=True)
class _Kind:
    """How a class is drawn, from how near to how far, how often (relative), and how far aside; in metres."""

    draw: Callable[[np.random.Generator], list[Part]]
    near: float
    far: float
    often: float
    aside: float = 0.0


def _lamp(rng: np.random.Generator) -> list[Part]:
    return street.lantern(rng) if rng.random() < 0.6 else street.signal(rng)


_STANDING: dict[Task, dict[str, _Kind]] = {
    "detection": {
        "People": _Kind(street.person, 5.5, 11, 4),
        "Car": _Kind(vehicles.car, 7, 14, 4),
        "Bus": _Kind(vehicles.bus, 11, 17, 1.2),
        "Motorcycle": _Kind(vehicles.motorcycle, 5, 9, 1.2),
        "Lamp": _Kind(_lamp, 7.5, 11, 2.5, aside=3.0),
        "Truck": _Kind(vehicles.truck, 11, 17, 1.2),
    },
    "segmentation": {
        "car": _Kind(vehicles.car, 7, 14, 3),
        "person": _Kind(street.person, 5.5, 11, 3),
        "bike": _Kind(vehicles.bike, 5, 9, 2),
        "car_stop": _Kind(street.car_stop, 4.6, 8, 1),
        "guardrail": _Kind(street.guardrail, 7, 11, 1),
        "color_cone": _Kind(street.color_cone, 4.6, 8, 2),
    },
}
_PAINTED = {"curve": street.curve, "bump": street.bump}


def classes_of(task: Task) -> tuple[str, ...]:
    """Names of the labelled classes of `task`, in the order of M3FD, or of MSRS without its background."""
    return M3FD if task == "detection" else MSRS[1:]


def compose(view: View, task: Task, index: int, rng: np.random.Generator) -> tuple[list[Item], list[Lamp]]:
    """The objects of scene `index`, with the poles that carry lamps, and the street lamps that burn at night.

    Two classes are called for in turn by `index`, three to five more objects are drawn by lot.
    """
    kinds, names = _STANDING[task], classes_of(task)
    turn, half = index // 2, len(names) // 2
    roster = [names[turn % len(names)], names[(turn + half) % len(names)]]
    often = np.array([kind.often for kind in kinds.values()])
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
            items.append(Item.standing(None, street.lantern(rng), view, x, rng.uniform(9, 14)))
    burning = [item for item in items if any(material is LANTERN for _, material in item.parts)]
    carried = [item for item in items if item.name in ("Lamp", None)]
    items += [Item.standing(None, street.pole(rng), view, item.x, item.distance + 0.01) for item in carried]
    return items, [(item.x, item.distance, 3.7) for item in burning]


def _placed(name: str, kind: _Kind, view: View, others: list[Item], rng: np.random.Generator) -> Item | None:
    """The object where it overlaps the others little; None when every place that it tries is taken."""
    parts = kind.draw(rng)
    half = max(float(np.abs(outline[:, 0]).max()) for outline, _ in parts)
    for _ in range(TRIES):
        distance = rng.uniform(kind.near, kind.far)
        room = max(view.width / 2 * distance / view.focal - 0.9 * half, 0.0)
        x = float(rng.choice([-1, 1])) * rng.uniform(min(kind.aside, 0.6 * room), room)
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
