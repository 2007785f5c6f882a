"""Datasets in memory: pairs with their ids and conditions, boxes, masks, findings."""

import bisect
import functools
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fuse2task.config.recipes import configs_folder
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import file_digest, lines_hash
from fuse2task.runtime.progress import say
from fuse2task.runtime.reading import read_text

VALIDATION = ("val", "valid", "validation", "dev")  # names of the split that selects a checkpoint
MAX_ID = 230  # bytes; file systems allow 255 with suffix and what a temporary name adds


@dataclass(frozen=True)
class Pair:
    """A registered infrared-visible pair.

    id: path below the modality folder without suffix, `/` written `__`. size: (width, height) of both images.
    conditions: names such as day, night, overcast, scene:<name>. aliases: what truth may call it beside its id: the
    names of its files, where the layout takes the id out of them. border: pixels of a white frame round both images
    that are left out; size is without them, truth on disk counts them. packed: both are one file of four channels,
    red, green, blue and infrared. `images.read_camera` reads its pixels. sequence: name of the recording whose frame
    it is, "" where the layout does not say.
    """

    id: str
    split: str
    infrared: Path
    visible: Path
    size: tuple[int, int]
    conditions: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    border: int = 0
    packed: bool = False
    sequence: str = ""

    @property
    def file_size(self) -> tuple[int, int]:
        """(width, height) of its files, the border included."""
        return self.size[0] + 2 * self.border, self.size[1] + 2 * self.border


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

    ignored: boxes whose flags say so, by pair id where there are any; neither truth nor training boxes, and detections
    on them count neither way. flags: what is done with flagged objects, in words; empty where no object has a flag.
    clipped: how many boxes were a little outside and have been clipped to the image.
    """

    classes: tuple[str, ...]
    boxes: Mapping[str, tuple[Box, ...]]
    clipped: int = 0
    ignored: Mapping[str, tuple[Box, ...]] = field(default_factory=dict)
    flags: str = ""


@dataclass(frozen=True)
class MaskTruth:
    """One mask file per pair id, for `images.read_mask` with `palette`; classes in index order, 255 is ignored."""

    classes: tuple[str, ...]
    masks: Mapping[str, Path]
    palette: str | None = None


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
    def folders(self) -> list[Path]:
        """The folders that its images and masks lie in."""
        files = [path for pair in self.pairs for path in (pair.infrared, pair.visible)]
        return sorted({path.parent for path in [*files, *(self.masks.masks.values() if self.masks else ())]})

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have pairs, train before val before test, others after."""
        order = {"train": 0, **dict.fromkeys(VALIDATION, 1), "test": 2}
        return tuple(sorted({pair.split for pair in self.pairs}, key=lambda name: (order.get(name, 3), name)))

    def part(self, split: str) -> tuple[Pair, ...]:
        """The pairs of one split."""
        return tuple(pair for pair in self.pairs if pair.split == split)


def say_notes(notes: Iterable[str], before: Collection[str] = ()) -> None:
    """Tell the user what is not used of a dataset and how the rest counts, but for what has been said `before`."""
    for note in notes:
        if note not in before:
            say(f"note: {note}")


def content_hash(pairs: Iterable[Pair]) -> str:
    """Hash of pairs by id and by the bytes of their images, wherever these lie."""
    return lines_hash(f"{pair.id}\t{file_digest(pair.infrared)}\t{file_digest(pair.visible)}" for pair in pairs)


def validation_split(splits: Collection[str]) -> str | None:
    """The one among `splits` that selects a checkpoint; None without any: the test split never does."""
    return next((name for name in VALIDATION if name in splits), None)


def split_hash(split: Mapping[str, str]) -> str:
    """Hash of a split (pair id -> split): first 12 hex digits of sha256 over its sorted lines `split<TAB>id`."""
    return lines_hash(f"{part}\t{name}" for name, part in split.items())


@dataclass(frozen=True)
class Finding:
    """A defect of a dataset, or a note about it. kind: short, such as `missing-partner`; message names the file."""

    kind: str
    message: str
    note: bool = False


class Findings(list[Finding]):
    """Findings as they are made."""

    def add(self, kind: str, message: object, note: bool = False) -> None:
        """Append one; an error is its text."""
        self.append(Finding(kind, str(message), note))

    def refuse(self, path: Path, then: str) -> None:
        """Raise a RequestError that lists all but the notes, if there are any; `then` ends its first line."""
        if bad := defects(self):
            lines = listing(f"{finding.kind}: {finding.message}" for finding in bad)
            raise RequestError(f"{path}: {len(bad)} findings{then}\n{lines}")


def defects(findings: Iterable[Finding]) -> list[Finding]:
    """The findings without the notes."""
    return [finding for finding in findings if not finding.note]


def is_safe_id(name: str) -> bool:
    """Whether `name` can be a pair id: it names a file in a folder and can lead nowhere else."""
    shown = name == name.strip() and name.isprintable() and not name.startswith(".")
    return bool(name) and shown and not set(name) & {"/", "\\"} and len(name.encode()) <= MAX_ID


