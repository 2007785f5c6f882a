"""Tone mapping of 16-bit infrared, one for a whole set, and repair of hot and dead pixels found over its frames."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import Field, field_validator, model_validator

from fuse2task.config.recipes import Recipe
from fuse2task.data.images import read_counts
from fuse2task.rig.pairing import spread
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.overlap import SPARE, ahead, threads
from fuse2task.runtime.progress import Meter
from fuse2task.runtime.reading import read_csv

KELVIN = {"centikelvin": 0.01, "decikelvin": 0.1}  # a count of cameras with a linear temperature output
LEVELS = 65536
DEVIATIONS = 8.0  # of a frame's detail, from which a pixel that stands out in most frames is defective
FEWEST = 8  # frames from which a defect differs from what a pixel looks at
MOST_BAD = 0.01  # share of defective pixels; sensors are sold with less than half of that
_RING = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
_NEAREST = sorted(((y, x) for y in range(-3, 4) for x in range(-3, 4) if (y, x) != (0, 0)), key=lambda p: np.hypot(*p))
_SOURCES = 4  # good neighbours whose median replaces a defective pixel


class BadPixels(Recipe):
    """Where hot and dead pixels are known from. frames: in how many, evenly spread over the set, they are looked for;
    the scene should move between them. map: a CSV file with the columns `x` and `y` instead, counted from 0."""

    frames: int = Field(default=32, ge=FEWEST, le=256)
    map: str | None = None


class Radiometry(Recipe):
    """How counts of the infrared camera become 8 bits: by one rule for the whole set.

    unit: what a count is; centikelvin and decikelvin are temperatures. map: range: linear from `range`, in kelvin
    where the unit tells it, else in counts. percentiles: linear between two percentiles of all pixels of the set.
    plateau: equalisation of the set's histogram, in which no count stands for more than the share `plateau` of its
    pixels. clahe: as percentiles, then OpenCV's adaptive equalisation of each frame in tiles x tiles parts. per_frame:
    each frame by its own pixels alone; films flicker then.
    """

    unit: Literal["counts", "centikelvin", "decikelvin"] = "counts"
    map: Literal["range", "percentiles", "plateau", "clahe"] = "percentiles"
    range: tuple[float, float] | None = None
    percentiles: tuple[float, float] = (0.1, 99.9)
    plateau: float = Field(default=0.002, gt=0, le=1)
    clip_limit: float = Field(default=2.0, gt=0)
    tiles: int = Field(default=8, ge=1, le=64)
    per_frame: bool = False

    @field_validator("percentiles")
    @classmethod
    def _ascend(cls, values: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= values[0] < values[1] <= 100:
            raise ValueError(f"{list(values)}: two percentiles in ascending order, from 0 to 100")
        return values

    @model_validator(mode="after")
    def _has_range(self) -> "Radiometry":
        if (self.map == "range") != (self.range is not None):
            raise ValueError("range is for map: range, and needed there")
        if self.range is not None and (self.range[0] >= self.range[1] or self.per_frame):
            raise ValueError("range: from a lower to a higher value, the same for every frame")
        return self


@dataclass(frozen=True)
class ToneMap:
    """8 bits from counts. low, high: counts that become black and white; table: (65536,) uint8 grey level by count;
    without both, each frame is mapped by its own histogram."""

    section: Radiometry
    low: float = 0.0
    high: float = 0.0
    table: np.ndarray | None = None

    @classmethod
    def of(cls, section: Radiometry, counts: np.ndarray) -> "ToneMap":
        """The one that a histogram decides, (65536,) int64. RequestError: all pixels are equal."""
        if section.range is not None:
            scale = KELVIN.get(section.unit, 1.0)
            low, high = (round(value / scale, 6) for value in section.range)
        else:
            shares = (0.0, 100.0) if section.map == "plateau" else section.percentiles
            total = np.cumsum(counts)
            low, high = (int(np.searchsorted(total, max(share / 100 * total[-1], 1))) for share in shares)
        if low == high:
            raise RequestError(f"infrared shows nothing between the percentiles, all pixels are {low}; give a range")
        if section.map == "plateau":
            limited = np.minimum(counts, max(int(section.plateau * counts.sum()), 1))
            below = np.cumsum(limited) - limited  # so the first count that there is becomes black
            share = below / below[int(high)]
        else:
            share = (np.arange(LEVELS) - low) / (high - low)
        return cls(section, low, high, np.rint(share.clip(0, 1) * 255).astype(np.uint8))

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W) uint8 from (H, W) uint16 or uint8 counts. RequestError: mapped by itself, and all pixels are equal."""
        table = ToneMap.of(self.section, histogram(pixels)).table if self.table is None else self.table
        assert table is not None
        mapped = table[pixels]
        if self.section.map == "clahe":
            return cv2.createCLAHE(self.section.clip_limit, (self.section.tiles,) * 2).apply(mapped)
        return mapped

    def as_json(self) -> dict[str, Any]:
        """For a manifest: the range that is drawn in counts, and in kelvin where the unit tells it."""
        found: dict[str, Any] = {"unit": self.section.unit, "map": self.section.map}
        if self.table is None:
            return {**found, "per_frame": True}
        scale = KELVIN.get(self.section.unit)
        kelvin = {"kelvin": [round(value * scale, 4) for value in (self.low, self.high)]} if scale else {}
        return {**found, "counts": [self.low, self.high], **kelvin}


