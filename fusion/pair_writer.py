"""One pair of a fused dataset: read, fused, written with its label, and noted in the journal."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fuse2task.data.dataset import Dataset, Pair
from fuse2task.data.images import encode_png, read_infrared, read_mask, read_visible
from fuse2task.data.truth.boxes import format_yolo
from fuse2task.runtime.files import write_bytes
from fuse2task.runtime.hashing import bytes_digest, file_digest
from fuse2task.runtime.stopwatch import Stopwatch
from fusion.fused_journal import FusedJournal
from fusion.fused_plan import Colour
from fusion.methods.base import Method

Row = dict[str, Any]  # of the manifest: id, split, digests of the pair's files


@dataclass(frozen=True)
class Decoded:
    """Infrared (H, W) and visible (H, W, 3) RGB or (H, W) grey, all uint8, with the digests of their files."""

    digests: dict[str, str]
    infrared: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True)
class Made:
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

    def load(self, pair: Pair) -> Decoded | Row:
        """Decode and hash the sources; from any thread."""
        with self.stopwatch.timing("decode"):
            digests = {"infrared": file_digest(pair.infrared), "visible": file_digest(pair.visible)}
            row = self.journal.rows.get(pair.id)
            if row is not None and self._holds(pair, row, digests):
                return row
            return Decoded(digests, read_infrared(pair.infrared), read_visible(pair.visible))

    def fuse(self, pairs: Sequence[Pair], loaded: Sequence[Decoded | Row]) -> list[Made | Row]:
        """Fuse pairs of one size; from one thread."""
        if not any(isinstance(one, Decoded) for one in loaded):
            return list(loaded)  # type: ignore[arg-type]
        with self.stopwatch.timing("fuse"):
            made = self.method.fuse_batch(pairs, [self._images(*one) for one in zip(pairs, loaded, strict=True)])
        results: list[Made | Row] = []
        for one, fused in zip(loaded, made, strict=True):
            if isinstance(one, Decoded):
                self.fused += 1
                results.append(Made(one.digests, fused.rgb if self.color == "rgb" else fused.gray))
            else:
                results.append(one)
        return results

    def _images(self, pair: Pair, loaded: Decoded | Row) -> tuple[np.ndarray, np.ndarray]:
        # What is written already is fused again beside the rest of its batch: on a GPU the last bit of an image may
        # depend on what else is in the batch.
        if isinstance(loaded, Decoded):
            return loaded.infrared, loaded.visible
        return read_infrared(pair.infrared), read_visible(pair.visible)

    def store(self, pair: Pair, made: Made | Row) -> Row:
        """Write label and image, then the journal's row; from any thread."""
        if not isinstance(made, Made):
            return made
        with self.stopwatch.timing("encode and write"):
            row = {"id": pair.id, "split": pair.split} | made.digests
            label = self._label(pair)
            if label is not None:
                write_bytes(label[0], label[1])
                row["label"] = bytes_digest(label[1])
            encoded = encode_png(made.pixels)
            write_bytes(self._image(pair), encoded)
            row["image"] = bytes_digest(encoded)
            self.journal.append(row)
        return row

    def _holds(self, pair: Pair, row: Row, digests: dict[str, str]) -> bool:
        image, label = self._image(pair), self._label_path(pair)
        return (
            all(row.get(key) == value for key, value in digests.items())
            and image.is_file()
            and file_digest(image) == row["image"]
            and (label is None or (label.is_file() and file_digest(label) == row.get("label")))
        )

    def _image(self, pair: Pair) -> Path:
        return self.out / "images" / pair.split / f"{pair.id}.png"

    def _label_path(self, pair: Pair) -> Path | None:
        if self.dataset.boxes is not None:
            return self.out / "labels" / pair.split / f"{pair.id}.txt"
        return self.out / "masks" / pair.split / f"{pair.id}.png" if self.dataset.masks is not None else None

    def _label(self, pair: Pair) -> tuple[Path, bytes] | None:
        path = self._label_path(pair)
        if path is None:
            return None
        if self.dataset.boxes is not None:
            boxes = self.dataset.boxes
            return path, format_yolo(boxes.boxes[pair.id], boxes.classes, pair.size).encode()
        assert self.dataset.masks is not None
        return path, encode_png(read_mask(self.dataset.masks.masks[pair.id]))
