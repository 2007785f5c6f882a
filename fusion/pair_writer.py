"""Pairs fused in batches and written, into a dataset or a plain folder."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fuse2task.data.dataset import Dataset, Pair
from fuse2task.data.images import encode_png, read_infrared, read_mask, read_visible, write_image
from fuse2task.data.truth.boxes import format_yolo
from fuse2task.runtime.compute import keep_freed_memory
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import JournalWriter, bytes_digest, file_digest, journal_rows, write_bytes
from fuse2task.runtime.locks import sole_writer
from fuse2task.runtime.overlap import Stopwatch, in_batches, overlapped
from fuse2task.runtime.progress import Meter, say
from fusion.methods.base import Colour, Method

Item = TypeVar("Item")
Row = dict[str, Any]  # of the manifest: id, split, digests of the pair's files


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 1) of `count`."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """`i/n` with 1 <= i <= n.

        Raises:
            RequestError: the text is not of that form.
        """
        index, separator, count = text.partition("/")
        if separator and re.fullmatch(r"[0-9]{1,6}/[0-9]{1,6}", text) and 1 <= int(index) <= int(count):
            return cls(int(index), int(count))
        raise RequestError(f"--shard {text}: give i/n with i from 1 to n, such as 1/4")

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Every `count`-th item, from the `index`-th on."""
        return items[self.index - 1 :: self.count]


class FusedJournal(JournalWriter):
    """Rows of the pairs that are done, by any shard; new ones go to the file of this shard, from any thread."""

    def __init__(self, folder: Path, shard: Shard):
        self.rows: dict[str, dict[str, Any]] = {
            row["id"]: row for path in sorted(folder.glob("journal-*.jsonl")) for row in journal_rows(path)
        }
        super().__init__(folder / f"journal-{shard.index}-of-{shard.count}.jsonl")


@dataclass(frozen=True)
class DecodedPair:
    """Infrared (H, W) and visible (H, W, 3) RGB or (H, W) grey, all uint8, with the digests of their files."""

    digests: dict[str, str]
    infrared: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True)
class FusedPixels:
    """Fused pixels, (H, W, 3) or (H, W) uint8, with the digests of the source files."""

    digests: dict[str, str]
    pixels: np.ndarray


class PairWriter:
    """The three steps of `fuse2task.runtime.overlap` for a fused dataset.

    A pair that the journal holds and whose files are as it says passes through as its row.
    """

    def __init__(self, dataset: Dataset, method: Method, out: Path, color: Colour, journal: FusedJournal):
        self.dataset, self.method, self.out, self.color, self.journal = dataset, method, out, color, journal
        self.stopwatch = Stopwatch()
        self.fused = 0  # pairs of this run

    def load(self, pair: Pair) -> DecodedPair | Row:
        """Decode and hash the sources; from any thread."""
        with self.stopwatch.timing("decode"):
            digests = {"infrared": file_digest(pair.infrared), "visible": file_digest(pair.visible)}
            row = self.journal.rows.get(pair.id)
            if row is not None and self._holds(pair, row, digests):
                return row
            return DecodedPair(digests, read_infrared(pair.infrared), read_visible(pair.visible))

    def fuse(self, pairs: Sequence[Pair], loaded: Sequence[DecodedPair | Row]) -> list[FusedPixels | Row]:
        """Fuse pairs of one size; from one thread."""
        missing = sum(isinstance(one, DecodedPair) for one in loaded)
        if not missing:
            return list(loaded)  # type: ignore[arg-type]
        self.fused += missing
        with self.stopwatch.timing("fuse"):
            made = self.method.fuse_batch(pairs, [self._images(*one) for one in zip(pairs, loaded, strict=True)])
        return [
            FusedPixels(one.digests, fused.in_mode(self.color)) if isinstance(one, DecodedPair) else one
            for one, fused in zip(loaded, made, strict=True)
        ]

    def _images(self, pair: Pair, loaded: DecodedPair | Row) -> tuple[np.ndarray, np.ndarray]:
        # Pairs that are written already are fused again with the rest of their batch: on a GPU the last bit of an
        # image may depend on what else is in the batch.
        if isinstance(loaded, DecodedPair):
            return loaded.infrared, loaded.visible
        return read_infrared(pair.infrared), read_visible(pair.visible)

    def store(self, pair: Pair, made: FusedPixels | Row) -> Row:
        """Write label and image, then the journal's row; from any thread."""
        if not isinstance(made, FusedPixels):
            return made
        with self.stopwatch.timing("encode and write"):
            row = {"id": pair.id, "split": pair.split} | made.digests
            label = self._label_path(pair)
            if label is not None:
                row["label"] = _written(label, self._label(pair))
            row["image"] = _written(self._image_path(pair), encode_png(made.pixels))
            self.journal.append(row)
        return row

    def _holds(self, pair: Pair, row: Row, digests: dict[str, str]) -> bool:
        files = {"image": self._image_path(pair), "label": self._label_path(pair)}
        return all(row.get(key) == value for key, value in digests.items()) and all(
            path is None or (path.is_file() and file_digest(path) == row.get(key)) for key, path in files.items()
        )

    def _image_path(self, pair: Pair) -> Path:
        return self.out / "images" / pair.split / f"{pair.id}.png"

    def _label_path(self, pair: Pair) -> Path | None:
        if self.dataset.boxes is not None:
            return self.out / "labels" / pair.split / f"{pair.id}.txt"
        return self.out / "masks" / pair.split / f"{pair.id}.png" if self.dataset.masks is not None else None

    def _label(self, pair: Pair) -> bytes:
        boxes, masks = self.dataset.boxes, self.dataset.masks
        if boxes is not None:
            return format_yolo(boxes.boxes[pair.id], boxes.classes, pair.size).encode()
        assert masks is not None
        return encode_png(read_mask(masks.masks[pair.id]))


def _written(path: Path, content: bytes) -> str:
    write_bytes(path, content)
    return bytes_digest(content)


def fuse_pairs(dataset: Dataset, method: Method, out: Path, color: Colour = "rgb") -> int:
    """Write `out/<id>.png` for every pair; returns how many. Existing files of those names are replaced.

    Files are read and written by threads while the method fuses in this one.

    Raises:
        RequestError: the method cannot fuse a pair, or an image is unreadable.
    """
    method.check(dataset.pairs)
    keep_freed_memory()
    stopwatch = Stopwatch()

    def load(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        with stopwatch.timing("decode"):
            return read_infrared(pair.infrared), read_visible(pair.visible)

    def fuse(group: Sequence[Pair], images: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
        with stopwatch.timing("fuse"):
            made = method.fuse_batch(group, images)
        return [fused.in_mode(color) for fused in made]

    def store(pair: Pair, pixels: np.ndarray) -> None:
        with stopwatch.timing("encode and write"):
            write_image(Path(out) / f"{pair.id}.png", pixels)

    lock = sole_writer(out, Path(out) / ".lock")
    with lock, Meter(method.name, len(dataset.pairs), "pairs") as meter:
        groups = in_batches(dataset.pairs, method.batch_pixels)
        overlapped(groups, load, fuse, store, meter.advance, stopwatch)
    say(f"{method.name}: {stopwatch.summary(len(dataset.pairs), 'pairs')}")
    return len(dataset.pairs)
