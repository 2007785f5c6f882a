"""Fused datasets, written resumably and in shards, in a form that other tools read; plain folders of fused images."""

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml

from fuse2task.data.classes import palette_hash
from fuse2task.data.dataset import Dataset, Pair, content_hash, validation_split
from fuse2task.data.fused import FORMAT, VERSION
from fuse2task.data.images import encode_png, read_mask, read_pair, write_image
from fuse2task.data.truth.boxes import format_yolo
from fuse2task.data.truth.coco import coco_truth
from fuse2task.runtime import files
from fuse2task.runtime.compute import keep_freed_memory
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.locks import Lock, sole_writer
from fuse2task.runtime.overlap import Stopwatch, in_batches, overlapped
from fuse2task.runtime.packages import versions
from fuse2task.runtime.progress import Meter, say
from fuse2task.runtime.records import differing, refuse
from fusion.methods.base import Colour, Method

Item = TypeVar("Item")
Row = dict[str, Any]  # of the manifest: id, split, digests of the pair's files
FusedPixels = tuple[dict[str, str], np.ndarray]  # digests of the sources, fused pixels (H, W, 3) or (H, W) uint8
WORK = ".fuse2task"  # plan, journals and part manifests; gone when the dataset is finished


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 1) of `count`."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """`i/n` with 1 <= i <= n. Raises RequestError: the text is not of that form."""
        index, separator, count = text.partition("/")
        if separator and re.fullmatch(r"[0-9]{1,6}/[0-9]{1,6}", text) and 1 <= int(index) <= int(count):
            return cls(int(index), int(count))
        raise RequestError(f"--shard {text}: give i/n with i from 1 to n, such as 1/4")

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Every `count`-th item, from the `index`-th on."""
        return items[self.index - 1 :: self.count]


class FusedJournal(files.JournalWriter):
    """Rows of the pairs that are done, by any shard; new ones go to the file of this shard, from any thread."""

    def __init__(self, folder: Path, shard: Shard):
        paths = sorted(folder.glob("journal-*.jsonl"))
        self.rows: dict[str, Row] = {row["id"]: row for path in paths for row in files.journal_rows(path)}
        super().__init__(folder / f"journal-{shard.index}-of-{shard.count}.jsonl")


@dataclass(frozen=True)
class DecodedPair:
    """Infrared (H, W) and visible (H, W, 3) RGB or (H, W) grey, all uint8, with the digests of their files."""

    digests: dict[str, str]
    infrared: np.ndarray
    visible: np.ndarray


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
            digests = {"infrared": files.file_digest(pair.infrared), "visible": files.file_digest(pair.visible)}
            row = self.journal.rows.get(pair.id)
            if row is not None and self._holds(pair, row, digests):
                return row
            return DecodedPair(digests, *read_pair(pair))

    def fuse(self, pairs: Sequence[Pair], loaded: Sequence[DecodedPair | Row]) -> list[FusedPixels | Row]:
        """Fuse pairs of one size; from one thread."""
        missing = sum(isinstance(one, DecodedPair) for one in loaded)
        if not missing:
            return list(loaded)  # type: ignore[arg-type]
        self.fused += missing
        # Pairs that are written already are fused again with the rest of their batch: on a GPU the last bit of an
        # image may depend on what else is in the batch.
        images = [
            (one.infrared, one.visible) if isinstance(one, DecodedPair) else read_pair(pair)
            for pair, one in zip(pairs, loaded, strict=True)
        ]
        with self.stopwatch.timing("fuse"):
            made = self.method.fuse_batch(pairs, images)
        return [
            (one.digests, fused.in_mode(self.color)) if isinstance(one, DecodedPair) else one
            for one, fused in zip(loaded, made, strict=True)
        ]

    def store(self, pair: Pair, made: FusedPixels | Row) -> Row:
        """Write label and image, then the journal's row; from any thread."""
        if not isinstance(made, tuple):
            return made
        with self.stopwatch.timing("encode and write"):
            row = {"id": pair.id, "split": pair.split} | made[0]
            for key, path in self._files(pair).items():
                content = encode_png(made[1]) if key == "image" else self._label(pair)
                files.write_bytes(path, content)
                row[key] = files.bytes_digest(content)
            self.journal.append(row)
        return row

    def _holds(self, pair: Pair, row: Row, digests: dict[str, str]) -> bool:
        return all(row.get(key) == value for key, value in digests.items()) and all(
            path.is_file() and files.file_digest(path) == row.get(key) for key, path in self._files(pair).items()
        )

    def _files(self, pair: Pair) -> dict[str, Path]:
        # The label, if the pair has one, is there before its image.
        image, places = f"{pair.split}/{pair.id}.png", {}
        if self.dataset.boxes is not None:
            places["label"] = self.out / "labels" / pair.split / f"{pair.id}.txt"
        elif self.dataset.masks is not None:
            places["label"] = self.out / "masks" / image
        return places | {"image": self.out / "images" / image}

    def _label(self, pair: Pair) -> bytes:
        boxes, masks = self.dataset.boxes, self.dataset.masks
        if boxes is not None:
            return format_yolo(boxes.boxes[pair.id], boxes.classes, pair.size).encode()
        assert masks is not None
        return encode_png(read_mask(masks.masks[pair.id], masks.palette))


