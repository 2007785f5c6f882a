"""Misregistration: one image of a pair shifted and rotated; boxes, masks and their files move with it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import SubElement, tostring

import cv2
import numpy as np
from defusedxml.ElementTree import parse

from fuse2task.data.dataset import Box
from fuse2task.data.degradation.sensor import Camera, Shot
from fuse2task.data.images import IGNORED, encode_png, read_mask
from fuse2task.data.truth.boxes import (
    EDGES,
    Edges,
    bbgt_line,
    enclosed,
    format_yolo,
    vedai_line,
    voc_edges,
    yolo_line,
)  # fmt: skip
from fuse2task.runtime.compute import generator

SHIFT = (1.0, 2.0, 4.0, 6.0, 8.0)  # pixels
TURN = (0.25, 0.5, 1.0, 1.5, 2.0)  # degrees
Size = tuple[int, int]  # width, height
LEAST_SIDE = 1.0  # pixels; a box of which less remains in the image has left it


@dataclass(frozen=True)
class Motion:
    """A turn by `degrees` about the middle of the image, then a shift by (dx, dy) pixels.

    x is to the right and y down, so that a positive turn is clockwise as one sees it.
    """

    dx: float
    dy: float
    degrees: float

    def point(self, x: float, y: float, size: Size) -> tuple[float, float]:
        """Where a point goes; coordinates are edges, the image from 0 to its `size` (width, height)."""
        cos, sin = math.cos(math.radians(self.degrees)), math.sin(math.radians(self.degrees))
        u, v = x - size[0] / 2, y - size[1] / 2
        return cos * u - sin * v + size[0] / 2 + self.dx, sin * u + cos * v + size[1] / 2 + self.dy


def motion_of(seed: int, pair_id: str, level: int) -> Motion:
    """The motion of a pair at a level: direction and sense are drawn, and the same at every level."""
    rng = generator(seed, "degrade", "misalign", "image", pair_id)
    direction, sense = rng.uniform(0, 2 * math.pi), rng.choice((-1.0, 1.0))
    shift = SHIFT[level - 1]
    return Motion(shift * math.cos(direction), shift * math.sin(direction), sense * TURN[level - 1])


def misalign(shot: Shot, level: int, camera: Camera) -> np.ndarray:
    """The image moved by `motion_of`."""
    return move_image(shot.image(camera), motion_of(shot.seed, shot.id, level))


def move_image(pixels: np.ndarray, motion: Motion) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8 of the same size, bicubic; mirrored at the border where nothing is known."""
    return _warped(pixels, motion, cv2.INTER_CUBIC, cv2.BORDER_REFLECT_101, 0)


def move_mask(mask: np.ndarray, motion: Motion) -> np.ndarray:
    """(H, W) uint8 class indices, nearest; 255 where nothing is known."""
    return _warped(mask, motion, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT, IGNORED)


def move_box(box: Box, motion: Motion, size: Size) -> Box | None:
    """The box of a moved object, clipped to the image; None where less than a pixel of a side remains.

    Under a shift it is exact. A turn gives the box round the turned inscribed ellipse (Kalra et al.,
    ICCV 2021): the one round the turned corners is too large for all that is not a rectangle.
    """
    x, y = motion.point(box.x + box.w / 2, box.y + box.h / 2, size)
    cos, sin = math.cos(math.radians(motion.degrees)), math.sin(math.radians(motion.degrees))
    w, h = math.hypot(box.w * cos, box.h * sin), math.hypot(box.w * sin, box.h * cos)
    return remaining(box, (x - w / 2, y - h / 2, x + w / 2, y + h / 2), size)


def remaining(box: Box, edges: Edges, size: Size) -> Box | None:
    """`box` with the edges that it has moved to, clipped to the image; None where less than a pixel of a side remains,
    or less than the box had."""
    moved = _clipped(box.name, edges, size)
    return None if min(moved.w, moved.h) < min(LEAST_SIDE, box.w, box.h) else moved


