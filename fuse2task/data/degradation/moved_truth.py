"""Truth files of a moved image: VOC, YOLO and masks as they were, with everything where it went."""

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import tostring

from defusedxml.ElementTree import parse

from fuse2task.data.dataset import Box
from fuse2task.data.degradation.geometry import Motion, move_box, move_mask
from fuse2task.data.images import encode_png, read_mask
from fuse2task.data.truth.yolo import format_yolo

_EDGES = ("xmin", "ymin", "xmax", "ymax")
Size = tuple[int, int]


def moved_voc(path: Path, motion: Motion, size: Size) -> bytes:
    """A VOC file with moved edges; objects that left the image are gone, all else stays."""
    tree: Any = parse(path, forbid_dtd=True).getroot()
    for parent in list(tree.iter()):
        for item in parent.findall("object"):
            corners = [item.find(f"bndbox/{edge}") for edge in _EDGES]
            left, top, right, bottom = (float(corner.text) for corner in corners)
            box = move_box(_within("", left, top, right, bottom, size), motion, size)
            if box is None:
                parent.remove(item)
                continue
            edges = (box.x, box.y, box.x + box.w, box.y + box.h)
            for corner, edge in zip(corners, edges, strict=True):
                corner.text = f"{edge:.12g}"
    return tostring(tree, encoding="utf-8") + b"\n"


def moved_yolo(path: Path, motion: Motion, size: Size) -> bytes:
    """A YOLO file with moved boxes, under the class ids that it has; those that left the image are gone."""
    width, height = size
    lines = []
    for line in path.read_text("utf-8-sig").splitlines():
        if line.strip():
            number, *fields = line.split()
            cx, cy, w, h = (float(field) for field in fields)
            edges = ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height)
            box = move_box(_within(number, *edges, size), motion, size)
            if box is not None:
                lines.append(number + format_yolo([box], [box.name], size).removeprefix("0"))
    return "".join(lines).encode()


def moved_mask(path: Path, motion: Motion, _size: Size) -> bytes:
    """A mask, moved, as PNG of class indices."""
    return encode_png(move_mask(read_mask(path), motion))


def _within(name: str, left: float, top: float, right: float, bottom: float, size: Size) -> Box:
    # As the readers do with what rounding has put beyond the border.
    left, top = max(left, 0.0), max(top, 0.0)
    return Box(name, left, top, min(right, float(size[0])) - left, min(bottom, float(size[1])) - top)
