"""A registered infrared-visible pair with its truth, drawn from a seed and a number."""

from dataclasses import dataclass

import cv2
import numpy as np

from fuse2task.data.dataset import Box
from fuse2task.data.synthetic.backdrop import backdrop
from fuse2task.data.synthetic.canvas import Canvas
from fuse2task.data.synthetic.composition import Lamp, Task, classes_of, compose
from fuse2task.data.synthetic.sensors import Weather, infrared_image, visible_image
from fuse2task.data.synthetic.view import View
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.seeding import generator

MIN_SIZE, MAX_SIZE = 64, 4096


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
    """Refuse sizes (width, height) that scenes cannot have.

    Raises:
        RequestError: a side is out of range.
    """
    if min(size) < MIN_SIZE or max(size) > MAX_SIZE:
        raise RequestError(f"size {size[0]}x{size[1]}: synthetic scenes have sides of {MIN_SIZE} to {MAX_SIZE} px")


def render(seed: int, index: int, size: tuple[int, int], night: bool, task: Task) -> Scene:
    """Scene `index` of the series `seed`, at `size` (width, height), by day or by night.

    A scene depends on its arguments alone. Its geometry does not depend on `night`: a night view shows the
    street of the day view. Classes take turns: six scenes in a row call for each of M3FD's, eight for MSRS's.

    Raises:
        RequestError: a side is below 64 or above 4096 px.
    """
    check_size(size)
    view = View.of(size)
    rng = generator("synthetic", task, seed, index, "geometry")
    objects, lamps = compose(view, task, index, rng)
    canvas = Canvas(view)
    for item in sorted([*objects, *backdrop(view, rng)], key=lambda item: (item.flat, item.distance)):
        canvas.paint(item)
    weather = _weather(night, lamps, rng)
    noise = generator("synthetic", task, seed, index, "noise")
    texture = _texture(view, noise)
    index_of = {name: number for number, name in enumerate(classes_of(task), start=1)}
    numbers = np.array([0, *(index_of[box.name] for box in canvas.boxes)], np.uint8)
    return Scene(
        visible_image(canvas, weather, texture, noise),
        infrared_image(canvas, weather, texture, noise),
        tuple(canvas.boxes),
        canvas.instances,
        numbers[canvas.instances],
    )


def _weather(night: bool, lamps: list[Lamp], rng: np.random.Generator) -> Weather:
    level, warmth, sun = rng.uniform(0.0, 1.0), rng.uniform(0.0, 1.0), rng.uniform(0.0, 1.0)
    if night:
        sky_glow = 0.012 + 0.014 * level
        daylight = (sky_glow, 0.95 * sky_glow, 0.9 * sky_glow)
        return Weather(True, daylight, 4 + 10 * warmth, -18 + 10 * warmth, 2.0 + sun, lamps, 1.0)
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
