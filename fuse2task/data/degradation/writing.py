"""Degraded copies of datasets: same layout and names, resumable, equal bytes for equal requests."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fuse2task.data.classes import palette_hash
from fuse2task.data.dataset import Box, BoxTruth, Dataset, Pair, say_notes
from fuse2task.data.degradation.geometry import (
    Motion,
    motion_of,
    move_box,
    moved_mask,
    moved_vedai,
    moved_voc,
    moved_yolo,
)
from fuse2task.data.degradation.kinds import KINDS, LEVELS
from fuse2task.data.degradation.sensor import Shot
from fuse2task.data.images import CAMERAS, SUFFIXES, Camera, as_rgb, encode_png, one_channel, read_camera, read_visible
from fuse2task.data.layouts import LAYOUTS
from fuse2task.data.loading import load_dataset
from fuse2task.data.truth.boxes import file_of, format_yolo, truth_files
from fuse2task.data.truth.coco import coco_files, coco_truth
from fuse2task.runtime import files
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import bytes_digest, file_digest, read_json, refuse_overlap, write_bytes, write_json
from fuse2task.runtime.packages import versions
from fuse2task.runtime.progress import Meter
from fuse2task.runtime.records import begun, differing, refuse

Role = Literal["visible", "infrared", "voc", "yolo", "vedai", "masks", "coco", "list"]
_TRUTH_SUFFIXES = {"voc": (".xml",), "yolo": (".txt",), "vedai": (".txt",), "masks": SUFFIXES}
FORMAT = "fuse2task.degraded"
MANIFEST = "degraded.json"
MOVED_COCO = "boxes.json"  # moved boxes apart, where some are ignored
WORK = ".fuse2task"  # plan and journal of an unfinished copy
_PACKAGES = ("numpy", "opencv-python-headless", "pillow")
_MOVED: dict[str, Callable[..., bytes]] = {
    "voc": moved_voc, "yolo": moved_yolo, "vedai": moved_vedai, "masks": moved_mask,
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A file of a dataset. pair: whose it is, None for a list. role: of a packed pair's file, `visible`."""

    path: Path
    role: Role
    pair: Pair | None = None


def parts_of(dataset: Dataset) -> list[Part]:
    """Every file that belongs to `dataset`, sorted by path.

    Images of the pairs, AWMM's clean references, truth inside the layout, class names, split lists and `scenes.tsv`;
    neither truth from elsewhere nor any other file below the root.
    """
    root, pairs = dataset.root, dataset.pairs
    found = [Part(pair.visible, "visible", pair) for pair in pairs]
    found += [Part(pair.infrared, "infrared", pair) for pair in pairs if not pair.packed]
    if LAYOUTS[dataset.layout].clean:
        references = [part.path.parent.with_name(f"gt_{part.path.parent.name}") / part.path.name for part in found]
        found += [Part(path, "list") for path in references if path.is_file()]
    lists = [*root.glob("*.txt"), *root.glob("*.tsv"), *root.glob("meta/*.txt")]
    lists += [root / name for name in LAYOUTS[dataset.layout].split_lists if (root / name).is_file()]
    lists = [path for path in lists if path.suffix != ".json"]  # a COCO file that tells the split is truth as well
    for own in LAYOUTS[dataset.layout].truth:
        if own.kind == "coco":
            found += [Part(path, "coco") for name in own.folders for path in coco_files(root / name)]
            continue
        folders = [root / name for name in own.folders if (root / name).is_dir()]
        truths, _ = truth_files(folders, _TRUTH_SUFFIXES[own.kind], pairs)
        found += [Part(path, own.kind, pair) for pair in pairs if (path := file_of(pair, truths)) is not None]
        lists += [folder / "classes.txt" for folder in folders if (folder / "classes.txt").is_file()]
    found += [Part(path, "list") for path in dict.fromkeys(lists) if not path.name.startswith(".")]
    return sorted(found, key=lambda part: part.path.relative_to(root).as_posix())


