"""Degraded copies of datasets: same layout and names, resumable, equal bytes for equal requests."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fuse2task.data.dataset import Dataset, Pair
from fuse2task.data.degradation.geometry import motion_of, move_box, moved_mask, moved_voc, moved_yolo
from fuse2task.data.degradation.kinds import KINDS, kind_of
from fuse2task.data.degradation.sensor import Shot
from fuse2task.data.images import SUFFIXES, encode_png, read_infrared, read_visible
from fuse2task.data.layouts import LAYOUTS
from fuse2task.data.loading import load_dataset
from fuse2task.data.truth.boxes import file_of, format_yolo, truth_files
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import read_json, remove_leftovers, write_bytes, write_json
from fuse2task.runtime.hashing import bytes_digest, file_digest
from fuse2task.runtime.journal import JournalWriter, journal_rows
from fuse2task.runtime.locks import sole_writer
from fuse2task.runtime.progress import Meter
from fuse2task.runtime.provenance import versions

Role = Literal["visible", "infrared", "voc", "yolo", "masks", "list"]
_TRUTH_SUFFIXES = {"voc": (".xml",), "yolo": (".txt",), "masks": SUFFIXES}


@dataclass(frozen=True)
class Part:
    """A file of a dataset. pair: whose it is, None for a list."""

    path: Path
    role: Role
    pair: Pair | None = None


def parts_of(dataset: Dataset) -> list[Part]:
    """Every file that belongs to `dataset`, sorted by path.

    Images of the pairs, the clean references that AWMM keeps beside them, truth inside the layout, class
    names, split lists and `scenes.tsv`. Truth that was given apart is no part of it, nor is anything else below
    the root.
    """
    root, pairs = dataset.root, dataset.pairs
    found = [Part(pair.visible, "visible", pair) for pair in pairs]
    found += [Part(pair.infrared, "infrared", pair) for pair in pairs]
    if dataset.layout == "awmm":
        references = (path.parent.with_name(f"gt_{path.parent.name}") / path.name for path in [p.path for p in found])
        found += [Part(path, "list") for path in references if path.is_file()]
    lists = [*root.glob("*.txt"), *root.glob("*.tsv"), *root.glob("meta/*.txt")]
    for own in LAYOUTS[dataset.layout].truth:
        folders = [root / name for name in own.folders if (root / name).is_dir()]
        files, _ = truth_files(folders, _TRUTH_SUFFIXES[own.kind])
        for pair in pairs:
            path = file_of(pair, files)
            if path is not None:
                found.append(Part(path, own.kind, pair))
        lists += [folder / "classes.txt" for folder in folders if (folder / "classes.txt").is_file()]
    found += [Part(path, "list") for path in lists if not path.name.startswith(".")]
    return sorted(found, key=lambda part: part.path.relative_to(root).as_posix())


FORMAT = "fuse2task.degraded"
MANIFEST = "degraded.json"
WORK = ".fuse2task"  # journal of an unfinished copy
_PACKAGES = ("numpy", "opencv-python-headless", "pillow", "albumentations")
_MODALITIES = ("infrared", "visible")
_MOVED = {"voc": moved_voc, "yolo": moved_yolo, "masks": moved_mask}


@dataclass(frozen=True)
class Degraded:
    """A finished copy. truth: options (boxes, annotations or masks) that `load_dataset` needs for it besides."""

    root: Path
    truth: dict[str, Path] = field(default_factory=dict)


def degrade_dataset(
    root: Path, layout: str, kind: str, level: int, out: Path, *, seed: int = 0, split: str | None = None,
    boxes: Path | None = None, annotations: Path | None = None, masks: Path | None = None,
    move: str | None = None, truth_on: str | None = None,
) -> Degraded:  # fmt: skip
    """Write a copy of a dataset to `out` whose images are degraded; run again, it is checked and mended.

    Images that the kind leaves alone, lists and truth are copied byte for byte; at level 0 everything is. Changed
    images are PNG under the same name (a JPEG's suffix changes, which the layouts do not mind). `out/degraded.json`
    tells what was done, and for each file where it came from and its hash.

    Args:
        root, layout, split, boxes, annotations, masks: as for `load_dataset`. With a split list the copy holds the
            pairs that it names.
        kind: one of `kinds.KINDS`. level: 0 to 5.
        out: new, empty, or an earlier run of the same request.
        seed: another seed, other streaks and noise. Fields do not depend on the level.
        move: misalign only, the image that moves: infrared (default) or visible.
        truth_on: misalign only, the image that the truth was drawn on: visible (default) or infrared. Truth moves
            when this is the image that moves; if it was given apart, it is then written to `out/boxes` (YOLO) or
            `out/masks`.

    Raises:
        RequestError: what `load_dataset` raises, an unknown kind or level, an `out` that holds something else or
            lies in the root (or the root in it), an option of misalign with another kind.
    """
    kind_of(kind, level)
    root, out = Path(root), Path(out)
    for name, value in (("move", move), ("truth_on", truth_on)):
        if value is not None and (kind != "misalign" or value not in _MODALITIES):
            text = f"{name} {value!r}: for kind misalign only, and one of {', '.join(_MODALITIES)}"
            raise RequestError(text)
    inner, outer = out.resolve(), root.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise RequestError(f"{out}: the copy and its source {root} lie in one another; give another -o")
    given = {"boxes": boxes, "annotations": annotations, "masks": masks}
    dataset = load_dataset(root, layout, split=split, boxes=boxes, annotations=annotations, masks=masks)
    moves = (move or "infrared", truth_on or "visible") if kind == "misalign" else None
    return _Copy(dataset, kind, level, out, seed, moves, {k: Path(v) for k, v in given.items() if v}).run()


class _Copy:
    """One copy being written. moves: (image that moves, image of the truth) for misalign."""

    def __init__(
        self, dataset: Dataset, kind: str, level: int, out: Path, seed: int, moves: tuple[str, str] | None,
        given: dict[str, Path],
    ):  # fmt: skip
        self.dataset, self.kind, self.level, self.out, self.seed = dataset, kind, level, out, seed
        self.given = given
        changes = moves[:1] if moves else KINDS[kind].changes()
        self.changes = changes if level else ()
        self.truth_moves = bool(level and moves and moves[0] == moves[1])
        self.work = out / WORK
        self.plan = {
            "format": FORMAT, "kind": kind, "level": level,
            "meaning": KINDS[kind].meaning[level - 1] if level else "the source as it is",
            "changed": list(self.changes), "seed": seed, "layout": dataset.layout, "split": dataset.split_name,
            "split_hash": dataset.split_hash, "pairs": len(dataset.pairs), "versions": versions(*_PACKAGES),
        }  # fmt: skip
        if moves:
            self.plan["misalign"] = {"moves": moves[0], "truth_on": moves[1], "truth_moved": self.truth_moves}
        self._check_conditions()

    def run(self) -> Degraded:
        """Write what is missing or not as it should be."""
        self._refuse_foreign()
        with sole_writer(self.out, self.work / "lock"):
            done = self._written()
        with contextlib.suppress(OSError):  # another process waits for the lock there
            self.work.rmdir()
        return done

    def _written(self) -> Degraded:
        self._claim()
        done = self._journalled()
        parts = parts_of(self.dataset)
        rows = []
        with (
            Meter(f"{self.kind} {self.level}", len(parts), "files") as meter,
            JournalWriter(self.work / "journal.jsonl") as journal,
        ):
            for part in parts:
                target, sources = self._target(part), self._sources(part)
                row = done.get(target)
                if row is None or row["sources"] != sources or not self._holds(row):
                    name = part.path.relative_to(self.dataset.root).as_posix()
                    row = self._write(target, self._made(part)) | {"source": name, "sources": sources}
                    journal.append(row)
                rows.append(row)
                meter.advance()
        truth = self._truth_apart(rows) if self.truth_moves else {}
        motions = {"motions": self._motions()} if self.changes and self.kind == "misalign" else {}
        write_json(self.out / MANIFEST, {**self.plan, **motions, "files": sorted(rows, key=lambda row: row["path"])})
        (self.work / "journal.jsonl").unlink()
        (self.work / "plan.json").unlink()
        return Degraded(self.out, truth or self.given)

    def _check_conditions(self) -> None:
        # AWMM tells the weather by the name of the root where no folder lies between; scenes.tsv is copied.
        told = LAYOUTS[self.dataset.layout].conditions
        own = (self.dataset.root / "scenes.tsv").is_file()
        for pair in self.dataset.pairs:
            if not own and told(self.out, pair.id) != pair.conditions:
                raise RequestError(
                    f"{self.out}: the folder's name tells the weather of {pair.id}; end -o in "
                    f"{self.dataset.root.resolve().name}, as the source's does"
                )

    def _refuse_foreign(self) -> None:
        finished, unfinished = self.out / MANIFEST, self.work / "plan.json"
        found = next((path for path in (unfinished, finished) if path.is_file()), None)
        if found is not None:
            before = read_json(found, "manifest")
            differing = [key for key, value in self.plan.items() if before.get(key) != value]
            if differing:
                raise RequestError(
                    f"{self.out}: holds a copy of another {', '.join(differing)}; give another -o, or remove the folder"
                )
        elif self.out.exists() and not (self.out.is_dir() and set(self.out.iterdir()) <= {self.work}):
            raise RequestError(f"{self.out}: not an empty folder; give another -o")

    def _claim(self) -> None:
        self._refuse_foreign()  # again: another process may have been quicker
        remove_leftovers(self.out)
        write_json(self.work / "plan.json", self.plan)

    def _journalled(self) -> dict[str, dict[str, Any]]:
        done = {}
        if (self.out / MANIFEST).is_file():
            rows = read_json(self.out / MANIFEST, "manifest").get("files", [])
            done = {row["path"]: row for row in rows if "sources" in row}
        return done | {row["path"]: row for row in journal_rows(self.work / "journal.jsonl")}

    def _target(self, part: Part) -> str:
        path = part.path.relative_to(self.dataset.root)
        becomes_png = self._changed(part) and part.role in (*_MODALITIES, "masks")
        return (path.with_suffix(".png") if becomes_png else path).as_posix()

    def _changed(self, part: Part) -> bool:
        return part.role in self.changes or (self.truth_moves and part.role in _MOVED)

    def _sources(self, part: Part) -> list[str]:
        if part.role in self.changes and part.pair is not None:
            return [file_digest(part.pair.visible), file_digest(part.pair.infrared)]
        return [file_digest(part.path)]

    def _holds(self, row: dict[str, Any]) -> bool:
        path = self.out / row["path"]
        return path.is_file() and file_digest(path) == row["sha256"]

    def _made(self, part: Part) -> bytes:
        if part.pair is None or not self._changed(part):
            return part.path.read_bytes()
        if part.role in _MOVED:
            moved: Callable[..., bytes] = _MOVED[part.role]
            return moved(part.path, motion_of(self.seed, part.pair.id, self.level), part.pair.size)
        return encode_png(self._degraded(part.pair, part.role))

    def _degraded(self, pair: Pair, role: str) -> np.ndarray:
        shot = Shot(read_visible(pair.visible), read_infrared(pair.infrared), pair.id, self.seed, self.kind)
        effect = KINDS[self.kind].visible if role == "visible" else KINDS[self.kind].infrared
        assert effect is not None
        pixels = effect(shot, self.level)
        if role == "infrared" and read_visible(pair.infrared).ndim == 3:  # as M3FD stores it
            return np.repeat(pixels[..., None], 3, axis=2)
        return pixels

    def _truth_apart(self, rows: list[dict[str, Any]]) -> dict[str, Path]:
        if not self.given:
            return {}
        boxes, masks = self.dataset.boxes, self.dataset.masks
        for pair in self.dataset.pairs:
            motion = motion_of(self.seed, pair.id, self.level)
            if boxes is not None:
                moved = [move_box(box, motion, pair.size) for box in boxes.boxes[pair.id]]
                text = format_yolo([box for box in moved if box], boxes.classes, pair.size)
                rows.append(self._write(f"boxes/{pair.id}.txt", text.encode()))
            elif masks is not None:
                data = moved_mask(masks.masks[pair.id], motion, pair.size)
                rows.append(self._write(f"masks/{pair.id}.png", data))
        truth = boxes or masks
        assert truth is not None
        folder = "boxes" if boxes is not None else "masks"
        names = "".join(f"{number} {name}\n" for number, name in enumerate(truth.classes))
        rows.append(self._write(f"{folder}/classes.txt", names.encode()))
        return {folder: self.out / folder}

    def _motions(self) -> dict[str, list[float]]:
        motions = {pair.id: motion_of(self.seed, pair.id, self.level) for pair in self.dataset.pairs}
        return {name: [motion.dx, motion.dy, motion.degrees] for name, motion in motions.items()}

    def _write(self, target: str, data: bytes) -> dict[str, Any]:
        write_bytes(self.out / target, data)
        return {"path": target, "sha256": bytes_digest(data)}
