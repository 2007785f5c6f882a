"""Residual misregistration of image pairs in pixels, mutual information, checkerboards, blink image, contact sheet."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from fuse2task.data.check import edge_shift, shift_lengths
from fuse2task.data.images import luma, one_channel
from fuse2task.runtime.errors import RequestError

_LEVELS = 64  # of grey, for mutual information
_HOLD = 500  # ms that a blink image shows each camera
_SIDE = 640  # longest side of a picture on a contact sheet
_CAPTION = 24  # pixels of height


@dataclass(frozen=True)
class Residual:
    """How far a pair is from registered. dx, dy: pixels by which the visible image's edges are to the right of and
    below the infrared one's, None where there are no edges; see `fuse2task.data.check.edge_shift`, which `data check`
    uses too. mutual_information: bits."""

    dx: float | None
    dy: float | None
    mutual_information: float

    @property
    def pixels(self) -> float | None:
        """Length of the shift."""
        return None if self.dx is None or self.dy is None else float(np.hypot(self.dx, self.dy))

    def as_json(self) -> list[float] | None:
        """The shift as `import.json` has it: [dx, dy] or None."""
        return None if self.dx is None or self.dy is None else [round(self.dx, 3), round(self.dy, 3)]


def residual(infrared: np.ndarray, visible: np.ndarray) -> Residual:
    """Of a pair of one size, (H, W) or (H, W, 3) uint8. RequestError: other sizes."""
    first, second = _greys(infrared, visible)
    dx, dy = edge_shift(first, second) or (None, None)
    return Residual(dx, dy, mutual_information(first, second))


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Over frames: by how many pixels edges are apart, and mutual information in bits, `before` and `after`.

    rows: `residual` and `mutual_information` of each frame as `data import` records them, both [before, after].
    Returns for each of the two that any frame has: frames, median, p95 (pixels), and bits (mean).
    """
    found: dict[str, Any] = {}
    for at, name in enumerate(("before", "after")):
        if shifts := [row["residual"][at] for row in rows if row.get("residual") and row["residual"][at] is not None]:
            found[name] = {"frames": len(shifts), **shift_lengths(shifts)}
            bits = [row["mutual_information"][at] for row in rows if row.get("mutual_information")]
            found[name] |= {"bits": round(float(np.mean(bits)), 4)} if bits else {}
    return found


def mutual_information(one: np.ndarray, other: np.ndarray) -> float:
    """Of the grey levels of two images (H, W) uint8 of one size, in 64 bins each; bits (Viola and Wells, IJCV 1997)."""
    step = 256 // _LEVELS
    joint = np.bincount(
        (one.ravel() // step).astype(np.intp) * _LEVELS + other.ravel() // step, minlength=_LEVELS * _LEVELS
    )
    share = joint.reshape(_LEVELS, _LEVELS) / joint.sum()
    chance = share.sum(1, keepdims=True) * share.sum(0, keepdims=True)
    filled = share > 0
    return float((share[filled] * np.log2(share[filled] / chance[filled])).sum())


def checkerboard(infrared: np.ndarray, visible: np.ndarray, tile: int = 64) -> np.ndarray:
    """(H, W, 3) uint8: the cameras in turn on a board of square tiles, the visible one top left; where edges go on
    from tile to tile, the pair is registered. RequestError: images of other sizes."""
    first, _ = _greys(infrared, visible)
    rows, columns = (np.arange(side) // tile for side in first.shape)
    thermal = ((rows[:, None] + columns) % 2 == 1)[..., None]
    return np.where(thermal, np.broadcast_to(first[..., None], (*first.shape, 3)), _coloured(visible))


def blink(infrared: np.ndarray, visible: np.ndarray) -> bytes:
    """A GIF that shows the cameras in turn, each for half a second. RequestError: images of other sizes."""
    first, second = (Image.fromarray(grey) for grey in _greys(infrared, visible))
    out = io.BytesIO()
    first.save(out, "GIF", save_all=True, append_images=[second], duration=_HOLD, loop=0)
    return out.getvalue()


def contact_sheet(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """(H, W, 3) uint8: checkerboards of (infrared, visible) by caption, in rows, at most 640 pixels a side; as
    `checkerboard`. At least one pair."""
    boards = {}
    for caption, pair in pairs.items():
        infrared, visible = (_at_most(image, _SIDE) for image in pair)
        boards[caption] = checkerboard(infrared, visible, tile=max(min(infrared.shape[:2]) // 8, 1))
    height, width = (max(board.shape[axis] for board in boards.values()) for axis in (0, 1))
    columns = int(np.ceil(np.sqrt(len(boards))))
    rows = -(-len(boards) // columns)
    sheet = np.zeros((rows * (height + _CAPTION), columns * width, 3), np.uint8)
    for number, (caption, board) in enumerate(boards.items()):
        y, x = number // columns * (height + _CAPTION), number % columns * width
        strip = np.zeros((_CAPTION, width, 3), np.uint8)
        cv2.putText(strip, caption, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255,) * 3, 1, cv2.LINE_AA)
        sheet[y : y + _CAPTION, x : x + width] = strip
        sheet[y + _CAPTION : y + _CAPTION + board.shape[0], x : x + board.shape[1]] = board
    return sheet


def _at_most(image: np.ndarray, side: int) -> np.ndarray:
    scale = side / max(image.shape[:2])
    return image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _greys(infrared: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if infrared.shape[:2] != visible.shape[:2]:
        sizes = (f"{image.shape[1]}x{image.shape[0]}" for image in (infrared, visible))
        raise RequestError(f"images of {' and '.join(sizes)}; bring them to one size first, by an alignment")
    return one_channel(infrared), luma(visible)


def _coloured(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 3 else np.broadcast_to(image[..., None], (*image.shape, 3))