@dataclass(frozen=True)
class DegradedFolder:
    """A finished copy. truth: options (boxes, annotations or masks) that `load_dataset` needs for it."""

    root: Path
    truth: dict[str, Path] = field(default_factory=dict)


def degrade_dataset(
    root: Path, layout: str, kind: str, level: int, out: Path, *, seed: int = 0, split: str | None = None,
    boxes: Path | None = None, annotations: Path | None = None, masks: Path | None = None,
    move: str | None = None, truth_on: str | None = None, palette: str | None = None,
    ignore: str | None = None,
) -> DegradedFolder:  # fmt: skip
    """Write a copy of a dataset to `out` whose images are degraded; a second run checks and repairs it.

    Lists, truth and images that the kind does not change are copied byte for byte; at level 0 everything is. Changed
    images are PNG under the same name. `out/degraded.json` records the request, and each file's source and hash.

    Args:
        root, layout, split, boxes, annotations, masks, palette, ignore: as for `load_dataset`; only pairs of the split
            list are copied.
        kind: one of `kinds.KINDS`. level: 0 to 5.
        out: new, empty, or an earlier run of the same request.
        seed: of streaks and noise, which are the same at every level.
        move: misalign only, the image that moves: infrared (default) or visible.
        truth_on: misalign only, the image that the truth was drawn on: visible (default) or infrared. Truth moves
            when this image moves; if it is no part of the layout, it is written to `out/boxes` (YOLO) or `out/masks`.

    RequestError: as `load_dataset`; an unknown kind or level, an `out` that holds something else or overlaps the root,
    an option of misalign with another kind.
    """
    if kind not in KINDS:
        raise RequestError(f"unknown kind {kind!r}; known are {', '.join(KINDS)}")
    if level not in LEVELS:
        raise RequestError(f"level {level}: levels are 0 (as it is) to {LEVELS[-1]} (worst)")
    root, out = Path(root), Path(out)
    for name, value in (("move", move), ("truth_on", truth_on)):
        if value is not None and (kind != "misalign" or value not in CAMERAS):
            raise RequestError(f"{name} {value!r}: for kind misalign only, and one of {', '.join(CAMERAS)}")
    given = {"boxes": boxes, "annotations": annotations, "masks": masks}
    refuse_overlap(out, root, *given.values())
    dataset = load_dataset(
        root,
        layout,
        split=split,
        boxes=boxes,
        annotations=annotations,
        masks=masks,
        palette=palette,
        ignore=ignore,
    )
    say_notes(dataset.notes)
    moves = (move or "infrared", truth_on or "visible") if kind == "misalign" else None
    return _Copy(dataset, kind, level, out, seed, moves, {k: Path(v) for k, v in given.items() if v}).run()


def moved_truth(root: Path) -> dict[str, Path]:
    """What `load_dataset` needs for truth that a copy holds apart because it moved; empty without."""
    if (root / MOVED_COCO).is_file():
        return {"annotations": root / MOVED_COCO}
    return {name: root / name for name in ("boxes", "masks") if (root / name / "classes.txt").is_file()}