def _warped(pixels: np.ndarray, motion: Motion, interpolation: int, border: int, value: int) -> np.ndarray:
    size = (pixels.shape[1], pixels.shape[0])
    # OpenCV counts from the middle of the first pixel, boxes from its edge.
    origin, right, down = (np.subtract(motion.point(x, y, size), 0.5) for x, y in ((0.5, 0.5), (1.5, 0.5), (0.5, 1.5)))
    matrix = np.stack([right - origin, down - origin, origin], axis=1)
    return cv2.warpAffine(pixels, matrix, size, flags=interpolation, borderMode=border, borderValue=(value,) * 3)


def moved_voc(path: Path, motion: Motion, size: Size) -> bytes:
    """A VOC file with moved edges; objects that left the image are gone, all else stays.

    A polygon or rotated box becomes the `bndbox` round it, moved: it is read as that.
    """
    tree: Any = parse(path, forbid_dtd=True).getroot()
    for parent in list(tree.iter()):
        for item in parent.findall("object"):
            if item.find("bndbox") is None:
                for shape in enclosed(item):
                    edges = zip(EDGES, voc_edges(shape), strict=True)
                    item.remove(shape)
                    bounds = SubElement(item, "bndbox")
                    for name, edge in edges:
                        SubElement(bounds, name).text = f"{edge:.12g}"
            for bounds in item.findall("bndbox"):
                box = move_box(_clipped("", voc_edges(bounds), size), motion, size)
                if box is None:
                    item.remove(bounds)
                    continue
                values = (box.x, box.y, box.x + box.w, box.y + box.h, box.x, box.y, box.w, box.h)
                for name, value in zip((*EDGES, *"xywh"), values, strict=True):
                    if (place := bounds.find(name)) is not None:
                        place.text = f"{value:.12g}"
            if item.find("bndbox") is None:
                parent.remove(item)
    return tostring(tree, encoding="utf-8") + b"\n"


def moved_yolo(path: Path, motion: Motion, size: Size) -> bytes:
    """A YOLO or bbGt file with moved boxes, under the classes that it has; those that left the image are gone."""
    lines = []
    for line in path.read_text("utf-8-sig").splitlines():
        name, *fields = line.split() or ["%"]
        if name.startswith("%"):
            lines += [f"{line}\n"] if line.strip() else []
        elif _is_number(name):
            box = move_box(_clipped(name, yolo_line(line, size)[1], size), motion, size)
            lines += [name + format_yolo([box], [name], size).removeprefix("0")] if box else []
        else:
            box = move_box(_clipped(name, bbgt_line(line)[1], size), motion, size)
            moved = [f"{value:.12g}" for value in (box.x, box.y, box.w, box.h)] if box else []
            lines += [" ".join([name, *moved, *fields[4:]]) + "\n"] if box else []
    return "".join(lines).encode()


def moved_vedai(path: Path, motion: Motion, size: Size) -> bytes:
    """A VEDAI file of the moved upright boxes, without angle; those that left the image are gone."""
    lines = []
    for line in path.read_text("utf-8-sig").splitlines():
        if line.strip():
            fields = line.split()
            box = move_box(_clipped("", vedai_line(line)[1], size), motion, size)
            if box is not None:
                right, bottom = box.x + box.w, box.y + box.h
                corners = (box.x, right, right, box.x, box.y, box.y, bottom, bottom)
                middle = (f"{box.x + box.w / 2:.12g}", f"{box.y + box.h / 2:.12g}", "0")
                lines.append(" ".join([*middle, *fields[3:6], *(f"{edge:.12g}" for edge in corners)]) + "\n")
    return "".join(lines).encode()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def moved_mask(path: Path, motion: Motion, _size: Size, palette: str | None = None) -> bytes:
    """A mask, moved, as PNG of class indices."""
    return encode_png(move_mask(read_mask(path, palette), motion))


def _clipped(name: str, edges: Edges, size: Size) -> Box:
    left, top = max(edges[0], 0.0), max(edges[1], 0.0)
    return Box(name, left, top, min(edges[2], float(size[0])) - left, min(edges[3], float(size[1])) - top)
