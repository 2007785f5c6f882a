"""Datasets in memory: pairs and their ids, boxes, masks, findings."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
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
    """Pairs sorted by (split, id), with their truth. notes: files that are not used, counted by cause."""

    layout: str
    root: Path
    pairs: tuple[Pair, ...]
    boxes: BoxTruth | None = None
    masks: MaskTruth | None = None
    split_name: str = "layout"
    split_hash: str = ""
    notes: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have pairs, train before val before test, others after."""
        order = {"train": 0, **dict.fromkeys(VALIDATION, 1), "test": 2}
        return tuple(sorted({pair.split for pair in self.pairs}, key=lambda name: (order.get(name, 3), name)))

    def part(self, split: str) -> tuple[Pair, ...]:
        """The pairs of one split."""
        return tuple(pair for pair in self.pairs if pair.split == split)


@dataclass(frozen=True)
class Finding:
    """A defect of a dataset, or a note about it. kind: short, such as `missing-partner`; message names the file."""

    kind: str
    message: str
    note: bool = False


VALIDATION = ("val", "valid", "validation", "dev")  # names of the split that selects a checkpoint


def validation_split(splits: Collection[str]) -> str | None:
    """The one among `splits` that selects a checkpoint; None without any: the test split never does."""
    return next((name for name in VALIDATION if name in splits), None)


def defects(findings: Iterable[Finding]) -> list[Finding]:
    """The findings without the notes."""
    return [finding for finding in findings if not finding.note]


MAX_ID = 230  # bytes; file systems allow 255 with suffix and what a temporary name adds
_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def is_safe_id(name: str) -> bool:
    """Whether `name` can be a pair id: it names a file in a folder and can lead nowhere else."""
    return (
        bool(name)
        and name == name.strip()
        and not name.startswith(".")
        and not any(character in "/\\" or not character.isprintable() for character in name)
        and len(name.encode()) <= MAX_ID
    )


def is_split_name(name: str) -> bool:
    """Whether `name` can be a split: a folder of plain letters, digits, `_` and `-`."""
    return _SPLIT_NAME.fullmatch(name) is not None


def path_id(relative: str, suffixes: Collection[str]) -> str:
    """The id of a path such as `set00/V000/I00001.jpg`; only a suffix in `suffixes` is taken off. Unicode as NFC."""
    stem, suffix = os.path.splitext(relative)
    name = stem if suffix.lower() in suffixes else relative
    return unicodedata.normalize("NFC", name).replace("\\", "/").replace("/", "__")


def files_by_id(folder: Path, suffixes: Collection[str], prefix: str = "") -> tuple[dict[str, Path], list[Finding]]:
    """Files with one of `suffixes` (lower-case, with the dot) in `folder` and below, by id, in sorted order.

    prefix: folder name put before each id. Links to folders are followed.

    Returns:
        The files, and findings: `duplicate-id` (a.png and a.jpg), `bad-name` (no possible id), `linked-loop` (a link
        to a folder above it), `broken-link`; and as a note `not-used`: hidden and other files, counted by suffix.
    """
    found: dict[str, Path] = {}
    findings: list[Finding] = []
    unused: Counter[str] = Counter()
    for path in _walk(folder, findings, unused):
        suffix = path.suffix.lower()
        key = path_id((Path(prefix) / path.relative_to(folder)).as_posix(), suffixes)
        if suffix not in suffixes:
            unused[suffix or "without suffix"] += 1
        elif not path.exists():
            findings.append(Finding("broken-link", f"{path}: a link to a file that is not there; restore or remove it"))
        elif not is_safe_id(key):
            findings.append(Finding("bad-name", f"{str(path)!a}: the name cannot be an id; rename it"))
        elif key in found:
            findings.append(Finding("duplicate-id", f"{path}: same id {key!r} as {found[key]}; keep one"))
        else:
            found[key] = path
    if unused:
        causes = ", ".join(f"{count} {cause}" for cause, count in sorted(unused.items()))
        findings.append(Finding("not-used", f"{folder}: {unused.total()} files not used ({causes})", note=True))
    return found, findings


def _walk(folder: Path, findings: list[Finding], unused: Counter[str]) -> Iterator[Path]:
    """Files below `folder` that are not hidden, sorted within each folder."""
    for parent, folders, names in os.walk(folder, followlinks=True):
        here = os.path.realpath(parent)
        for name in sorted(folders):
            path, real = Path(parent, name), os.path.realpath(Path(parent, name))
            if name.startswith("."):
                unused["hidden"] += sum(len(inner) for _, _, inner in os.walk(path))
                folders.remove(name)
            elif path.is_symlink() and (here + os.sep).startswith(real.rstrip(os.sep) + os.sep):
                findings.append(Finding("linked-loop", f"{path}: a link to {real}, which it lies in; remove the link"))
                folders.remove(name)
        folders.sort()
        unused["hidden"] += sum(name.startswith(".") for name in names)
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))
    unused += Counter()  # in place: causes without files go