def histogram(pixels: np.ndarray) -> np.ndarray:
    """How many pixels have each count: (65536,) int64."""
    return np.bincount(pixels.ravel(), minlength=LEVELS)


def read_set(paths: Sequence[Path], label: str) -> Iterator[np.ndarray]:
    """Each infrared file as `read_counts` gives it; the next ones are decoded meanwhile.

    RequestError: as `read_counts`; a file has other bits than the first one.
    """
    first = None
    with ThreadPoolExecutor(threads()) as readers, Meter(label, len(paths)) as meter:
        for path, pixels in zip(paths, ahead(paths, read_counts, readers, threads() + SPARE), strict=True):
            first = first or pixels.dtype
            if pixels.dtype != first:
                bits, fix = 8 * pixels.itemsize, "import 16-bit and 8-bit infrared apart"
                raise RequestError(f"{path}: {bits} bits, but {paths[0]} has {8 * first.itemsize}; {fix}")
            yield pixels
            meter.advance()


def set_histogram(paths: Sequence[Path], bad: np.ndarray) -> np.ndarray:
    """Histogram of all infrared files of a set, (65536,) int64, with `bad` pixels repaired; see `read_set`."""
    counts = np.zeros(LEVELS, np.int64)
    for pixels in read_set(paths, "range of the infrared"):
        counts += histogram(repaired(pixels, bad))
    return counts


def bad_pixels(paths: Sequence[Path], section: BadPixels, size: tuple[int, int]) -> np.ndarray:
    """Defective pixels of the infrared camera: (n, 2) int, x and y, sorted by row. size: (width, height) of its files.

    RequestError: as `find_bad_pixels` or `read_set`, or a map that is none.
    """
    if section.map is None:
        return find_bad_pixels(read_set(spread(paths, section.frames), "defective pixels"))
    columns, rows = read_csv(Path(section.map), "map of defective pixels")
    try:
        found = sorted({(int(row["y"]), int(row["x"])) for row in rows})
    except (KeyError, ValueError):
        text = "needs whole numbers in columns x and y"
        raise RequestError(f"{section.map}: {text}; it has {', '.join(columns)}") from None
    if outside := [(x, y) for y, x in found if not (0 <= x < size[0] and 0 <= y < size[1])]:
        raise RequestError(f"{section.map}: pixel {outside[0]} is outside of images of {size[0]}x{size[1]}")
    return np.array(found, int).reshape(-1, 2)[:, ::-1]


