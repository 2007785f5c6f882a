"""What a dataset is once it has been read: strict pairs, and the truth that goes with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A registered infrared-visible pair.

    id: path below the modality folder without suffix, `/` written `__`. size: (width, height) of both images.
    conditions: names such as day, night, overcast, scene:<name>.
    """

    id: str
    split: str
    infrared: Path
    visible: Path
    size: tuple[int, int]
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Box:
    """A box of class `name`: left, top, width and height in pixels, coordinates being edges (x = xmin)."""

    name: str
    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True)
class BoxTruth:
    """Boxes of every pair id (an image without objects has an empty tuple); classes in id order.

    clipped: how many boxes were up to 0.5 px outside and have been clipped to the image.
    """

    classes: tuple[str, ...]
    boxes: Mapping[str, tuple[Box, ...]]
    clipped: int = 0


@dataclass(frozen=True)
class MaskTruth:
    """One index mask file per pair id; classes in index order, 255 is ignored."""

    classes: tuple[str, ...]
    masks: Mapping[str, Path]


@dataclass(frozen=True)
class Dataset:
    """Pairs sorted by (split, id), with what truth was found or pointed at."""

    layout: str
    root: Path
    pairs: tuple[Pair, ...]
    boxes: BoxTruth | None = None
    masks: MaskTruth | None = None
    split_name: str = "layout"
    split_hash: str = ""

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have pairs, train before val before test, others after."""
        order = {"train": 0, "val": 1, "test": 2}
        return tuple(sorted({pair.split for pair in self.pairs}, key=lambda name: (order.get(name, 3), name)))

    def part(self, split: str) -> tuple[Pair, ...]:
        """The pairs of one split."""
        return tuple(pair for pair in self.pairs if pair.split == split)


@dataclass(frozen=True)
class Finding:
    """Something wrong with a dataset. kind: a short name such as `missing-partner`; message names the file."""

    kind: str
    message: str