def make_plan(dataset: Dataset, method: Method, color: Colour) -> dict[str, Any]:
    """The manifest without its file rows: JSON values, nothing of time, host or absolute paths."""
    identity = method.identity()
    return {
        "format": FORMAT,
        "version": VERSION,
        "method": {**identity, "hash": files.value_hash(identity)},
        "color": color,
        "source": {"layout": dataset.layout, "pairs": len(dataset.pairs)},
        "truth": _truth(dataset),
        "split": {"name": dataset.split_name, "hash": dataset.split_hash},
        "versions": versions("opencv-python-headless", "pillow", "numpy", "torch"),
    }


def _truth(dataset: Dataset) -> dict[str, Any]:
    if dataset.boxes is not None:
        content = {split: coco_truth(dataset.part(split), dataset.boxes) for split in dataset.splits}
        return {"kind": "boxes", "classes": list(dataset.boxes.classes), "hash": files.value_hash(content)}
    if dataset.masks is not None:
        masks = {pair.id: files.file_digest(dataset.masks.masks[pair.id]) for pair in dataset.pairs}
        masks |= {"/palette": palette_hash(dataset.masks.palette)} if dataset.masks.palette else {}  # no id has a slash
        return {"kind": "masks", "classes": list(dataset.masks.classes), "hash": files.value_hash(masks)}
    return {"kind": "none", "classes": [], "hash": ""}


def write_fused(dataset: Dataset, method: Method, out: Path, color: Colour = "rgb", shard: Shard | None = None) -> bool:
    """Fuse the pairs of `dataset` that belong to `shard` into `out`; whoever finishes last writes the manifest.

    Files are read and written by threads while the method fuses in this one. A killed run is continued by the same
    call. Returns whether the whole dataset is finished.

    Raises RequestError: `out` holds another dataset, the method cannot fuse a pair, an image is unreadable.
    """
    return FusedWriter(dataset, method, Path(out), color, shard or Shard()).run()