class _Copy:
    """One copy being written. moves: (image that moves, image of the truth) for misalign."""

    def __init__(
        self, dataset: Dataset, kind: str, level: int, out: Path, seed: int, moves: tuple[str, str] | None,
        given: dict[str, Path],
    ):  # fmt: skip
        self.dataset, self.kind, self.level, self.out, self.seed = dataset, kind, level, out, seed
        self.given, self.work, self.palette = given, out / WORK, dataset.masks.palette if dataset.masks else None
        self.changes = (moves[:1] if moves else KINDS[kind].changes) if level else ()
        self.truth_moves = bool(level and moves and moves[0] == moves[1])
        self.plan = {
            "format": FORMAT, "kind": kind, "level": level,
            "meaning": KINDS[kind].meaning(level) if level else "the source as it is",
            "changed": list(self.changes), "seed": seed, "layout": dataset.layout, "split": dataset.split_name,
            "split_hash": dataset.split_hash, "pairs": len(dataset.pairs), "versions": versions(*_PACKAGES),
        }  # fmt: skip
        if moves:
            self.plan["misalign"] = {"moves": moves[0], "truth_on": moves[1], "truth_moved": self.truth_moves}
        if self.palette and self.truth_moves:
            self.plan["palette"] = palette_hash(self.palette)  # moved masks hold indices
        listed = [name for name in LAYOUTS[dataset.layout].split_lists if (dataset.root / name).is_file()]
        if self.truth_moves and dataset.split_name == "layout" and any(name.endswith(".json") for name in listed):
            problem = "COCO files tell its split, and are not copied where their boxes move"
            raise RequestError(f"{dataset.root}: {problem}; give --split a list (`data split` writes one)")
        # In layout awmm the root's name may be the weather; scenes.tsv is copied.
        if not (dataset.root / "scenes.tsv").is_file():
            for pair in dataset.pairs:
                if LAYOUTS[dataset.layout].conditions(out, pair.id) != pair.conditions:
                    raise RequestError(
                        f"{out}: the folder's name gives the weather of {pair.id}; end -o in "
                        f"{dataset.root.resolve().name}, as the source's does"
                    )

    def run(self) -> DegradedFolder:
        """Write what is missing or differs."""
        with files.filling(self.out, self.plan, self._refuse_foreign):
            return self._written()

    def _written(self) -> DegradedFolder:
        done = self._journalled()
        # A COCO file is not moved: boxes that move are written apart.
        parts = [part for part in parts_of(self.dataset) if not (self.truth_moves and part.role == "coco")]
        rows = []
        with (
            Meter(f"{self.kind} {self.level}", len(parts), "files") as meter,
            files.JournalWriter(self.work / "journal.jsonl") as journal,
        ):
            for part in parts:
                target, sources = self._target(part), self._sources(part)
                row, there = done.get(target), self.out / target
                held = row and row["sources"] == sources and there.is_file() and file_digest(there) == row["sha256"]
                if row is None or not held:
                    name = part.path.relative_to(self.dataset.root).as_posix()
                    row = self._write(target, self._made(part)) | {"source": name, "sources": sources}
                    journal.append(row)
                rows.append(row)
                meter.advance()
        truth = self._truth_apart(rows) if self.truth_moves else {}
        manifest = {**self.plan, "files": sorted(rows, key=lambda row: row["path"])}
        if self.changes and self.kind == "misalign":
            motions = {pair.id: self._motion(pair) for pair in self.dataset.pairs}
            manifest["motions"] = {name: [each.dx, each.dy, each.degrees] for name, each in motions.items()}
        write_json(self.out / MANIFEST, manifest)
        (self.work / "journal.jsonl").unlink()
        return DegradedFolder(self.out, truth or self.given)

    def _refuse_foreign(self) -> None:
        if (before := begun(self.out, MANIFEST)) is not None:
            known = before.get("versions", {})  # older manifests name more packages
            before["versions"] = {name: known[name] for name in versions(*_PACKAGES) if name in known}
            refuse(self.out, "a copy", differing({key: before.get(key) for key in self.plan}, self.plan))

    def _journalled(self) -> dict[str, dict[str, Any]]:
        done = {}
        if (self.out / MANIFEST).is_file():
            rows = read_json(self.out / MANIFEST, "manifest").get("files", [])
            done = {row["path"]: row for row in rows if "sources" in row}
        return done | {row["path"]: row for row in files.journal_rows(self.work / "journal.jsonl")}

    def _target(self, part: Part) -> str:
        path = part.path.relative_to(self.dataset.root)
        becomes_png = self._changed(part) and part.role in (*CAMERAS, "masks")
        return (path.with_suffix(".png") if becomes_png else path).as_posix()

    def _changed(self, part: Part) -> bool:
        if part.pair is not None and part.pair.packed and part.role == "visible":
            return bool(self.changes)
        return part.role in self.changes or (self.truth_moves and part.role in _MOVED)

    def _sources(self, part: Part) -> list[str]:
        both = part.pair if part.role in CAMERAS and self._changed(part) else None
        return [file_digest(path) for path in ((both.visible, both.infrared) if both else (part.path,))]

    def _made(self, part: Part) -> bytes:
        if part.pair is None or not self._changed(part):
            return part.path.read_bytes()
        if part.role in _MOVED:
            moved = _MOVED[part.role]
            more = {"palette": self.palette} if part.role == "masks" else {}
            return moved(part.path, self._motion(part.pair), part.pair.file_size, **more)
        return encode_png(self._image(part, part.pair))

    def _image(self, part: Part, pair: Pair) -> np.ndarray:
        """The degraded pixels of an image as its file has them: channels, border, both cameras of a packed pair."""
        infrared, visible = read_camera(pair, "infrared"), read_camera(pair, "visible")
        shot = Shot(visible, one_channel(infrared), pair.id, self.seed, self.kind)

        def degraded(camera: Camera) -> np.ndarray:
            changed = camera in self.changes
            return KINDS[self.kind].effect(shot, self.level, camera) if changed else shot.image(camera)

        if pair.packed:
            return np.dstack([degraded("visible"), degraded("infrared")])
        assert part.role == "visible" or part.role == "infrared"
        pixels = degraded(part.role)
        if part.role == "infrared" and infrared.ndim == 3:  # as M3FD has it
            pixels = as_rgb(pixels)
        if pair.border:
            framed = read_visible(part.path).copy()
            inner = slice(pair.border, -pair.border)
            framed[inner, inner] = pixels
            return framed
        return pixels

    def _truth_apart(self, rows: list[dict[str, Any]]) -> dict[str, Path]:
        if not self.given and not any(part.role == "coco" for part in parts_of(self.dataset)):
            return {}
        truth, pairs = self.dataset.boxes or self.dataset.masks, self.dataset.pairs
        assert truth is not None
        if isinstance(truth, BoxTruth):
            boxes, ignored = (
                {pair.id: self._moved(group.get(pair.id, ()), pair) for pair in pairs}
                for group in (truth.boxes, truth.ignored)
            )
            if any(ignored.values()):  # YOLO has no flags
                framed = [replace(pair, size=pair.file_size, border=0) for pair in pairs]
                content = coco_truth(framed, replace(truth, boxes=boxes, ignored=ignored))
                rows.append(self._write(MOVED_COCO, json.dumps(content, sort_keys=True).encode()))
                return moved_truth(self.out)
            for pair in pairs:
                text = format_yolo(boxes[pair.id], truth.classes, pair.file_size)
                rows.append(self._write(f"boxes/{pair.id}.txt", text.encode()))
        else:
            for pair in pairs:
                data = moved_mask(truth.masks[pair.id], self._motion(pair), pair.size, self.palette)
                rows.append(self._write(f"masks/{pair.id}.png", data))
        names = "".join(f"{number} {name}\n" for number, name in enumerate(truth.classes))
        rows.append(self._write(f"{'boxes' if isinstance(truth, BoxTruth) else 'masks'}/classes.txt", names.encode()))
        return moved_truth(self.out)

    def _moved(self, boxes: Sequence[Box], pair: Pair) -> tuple[Box, ...]:
        """The boxes that are still there, from the corner of the pair's files."""
        moved = (move_box(box, self._motion(pair), pair.size) for box in boxes)
        return tuple(replace(box, x=box.x + pair.border, y=box.y + pair.border) for box in moved if box)

    def _motion(self, pair: Pair) -> Motion:
        return motion_of(self.seed, pair.id, self.level)

    def _write(self, target: str, data: bytes) -> dict[str, Any]:
        write_bytes(self.out / target, data)
        return {"path": target, "sha256": bytes_digest(data)}