def is_split_name(name: str) -> bool:
    """Whether `name` can be a split: a folder of plain letters, digits, `_` and `-`."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", name) is not None


def path_id(relative: str, suffixes: Collection[str]) -> str:
    """The id of a path such as `set00/V000/I00001.jpg`; only a suffix in `suffixes` is taken off. Unicode as NFC."""
    stem, suffix = os.path.splitext(relative)
    name = stem if suffix.lower() in suffixes else relative
    return unicodedata.normalize("NFC", name).replace("\\", "/").replace("/", "__")


def sequence_of(pair_id: str) -> str:
    """The sequence that a pair is a frame of: what its id has before the last `__`, the folders above its files."""
    return pair_id.rpartition("__")[0]


def inner_name(pattern: str, name: str) -> str | None:
    """What stands for `{}` in a name of the form `pattern`; None where the name is of another form."""
    before, _, after = pattern.partition("{}")
    fits = name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after)
    return name[len(before) : len(name) - len(after)] if fits else None


def files_by_id(
    folder: Path,
    suffixes: Collection[str],
    prefix: str = "",
    pattern: str = "{}",
    partner: str | None = None,
    beside: Collection[str] = (),
) -> tuple[dict[str, Path], Findings]:
    """Files with one of `suffixes` (lower-case, with the dot) in `folder` and below, by id, in sorted order.

    prefix: folder name put before each id. pattern: form of the names without suffix, `{}` being the id. partner:
    form of the other camera's names in the same folder. beside: names of files that are read otherwise. Links to
    folders are followed. Returns the files, and findings: `duplicate-id` (a.png and a.jpg), `bad-name` (no possible
    id), `linked-loop` (a link to a folder above it), `broken-link`; and as a note `not-used`: hidden and other
    files, counted by suffix, and names of another form.
    """
    found: dict[str, Path] = {}
    findings, unused = Findings(), Counter[str]()
    for path in _walk(folder, findings, unused):
        suffix = path.suffix.lower()
        stem = unicodedata.normalize("NFC", path.stem)
        inner = inner_name(pattern, stem)
        below = Path(prefix) / path.relative_to(folder)
        key = path_id((below if pattern == "{}" else below.with_name(f"{inner}{path.suffix}")).as_posix(), suffixes)
        if suffix not in suffixes:
            unused[suffix or "without suffix"] += path.name not in beside
        elif inner is None:
            unused[f"not named {pattern}"] += partner is None or inner_name(partner, stem) is None
        elif not path.exists():
            findings.add("broken-link", f"{path}: a link to a file that is not there; restore or remove it")
        elif not is_safe_id(key):
            findings.add("bad-name", f"{str(path)!a}: the name cannot be an id; rename it")
        elif key in found:
            findings.add("duplicate-id", f"{path}: same id {key!r} as {found[key]}; keep one")
        else:
            found[key] = path
    unused += Counter()  # in place: causes without files go
    if unused:
        causes = ", ".join(f"{count} {cause}" for cause, count in sorted(unused.items()))
        findings.add("not-used", f"{folder}: {unused.total()} files not used ({causes})", note=True)
    return found, findings


def named_files(folder: Path, suffixes: Collection[str], what: str) -> dict[str, Path]:
    """The files of a folder that somebody else filled (fused images, masks), by id; what is not used is said.

    RequestError: no such folder of `what`, or a finding of `files_by_id`; all are listed.
    """
    if not folder.is_dir():
        raise RequestError(f"{folder}: no such folder of {what}")
    found, findings = files_by_id(folder, suffixes, beside=("classes.txt",))
    if bad := defects(findings):
        raise RequestError(f"{folder}: unusable files\n{listing(finding.message for finding in bad)}")
    for finding in findings:
        say(finding.message)
    return found


def named_folder(reference: str) -> tuple[str, Path]:
    """Name and folder of `NAME=DIR` or `DIR`, which is called by its own name; a `=` may be in a DIR that exists."""
    label, is_named, folder = reference.partition("=")
    if is_named and not os.path.isdir(reference):
        return label, Path(folder)
    return Path(reference).resolve().name, Path(reference)


def files_below(folder: Path) -> list[Path]:
    """Every file below a folder that is not hidden, links to folders followed, loops left out."""
    return list(_walk(folder, Findings(), Counter()))


def _walk(folder: Path, findings: Findings, unused: Counter[str], above: tuple[str, ...] = ()) -> Iterator[Path]:
    """Files below `folder` that are not hidden, sorted within each folder; above: where it lies, links resolved."""
    above = (*above, os.path.realpath(folder))
    folders = []
    try:
        entries = sorted(os.listdir(folder))
    except OSError as error:
        findings.add("unreadable-folder", f"{folder}: {error.strerror}; make it readable")
        entries = []
    for name in entries:
        path = folder / name
        if not path.is_dir():
            unused["hidden"] += name.startswith(".")
            if not name.startswith("."):
                yield path
        elif name.startswith("."):
            unused["hidden"] += sum(len(inner) for _, _, inner in os.walk(path))
        elif path.is_symlink() and _leads_up(real := os.path.realpath(path), above):
            findings.add("linked-loop", f"{path}: a link to {real}, which it lies in; remove the link")
        else:
            folders.append(path)
    for path in folders:
        yield from _walk(path, findings, unused, above)


def _leads_up(real: str, above: tuple[str, ...]) -> bool:
    """Whether a folder is one of `above`, or holds one of them."""
    return any((each + os.sep).startswith(real.rstrip(os.sep) + os.sep) for each in above)


def no_conditions(_root: Path, _pair_id: str) -> tuple[str, ...]:
    """Conditions of pairs whose ids tell of none."""
    return ()


def no_sequence(_root: Path, _pair_id: str) -> str:
    """Sequence of pairs whose ids tell of none."""
    return ""


def folder_sequence(_root: Path, pair_id: str) -> str:
    """The folders above a frame."""
    return sequence_of(pair_id)


@dataclass(frozen=True)
class SequenceInId:
    """The first group of a regular expression that fits the whole id."""

    pattern: str

    def __call__(self, _root: Path, pair_id: str) -> str:
        """Name of the sequence, "" where the id is of another form."""
        found = re.fullmatch(self.pattern, pair_id)
        return found[1] or "" if found else ""


def msrs_conditions(_root: Path, pair_id: str) -> tuple[str, ...]:
    """MSRS names end in D (day) or N (night)."""
    return {"D": ("day",), "N": ("night",)}.get(pair_id[-1], ())


def kaist_conditions(_root: Path, pair_id: str) -> tuple[str, ...]:
    """KAIST (Hwang et al., CVPR 2015): sets 00-02 and 06-08 were recorded in the daytime, the others at night."""
    return ("day",) if pair_id.startswith(("set00", "set01", "set02", "set06", "set07", "set08")) else ("night",)


def smod_conditions(_root: Path, pair_id: str) -> tuple[str, ...]:
    """SMOD has a folder for either."""
    return (pair_id.partition("__")[0],)


def awmm_conditions(root: Path, pair_id: str) -> tuple[str, ...]:
    """AWMM by the weather in the names of the folders above the pair; compound weather has several."""
    folders = pair_id.split("__")[:-1] or [root.resolve().name]
    return tuple(sorted(set(re.findall(r"(?<![tr])rain|snow|haze", " ".join(folders).lower()))))  # not train, terrain


def m3fd_conditions(root: Path, pair_id: str) -> tuple[str, ...]:
    """M3FD by frame number: daytime, night, overcast or challenge, and `scene:<name>`; or `scene:unlisted` alone.

    Runs of frames come from `scenes.tsv` in the root, else from the shipped table of the real data set.
    """
    run = _m3fd_run(root, pair_id)
    if run is None:
        return ()
    scene = run[2]
    return (f"scene:{scene}",) if scene == "unlisted" else (scene, f"scene:{scene}")


def m3fd_sequence(root: Path, pair_id: str) -> str:
    """M3FD numbers its frames along its recordings; the finest that is known of these are the runs of one scene."""
    run = _m3fd_run(root, pair_id)
    return "" if run is None else f"{run[0]}-{run[1]}"


def _m3fd_run(root: Path, pair_id: str) -> tuple[int, int, str] | None:
    own = root / "scenes.tsv"
    runs = read_scenes(own if own.is_file() else configs_folder() / "scenes" / "m3fd.tsv")
    if not pair_id.isdecimal():
        return None
    index = bisect.bisect_right(runs, int(pair_id), key=lambda run: run[0]) - 1
    return None if index < 0 or int(pair_id) > runs[index][1] else runs[index]


@functools.lru_cache(maxsize=8)
def read_scenes(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Runs (first, last, scene) of a table with lines `first<TAB>last<TAB>scene`, sorted.

    RequestError: missing or unreadable, a line of another form, or runs that overlap.
    """
    lines = read_text(path, "table of scenes").splitlines()
    matches = [re.fullmatch(r"(\d{1,9})\t(\d{1,9})\t([a-z0-9_-]+)", line, re.ASCII) for line in lines]
    bad = [f"line {number}: {line[:100]!r}" for number, line in enumerate(lines, 1) if not matches[number - 1]]
    if bad:
        raise RequestError(f"{path}: lines must be first<TAB>last<TAB>scene\n{listing(bad)}")
    runs = sorted((int(match[1]), int(match[2]), match[3]) for match in matches if match)
    edges = [edge for run in runs for edge in run[:2]]
    if edges != sorted(edges) or len({run[0] for run in runs}) != len(runs):
        raise RequestError(f"{path}: runs of frames overlap or end before they begin; fix its lines")
    return tuple(runs)