class FusedWriter:
    """One process's work on one fused dataset."""

    def __init__(self, dataset: Dataset, method: Method, out: Path, color: Colour, shard: Shard):
        self.dataset, self.method, self.out, self.color, self.shard = dataset, method, out, color, shard
        method.check(dataset.pairs)
        files.refuse_overlap(out, *dataset.folders, *method.inputs)
        self.plan = make_plan(dataset, method, color)
        self.work, self.manifest = out / WORK, out / "manifest.json"

    def run(self) -> bool:
        """Write what is missing; returns whether the dataset is finished."""
        files.refuse_links(self.out)
        if self._is_finished():
            say(f"{self.out}: already finished; nothing to do")
            shutil.rmtree(self.work, ignore_errors=True)  # of a process that was killed at the very end
            return True
        with sole_writer(self.out, self.work / f"shard-{self.shard.index}-of-{self.shard.count}.lock"):
            if not self._is_finished():  # by others, since
                self._refuse_other_shards()
                self._claim()
                self._fuse()
                with Lock(self.work / "merge.lock", guards=self.out):
                    self._merge()
        if finished := self.manifest.is_file():
            shutil.rmtree(self.work, ignore_errors=True)
        return finished

    def _fuse(self) -> None:
        keep_freed_memory()
        pairs = self.shard.of(self.dataset.pairs)
        with FusedJournal(self.work, self.shard) as journal, Meter(self.method.name, len(pairs), "pairs") as meter:
            writer = PairWriter(self.dataset, self.method, self.out, self.color, journal)
            groups = in_batches(pairs, self.method.batch_pixels)
            rows = overlapped(groups, writer.load, writer.fuse, writer.store, meter.advance, writer.stopwatch)
        if writer.fused:
            say(f"{self.method.name}: {writer.stopwatch.summary(writer.fused, 'pairs')}")
        files.write_json(self._part(self.shard.index), rows)

    def _is_finished(self) -> bool:
        # Refuses what is not of this plan.
        found = self.manifest if self.manifest.is_file() else self.work / "plan.json"
        if found.is_file():
            before, made_of = files.read_json(found, "manifest"), self.plan
            if found == self.manifest:  # of an unfinished one each image is compared by itself
                made_of = made_of | {"source": made_of["source"] | {"hash": content_hash(self.dataset.pairs)}}
            refuse(self.out, "a fused dataset", differing(_narrowed(before, made_of), made_of))
        elif self.out.is_dir() and any(self.out.iterdir()) and not self.work.is_dir():
            raise RequestError(f"{self.out}: not empty and not a fused dataset; give another -o")
        return found == self.manifest

    def _claim(self) -> None:
        stems = {pair.id for pair in self.shard.of(self.dataset.pairs)}
        if self.shard.count == 1:
            stems |= {"manifest", "data", *self.dataset.splits}
        files.remove_leftovers(self.out, stems)
        self._part(self.shard.index).unlink(missing_ok=True)  # so that no other merges what is being checked again
        files.write_json(self.work / "plan.json", self.plan)

    def _refuse_other_shards(self) -> None:
        # Parts of one count share no pair; those of another do.
        for path in self.work.glob("shard-*-of-*.lock"):
            if not path.stem.endswith(f"-of-{self.shard.count}"):
                with sole_writer(self.out, path):
                    pass

    def _part(self, index: int) -> Path:
        return self.work / f"part-{index}-of-{self.shard.count}.json"

    def _merge(self) -> None:
        parts = [self._part(index) for index in range(1, self.shard.count + 1)]
        try:
            rows = [row for part in parts for row in json.loads(part.read_text("utf-8"))]
        except FileNotFoundError:
            # Either a shard is not finished, or another process has merged and cleaned up in the meantime.
            return
        paths = [self.out / "images" / row["split"] / f"{row['id']}.png" for row in rows]
        if missing := [path for path in paths if not path.is_file()]:
            raise Fuse2TaskError(
                f"{missing[0]}: removed since it was written, as {len(missing) - 1} others; run the same command "
                "again (with --shard: every part)"
            )
        for path, text in self._companions():
            files.write_text(path, text)
        order = {split: number for number, split in enumerate(self.dataset.splits)}
        rows.sort(key=lambda row: (order[row["split"]], row["id"]))
        sources = files.lines_hash(f"{row['id']}\t{row['infrared']}\t{row['visible']}" for row in rows)
        files.write_json(self.manifest, self.plan | {"files": rows, "source": self.plan["source"] | {"hash": sources}})
        say(f"{self.out}: {len(rows)} pairs fused by {self.method.name}")

    def _companions(self) -> Iterator[tuple[Path, str]]:
        boxes = self.dataset.boxes
        if boxes is None:
            return
        for split in self.dataset.splits:
            text = json.dumps(coco_truth(self.dataset.part(split), boxes), sort_keys=True, allow_nan=False)
            yield self.out / "annotations" / f"{split}.json", text + "\n"
        folders = {split: f"images/{split}" for split in self.dataset.splits}
        train = folders.get("train", folders.get("test", next(iter(folders.values()))))
        validation = validation_split(self.dataset.splits)
        # Ultralytics needs both keys. Without a validation split it validates on what it trains on: never on test.
        config: dict[str, Any] = {"train": train, "val": folders[validation] if validation else train}
        config |= {"test": folders["test"]} if "test" in folders else {}
        config |= {"names": dict(enumerate(boxes.classes))} | ({"channels": 1} if self.color == "gray" else {})
        note = "# No validation split: val is the training images, which say nothing about new ones.\n"
        note = note if validation is None and "train" in folders else ""
        yield self.out / "data.yaml", note + yaml.safe_dump(config, sort_keys=False)


def _narrowed(before: Any, planned: dict[str, Any]) -> Any:
    # Manifests say more than plans, and those of former versions more than those of this one.
    if not isinstance(before, dict):
        return before
    found = {key: before.get(key) for key in planned}
    for key, value in planned.items():
        own = found[key]
        if isinstance(value, dict) and isinstance(own, dict):
            found[key] = {inner: own.get(inner) for inner in value}
    return found


def fuse_pairs(dataset: Dataset, method: Method, out: Path, color: Colour = "rgb") -> int:
    """Write `out/<id>.png` for every pair; returns how many. Existing files of those names are replaced.

    Files are read and written by threads while the method fuses in this one.

    Raises:
        RequestError: the method cannot fuse a pair, an image is unreadable, or `out` overlaps a folder of sources.
    """
    method.check(dataset.pairs)
    files.refuse_overlap(out, *dataset.folders, *method.inputs)
    keep_freed_memory()
    stopwatch = Stopwatch()

    load = stopwatch.timing("decode")(read_pair)

    @stopwatch.timing("fuse")
    def fuse(group: Sequence[Pair], images: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
        return [fused.in_mode(color) for fused in method.fuse_batch(group, images)]

    @stopwatch.timing("encode and write")
    def store(pair: Pair, pixels: np.ndarray) -> None:
        write_image(Path(out) / f"{pair.id}.png", pixels)

    with sole_writer(out, Path(out) / ".lock"), Meter(method.name, len(dataset.pairs), "pairs") as meter:
        groups = in_batches(dataset.pairs, method.batch_pixels)
        overlapped(groups, load, fuse, store, meter.advance, stopwatch)
    say(f"{method.name}: {stopwatch.summary(len(dataset.pairs), 'pairs')}")
    return len(dataset.pairs)
