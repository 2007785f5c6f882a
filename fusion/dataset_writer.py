"""Fused datasets: written resumably and in shards, in a form that other tools read."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from fuse2task.data.dataset import Dataset, validation_split
from fuse2task.data.fused import FORMAT
from fuse2task.data.truth.coco import coco_truth
from fuse2task.runtime.compute import keep_freed_memory
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.files import (
    file_digest,
    lines_hash,
    read_json,
    remove_leftovers,
    value_hash,
    write_json,
    write_text,
)
from fuse2task.runtime.locks import Lock, sole_writer
from fuse2task.runtime.overlap import in_batches, overlapped
from fuse2task.runtime.packages import versions
from fuse2task.runtime.progress import Meter, say
from fusion.methods.base import Colour, Method
from fusion.pair_writer import FusedJournal, PairWriter, Shard


def make_plan(dataset: Dataset, method: Method, color: Colour) -> dict[str, Any]:
    """The manifest without its file rows: JSON values, nothing of time, host or absolute paths."""
    identity = method.identity()
    return {
        "format": FORMAT,
        "version": 1,
        "method": {**identity, "hash": value_hash(identity)},
        "color": color,
        "source": {"layout": dataset.layout, "pairs": len(dataset.pairs)},
        "truth": _truth(dataset),
        "split": {"name": dataset.split_name, "hash": dataset.split_hash},
        "versions": versions("opencv-python-headless", "pillow", "numpy", "torch"),
    }


def _truth(dataset: Dataset) -> dict[str, Any]:
    if dataset.boxes is not None:
        content = {split: coco_truth(dataset.part(split), dataset.boxes) for split in dataset.splits}
        return {"kind": "boxes", "classes": list(dataset.boxes.classes), "hash": value_hash(content)}
    if dataset.masks is not None:
        files = {pair.id: file_digest(dataset.masks.masks[pair.id]) for pair in dataset.pairs}
        return {"kind": "masks", "classes": list(dataset.masks.classes), "hash": value_hash(files)}
    return {"kind": "none", "classes": [], "hash": ""}


WORK = ".fuse2task"  # plan, journals and part manifests; gone when the dataset is finished


def write_fused(dataset: Dataset, method: Method, out: Path, color: Colour = "rgb", shard: Shard | None = None) -> bool:
    """Fuse the pairs of `dataset` that belong to `shard` into `out`; whoever finishes last writes the manifest.

    Files are read and written by threads while the method fuses in this one. A killed run is continued by the same
    call. Returns whether the whole dataset is finished.

    Raises:
        RequestError: `out` holds another dataset, the method cannot fuse a pair, an image is unreadable.
    """
    return FusedWriter(dataset, method, Path(out), color, shard or Shard()).run()


class FusedWriter:
    """One process's work on one fused dataset."""

    def __init__(self, dataset: Dataset, method: Method, out: Path, color: Colour, shard: Shard):
        self.dataset, self.method, self.out, self.color, self.shard = dataset, method, out, color, shard
        method.check(dataset.pairs)
        self.plan = make_plan(dataset, method, color)
        self.work = out / WORK
        self.manifest = out / "manifest.json"

    def run(self) -> bool:
        """Write what is missing; returns whether the dataset is finished."""
        if self._is_finished():
            say(f"{self.out}: already finished; nothing to do")
            shutil.rmtree(self.work, ignore_errors=True)  # of a process that was killed at the very end
            return True
        with sole_writer(self.out, self._lock(self.shard)):
            if not self._is_finished():  # by others, since
                self._refuse_other_shards()
                self._claim()
                self._fuse()
                with Lock(self.work / "merge.lock", guards=self.out):
                    self._merge()
        finished = self.manifest.is_file()
        if finished:
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
        write_json(self._part(self.shard.index), rows)

    def _is_finished(self) -> bool:
        # Refuses what is not of this plan.
        found = self.manifest if self.manifest.is_file() else self.work / "plan.json"
        if found.is_file():
            before = read_json(found, "manifest")
            differing = [key for key in self.plan if not _agrees(before.get(key), self.plan[key])]
            if differing:
                raise RequestError(
                    f"{self.out}: holds a fused dataset of another {', '.join(differing)}; give another -o, "
                    "or remove the folder"
                )
        elif self.out.is_dir() and any(self.out.iterdir()) and not self.work.is_dir():
            raise RequestError(f"{self.out}: not empty and not a fused dataset; give another -o")
        return found == self.manifest

    def _claim(self) -> None:
        remove_leftovers(self.out, self._owned_stems())
        self._part(self.shard.index).unlink(missing_ok=True)  # so that no other merges what is being checked again
        write_json(self.work / "plan.json", self.plan)

    def _lock(self, shard: Shard) -> Path:
        return self.work / f"shard-{shard.index}-of-{shard.count}.lock"

    def _refuse_other_shards(self) -> None:
        # Parts of one count share no pair; those of another do.
        for path in self.work.glob("shard-*-of-*.lock"):
            if path.stem.endswith(f"-of-{self.shard.count}"):
                continue
            with sole_writer(self.out, path):
                pass

    def _owned_stems(self) -> set[str]:
        stems = {pair.id for pair in self.shard.of(self.dataset.pairs)}
        return stems | {"manifest", "data", *self.dataset.splits} if self.shard.count == 1 else stems

    def _part(self, index: int) -> Path:
        return self.work / f"part-{index}-of-{self.shard.count}.json"

    def _merge(self) -> None:
        parts = [self._part(index) for index in range(1, self.shard.count + 1)]
        try:
            rows = [row for part in parts for row in json.loads(part.read_text("utf-8"))]
        except FileNotFoundError:
            # Either a shard is not finished, or another process has merged and cleaned up in the meantime.
            return
        self._refuse_missing(rows)
        for path, text in self._companions():
            write_text(path, text)
        order = {split: number for number, split in enumerate(self.dataset.splits)}
        rows.sort(key=lambda row: (order[row["split"]], row["id"]))
        sources = lines_hash(f"{row['id']}\t{row['infrared']}\t{row['visible']}" for row in rows)
        manifest = self.plan | {"files": rows, "source": self.plan["source"] | {"hash": sources}}
        write_json(self.manifest, manifest)
        say(f"{self.out}: {len(rows)} pairs fused by {self.method.name}")

    def _refuse_missing(self, rows: list[dict[str, Any]]) -> None:
        paths = [self.out / "images" / row["split"] / f"{row['id']}.png" for row in rows]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise Fuse2TaskError(
                f"{missing[0]}: removed since it was written, as {len(missing) - 1} others; run the same command "
                "again (with --shard: every part)"
            )

    def _companions(self) -> Iterator[tuple[Path, str]]:
        boxes = self.dataset.boxes
        if boxes is None:
            return
        for split in self.dataset.splits:
            text = json.dumps(coco_truth(self.dataset.part(split), boxes), sort_keys=True, allow_nan=False)
            yield self.out / "annotations" / f"{split}.json", text + "\n"
        folders = {split: f"images/{split}" for split in self.dataset.splits}
        any_split = folders.get("test", next(iter(folders.values())))
        validation = validation_split(self.dataset.splits)
        # Ultralytics needs both keys. Without a validation split it validates on what it trains on: never on test.
        config: dict[str, Any] = {"train": folders.get("train", any_split)}
        config["val"] = folders[validation] if validation else config["train"]
        config.update({"test": folders["test"]} if "test" in folders else {})
        config["names"] = dict(enumerate(boxes.classes))
        if self.color == "gray":
            config["channels"] = 1
        text = yaml.safe_dump(config, sort_keys=False)
        if validation is None and "train" in folders:
            text = "# No validation split: val is the training images, which say nothing about new ones.\n" + text
        yield self.out / "data.yaml", text


def _agrees(before: Any, planned: Any) -> bool:
    # A finished manifest says more about its source than the plan (the hash of what was read).
    if isinstance(before, dict) and isinstance(planned, dict):
        return all(before.get(key) == value for key, value in planned.items())
    return bool(before == planned)