def find_bad_pixels(frames: Iterator[np.ndarray]) -> np.ndarray:
    """Pixels that are defective whatever they look at: (n, 2) int, x and y, sorted by row.

    frames: at least `FEWEST` of (H, W) uint8 or uint16. Hot or cold: in most frames above (below) all but one of the
    eight neighbours by `DEVIATIONS` times the frame's detail, 1.4826 times the median distance from the median of
    3x3; so two defects may touch. Dead: the same count in every frame, unlike all but two of the neighbours.

    RequestError: too few frames, or more than `MOST_BAD` of the pixels: then the scene, not the sensor, was found.
    """
    number, above, below, lowest, highest = 0, 0, 0, None, None
    for pixels in frames:
        number += 1
        values = pixels.astype(np.int32)
        framed = np.pad(values, 1, mode="reflect")
        height, width = values.shape
        ring = np.stack([framed[1 + y : 1 + y + height, 1 + x : 1 + x + width] for y, x in _RING])
        ring.partition((1, 6), axis=0)
        detail = 1.4826 * float(np.median(np.abs(values - cv2.medianBlur(pixels, 3).astype(np.int32))))
        limit = DEVIATIONS * max(detail, 1.0)
        above = above + (values - ring[6] > limit)
        below = below + (ring[1] - values > limit)
        lowest = values if lowest is None else np.minimum(lowest, values)
        highest = values if highest is None else np.maximum(highest, values)
    if number < FEWEST or lowest is None or highest is None:
        fix = f"{FEWEST} are needed; give a map of them instead"
        raise RequestError(f"{number} frames are too few to find defective pixels in; {fix}")
    bad = np.maximum(above, below) > number / 2
    constant = lowest == highest
    if constant.mean() < MOST_BAD:  # a fixed scene without noise is constant everywhere
        beside = cv2.boxFilter(constant.astype(np.float32), -1, (3, 3), normalize=False) - constant
        # What is always as cold or as hot as the camera can tell is no defect; such defects stand out anyway.
        clipped = (lowest <= np.percentile(lowest, 1)) | (highest >= np.percentile(highest, 99))
        bad |= constant & (beside < 2.5) & ~clipped
    if bad.mean() > MOST_BAD:
        text = "the scene may not move; give a map of them, or frames of several scenes"
        raise RequestError(f"{100 * bad.mean():.1f} % of the infrared pixels look defective: {text}")
    return np.argwhere(bad)[:, ::-1]


def repaired(pixels: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """The same image, each pixel in `bad` (n, 2; x, y) the median of the four nearest good ones; unchanged without any.

    RequestError: a defective pixel has fewer than four good ones in 7x7.
    """
    if not len(bad):
        return pixels
    good = np.ones(pixels.shape, bool)
    good[bad[:, 1], bad[:, 0]] = False
    offsets = np.array(_NEAREST)
    rows, columns = (bad[:, (1 - axis,)] + offsets[None, :, axis] for axis in (0, 1))
    inside = (rows >= 0) & (rows < pixels.shape[0]) & (columns >= 0) & (columns < pixels.shape[1])
    rows, columns = rows.clip(0, pixels.shape[0] - 1), columns.clip(0, pixels.shape[1] - 1)
    usable = inside & good[rows, columns]
    if (few := usable.sum(axis=1) < _SOURCES).any():
        x, y = bad[few][0]
        raise RequestError(f"defective pixel ({x}, {y}) has too few good ones around it; crop that part of the image")
    nearest = np.argsort(~usable, axis=1, kind="stable")[:, :_SOURCES]
    values = np.take_along_axis(pixels[rows, columns], nearest, axis=1)
    fixed = pixels.copy()
    fixed[bad[:, 1], bad[:, 0]] = np.rint(np.median(values, axis=1)).astype(pixels.dtype)
    return fixed
