"""Pinhole camera and canvas: which surface and which object each pixel shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fuse2task.data.dataset import Box
from fuse2task.data.synthetic.objects import Material, Part

CAMERA_HEIGHT = 2.0  # metres above a flat road
MIN_SIDE = 0.055  # of the image's shorter side: 14 px of 256
MIN_VISIBLE = 0.5  # of the object's own pixels
MIN_VISIBLE_MARKING = 0.25  # of those within the picture: a marking runs out of it, and under what stands there
_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class View:
    """width, height: image in pixels. focal: in pixels. horizon: its row."""

    width: int
    height: int
    focal: float
    horizon: float

    @classmethod
    def of(cls, size: tuple[int, int]) -> "View":
        """The view of an image of `size` (width, height): about 45 degrees across its shorter side."""
        width, height = size
        return cls(width, height, 1.05 * min(size), 0.4 * height)

    @property
    def unit(self) -> int:
        """The shorter side in pixels, which blur and the smallest object scale with."""
        return min(self.width, self.height)

    @property
    def nearest(self) -> float:
        """Metres to the road at the lower edge of the image."""
        return self.focal * CAMERA_HEIGHT / (self.height - self.horizon)

    def upright(self, outline: np.ndarray, x: float, distance: float) -> np.ndarray:
        """Pixels of an (N, 2) outline in metres, upright `x` to the right and `distance` ahead."""
        right, down = x + outline[:, 0], CAMERA_HEIGHT - outline[:, 1]
        return np.stack([right, down], axis=1) * (self.focal / distance) + (self.width / 2, self.horizon)

    def flat(self, outline: np.ndarray) -> np.ndarray:
        """Pixels of an (N, 2) outline that lies on the road, given as (metres to the right, metres ahead)."""
        scale = self.focal / outline[:, 1]
        return np.stack([self.width / 2 + scale * outline[:, 0], self.horizon + scale * CAMERA_HEIGHT], axis=1)

    def road_at(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(metres to the right, metres ahead) of the road point seen at each pixel below the horizon."""
        ahead = self.focal * CAMERA_HEIGHT / np.maximum(rows - self.horizon, 0.5)
        return (columns - self.width / 2) * ahead / self.focal, ahead


@dataclass(frozen=True)
class Item:
    """Something to paint. name: class of a labelled object, None for scenery.

    distance, x: metres ahead and to the right. parts: outlines in pixels, later ones over earlier ones.
    flat: it lies on the road and takes shadows and pools of light.
    """

    name: str | None
    distance: float
    x: float
    parts: Sequence[Part]
    flat: bool = False

    @classmethod
    def standing(cls, name: str | None, parts: Sequence[Part], view: View, x: float, distance: float) -> "Item":
        """An item whose outlines, in metres, stand upright on the road."""
        return cls(name, distance, x, [(view.upright(o, x, distance), material) for o, material in parts])

    @classmethod
    def lying(cls, name: str | None, parts: Sequence[Part], view: View, distance: float) -> "Item":
        """An item whose outlines, in metres to the right and ahead, lie on the road."""
        return cls(name, distance, 0.0, [(view.flat(o), material) for o, material in parts], flat=True)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) in pixels."""
        corners = np.concatenate([outline for outline, _ in self.parts])
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        return float(left), float(top), float(right), float(bottom)


class Canvas:
    """An image of surface numbers.

    surface: (H, W) int16 index into `materials` and `owners`, -1 where nothing is painted yet.
    instances: (H, W) int16, k for the k-th box and 0 for scenery.
    """

    def __init__(self, view: View):
        self.view = view
        self.surface = np.full((view.height, view.width), -1, np.int16)
        self.instances = np.zeros((view.height, view.width), np.int16)
        self.materials: list[Material] = []
        self.owners: list[Item] = []
        self.boxes: list[Box] = []

    def paint(self, item: Item) -> bool:
        """Paint `item` behind all that is there. An object that shows too little is not painted: False."""
        left, top, right, bottom = item.bounds
        x0, y0 = int(np.floor(left)) - 1, int(np.floor(top)) - 1
        stencil = np.zeros((int(np.ceil(bottom)) + 2 - y0, int(np.ceil(right)) + 2 - x0), np.int16)
        first = len(self.materials) + 1
        for number, (outline, _) in enumerate(item.parts):
            corners = np.rint((outline - (x0, y0)) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
            cv2.fillPoly(stencil, [corners], first + number, shift=_SUBPIXEL_BITS)
        inside = stencil[max(-y0, 0) : max(self.view.height - y0, 0), max(-x0, 0) : max(self.view.width - x0, 0)]
        if inside.size == 0:
            return False
        y, x = max(y0, 0), max(x0, 0)
        area = np.s_[y : y + inside.shape[0], x : x + inside.shape[1]]
        visible = (inside > 0) & (self.surface[area] < 0)
        if item.name is not None:
            box = self._box(item.name, visible, x, y)
            least, shown = (MIN_VISIBLE_MARKING, inside) if item.flat else (MIN_VISIBLE, stencil)
            if box is None or visible.sum() < least * np.count_nonzero(shown):
                return False
            self.boxes.append(box)
            self.instances[area][visible] = len(self.boxes)
        self.surface[area][visible] = inside[visible] - 1
        self.materials += [material for _, material in item.parts]
        self.owners += [item] * len(item.parts)
        return True

    def _box(self, name: str, visible: np.ndarray, x: int, y: int) -> Box | None:
        left, top, w, h = cv2.boundingRect(visible.astype(np.uint8))
        if max(w, h) < max(6, MIN_SIDE * self.view.unit) or min(w, h) < 3:
            return None
        return Box(name, float(x + left), float(y + top), float(w), float(h))
