"""Pairing of two cameras' files by name, by time stamp, by order or by a table: what is not certain is listed."""

import bisect
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, field_validator, model_validator

from fuse2task.config.recipes import Recipe
from fuse2task.data.dataset import defects, files_by_id, is_safe_id
from fuse2task.data.images import CAMERAS, OTHER, SUFFIXES, Camera, exif_time
from fuse2task.data.splits import natural_order
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.reading import read_csv

UNITS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}
Item = TypeVar("Item")
_FIELDS = {"id": r"[^/]+", "sequence": r".+", "time": r"[^/]+"}


class Tables(Recipe):
    """CSV files with the columns `file` and `time`, one for each camera."""

    infrared: str
    visible: str


class Match(Recipe):
    """Which infrared file belongs to which visible file.

    infrared, visible: form of the files' names below the camera's folder, `{id}` being what both have in common (by:
    name) or what names the pair; a suffix restricts the format. Folders above a name are its sequence, or what
    `{sequence}` stands for: `{sequence}/thermal/{id}.tif`. by: name: equal ids. time: nearest time stamps of one
    sequence, one to one. order: the first with the first, in natural order, sequence by sequence. table: a CSV file
    with the columns `infrared` and `visible`, and `id` if wanted. clock: where time stamps come from; exif: time of
    recording with fractions; name: `{time}` in the name; table: `times`. format: of a time in a name or table: a unit
    of `UNITS`, or strptime's codes. tolerance: most seconds between the two. offset: seconds by which the infrared
    camera's clock is ahead. unmatched: what is done with files without a partner. ids: whose names name the pairs,
    where they are not paired by name.
    """

    by: Literal["name", "time", "order", "table"] = "name"
    infrared: str = "{id}"
    visible: str = "{id}"
    clock: Literal["exif", "name", "table"] = "exif"
    format: str = "seconds"
    times: Tables | None = None
    tolerance: float = Field(default=0.02, gt=0)
    offset: float = 0.0
    table: str | None = None
    unmatched: Literal["refuse", "drop"] = "refuse"
    ids: Camera = "infrared"

    @field_validator("infrared", "visible")
    @classmethod
    def _is_a_form(cls, form: str) -> str:
        fields = re.findall(r"\{([^{}]*)\}", form)
        if strange := [name for name in fields if name not in _FIELDS]:
            raise ValueError(f"{{{strange[0]}}} in {form!r}: fields of a name are {{id}}, {{sequence}} and {{time}}")
        if len(set(fields)) < len(fields) or not set(fields) & {"id", "time"}:
            raise ValueError(f"{form!r}: a form of names has {{id}} or {{time}}, each once, as FLIR_{{id}}_RGB.jpg")
        return form

    @model_validator(mode="after")
    def _is_complete(self) -> "Match":
        forms = (self.infrared, self.visible)
        if self.by == "name" and not all("{id}" in form for form in forms):
            raise ValueError("by name: both forms need {id}")
        if self.by == "time" and self.clock == "name" and not all("{time}" in form for form in forms):
            raise ValueError("time stamps from names: both forms need {time}")
        if (self.by == "time" and self.clock == "table") != (self.times is not None):
            raise ValueError("times (a CSV file for each camera) are for by: time and clock: table, and needed there")
        if (self.by == "table") != (self.table is not None):
            raise ValueError("table (a CSV file of pairs) is for by: table, and needed there")
        return self


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` of them, evenly spread, the first among them."""
    step = max(len(items) / count, 1)
    return [items[int(number * step)] for number in range(min(count, len(items)))]


@dataclass(frozen=True)
class Recorded:
    """An image file of one camera. sequence: folders above it, or what the form of names says, parts joined by `__`."""

    path: Path
    sequence: str
    name: str
    time: float | None = None


@dataclass(frozen=True)
class Frame:
    """One moment that both cameras recorded. apart: seconds from visible to infrared, where time stamps paired them."""

    sequence: str
    name: str
    infrared: Path
    visible: Path
    apart: float | None = None

    @property
    def id(self) -> str:
        """The id of the pair that it becomes, see `fuse2task.data.dataset.Pair`."""
        return f"{self.sequence}__{self.name}" if self.sequence else self.name

    def file(self, camera: Camera) -> Path:
        """The camera's file."""
        return self.infrared if camera == "infrared" else self.visible


@dataclass(frozen=True)
class Paired:
    """Frames in natural order of their ids; dropped: files without a partner, where they may be left out, by camera;
    unused: how many other files lie there, by camera."""

    frames: tuple[Frame, ...]
    dropped: Mapping[Camera, tuple[Path, ...]]
    unused: Mapping[Camera, int]


def pair_files(infrared: Path, visible: Path, match: Match) -> Paired:
    """Pairs of the files below two folders, which may be one.

    RequestError: no such folder, no file of a form, files that cannot be read as `match` says, or everything that is
    ambiguous or has no partner, in one list.
    """
    folders: dict[Camera, Path] = {"infrared": Path(infrared), "visible": Path(visible)}
    found: dict[Camera, list[Recorded]] = {}
    others: dict[Camera, list[Path]] = {}
    for camera in CAMERAS:
        found[camera], others[camera] = _recorded(folders[camera], camera, match)
    problems: list[str] = []
    theirs = {os.path.realpath(item.path) for item in found["visible"]}
    both = [item.path for item in found["infrared"] if os.path.realpath(item.path) in theirs]
    if both:
        problems += [f"{path}: fits both cameras; give forms of names that tell them apart" for path in both]
    else:
        frames, without = _RULES[match.by](found, folders, match, problems)
        dropped = {camera: tuple(sorted(item.path for item in without[camera])) for camera in CAMERAS}
        if match.unmatched == "refuse" and match.by != "table":
            for camera in CAMERAS:
                problems += [f"{path}: no {OTHER[camera]} file belongs to it" for path in dropped[camera]]
        problems += _bad_ids(frames)
    if problems:
        fix = "fix `match`, or say `unmatched: drop` where files may be left out"
        raise RequestError(f"{infrared}, {visible}: not all files are paired by {match.by}; {fix}\n{listing(problems)}")
    if not frames:
        raise RequestError(f"{infrared}, {visible}: no pairs by {match.by}; fix `match`")
    taken = {path for item in found.values() for path in (each.path for each in item)}
    unused = {camera: sum(path not in taken for path in others[camera]) for camera in CAMERAS}
    return Paired(tuple(sorted(frames, key=lambda frame: natural_order(frame.id))), dropped, unused)


def _recorded(folder: Path, camera: Camera, match: Match) -> tuple[list[Recorded], list[Path]]:
    """The files of a camera in natural order, and images of other names."""
    if not folder.is_dir():
        raise RequestError(f"{folder}: no such folder of {camera} images")
    form = match.infrared if camera == "infrared" else match.visible
    inner, suffix = os.path.splitext(form)
    suffixes = (suffix.lower(),) if suffix.lower() in SUFFIXES else SUFFIXES
    files, findings = files_by_id(folder, suffixes)
    if bad := defects(findings):
        raise RequestError(f"{folder}: unusable files\n{listing(finding.message for finding in bad)}")
    expression = _expression(inner if suffix.lower() in SUFFIXES else form)
    times = _times(folder, camera, match) if match.by == "time" else None
    found, others = [], []
    for path in files.values():
        relative = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
        fitting = expression.fullmatch(relative)
        if fitting is None:
            others.append(path)
            continue
        parts = fitting.groupdict()
        sequence = "/".join(part for part in (parts.get("above"), parts.get("sequence")) if part)
        name = parts.get("id") or path.stem
        time = times(path, parts) if times else None
        found.append(Recorded(path, sequence.replace("/", "__"), unicodedata.normalize("NFC", name), time))
    if not found:
        notes = [item.message for item in findings] + [f"{path}: another name" for path in others[:1]]
        raise RequestError(f"{folder}: no {camera} images named {form} in it\n{listing(notes)}")
    return sorted(found, key=lambda item: (natural_order(item.sequence), natural_order(item.name))), others


def _expression(form: str) -> re.Pattern[str]:
    """A form of names as a regular expression over paths; one without folders fits in any folder."""
    pieces = re.split(r"\{(\w+)\}", unicodedata.normalize("NFC", form))
    written = "".join(
        f"(?P<{piece}>{_FIELDS[piece]})" if number % 2 else re.escape(piece) for number, piece in enumerate(pieces)
    )
    return re.compile(written if "/" in form else f"(?:(?P<above>.+)/)?{written}")


def _times(folder: Path, camera: Camera, match: Match) -> Callable[[Path, Mapping[str, str]], float]:
    """What gives the time stamp of a file, in seconds, and on the visible camera's clock."""
    ahead = match.offset if camera == "infrared" else 0.0
    if match.clock == "exif":

        def from_exif(path: Path, _: Mapping[str, str]) -> float:
            found = exif_time(path)
            if found is None:
                raise RequestError(f"{path}: no time of recording in its EXIF data; choose another clock")
            return found.replace(tzinfo=UTC).timestamp() - ahead

        return from_exif
    if match.clock == "name":
        return lambda path, parts: _seconds(parts["time"], match.format, path) - ahead
    assert match.times is not None
    table = Path(match.times.infrared if camera == "infrared" else match.times.visible)
    columns, rows = read_csv(table, "table of times")
    if not {"file", "time"} <= set(columns):
        raise RequestError(f"{table}: needs the columns file and time; it has {', '.join(columns)}")
    known: dict[str, float] = {}
    for row in rows:
        if row["file"] in known:
            raise RequestError(f"{table}: {row['file']} is there twice; keep one row of it")
        known[row["file"]] = _seconds(row["time"], match.format, table) - ahead

    def from_table(path: Path, _: Mapping[str, str]) -> float:
        name = path.relative_to(folder).as_posix()
        if name not in known:
            raise RequestError(f"{table}: no time of {name}, which lies in {folder}; add a row")
        return known[name]

    return from_table


def _seconds(text: str, form: str, path: Path) -> float:
    try:
        if form in UNITS:
            value = float(text) * UNITS[form]
            if abs(value) == float("inf") or value != value:
                raise ValueError
            return value
        return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
    except ValueError:
        kinds = ", ".join(UNITS)
        raise RequestError(
            f"{path}: {text!r} is no time in {form}; `format` is one of {kinds}, or strptime's"
        ) from None


_Found = Mapping[Camera, Sequence[Recorded]]
_Result = tuple[list[Frame], dict[Camera, list[Recorded]]]


def _by_name(found: _Found, _folders: Mapping[Camera, Path], _match: Match, problems: list[str]) -> _Result:
    known: dict[Camera, dict[tuple[str, str], Recorded]] = {}
    for camera in CAMERAS:
        known[camera] = {}
        for item in found[camera]:
            before = known[camera].setdefault((item.sequence, item.name), item)
            if before is not item:
                problems.append(f"{item.path}: same id {item.name!r} as {before.path}; keep one")
    infrared, visible = known["infrared"], known["visible"]
    common = [key for key in infrared if key in visible]
    frames = [Frame(*key, infrared[key].path, visible[key].path) for key in common]
    return frames, {camera: [known[camera][key] for key in known[camera] if key not in common] for camera in CAMERAS}


def _by_order(found: _Found, _folders: Mapping[Camera, Path], match: Match, problems: list[str]) -> _Result:
    frames = []
    groups = {camera: _sequences(found[camera]) for camera in CAMERAS}
    without: dict[Camera, list[Recorded]] = {camera: [] for camera in CAMERAS}
    for sequence in sorted({*groups["infrared"], *groups["visible"]}, key=natural_order):
        first, second = (groups[camera].get(sequence, []) for camera in CAMERAS)
        if len(first) != len(second):  # one frame that is missing would shift all after it
            place = f"sequence {sequence.replace('__', '/')}" if sequence else "the folders"
            problems.append(f"{place}: {len(first)} infrared and {len(second)} visible files have no common order")
            continue
        for one, other in zip(first, second, strict=True):
            frames.append(_frame(one, other, match))
    return frames, without


def _by_time(found: _Found, _folders: Mapping[Camera, Path], match: Match, problems: list[str]) -> _Result:
    frames = []
    without: dict[Camera, list[Recorded]] = {camera: [] for camera in CAMERAS}
    groups = {camera: _sequences(found[camera]) for camera in CAMERAS}
    for sequence in sorted({*groups["infrared"], *groups["visible"]}, key=natural_order):
        items = {camera: sorted(groups[camera].get(sequence, []), key=_time) for camera in CAMERAS}
        for camera in CAMERAS:
            for one, other in zip(items[camera], items[camera][1:], strict=False):
                if _time(one) == _time(other):
                    problems.append(f"{one.path}: the same time stamp as {other.path}; which one is meant?")
        nearest = {
            camera: [_nearest(item, items[OTHER[camera]], match.tolerance, problems) for item in items[camera]]
            for camera in CAMERAS
        }
        paired: dict[Camera, set[int]] = {camera: set() for camera in CAMERAS}
        for number, partner_at in enumerate(nearest["infrared"]):
            # Each must be the other's nearest: so no frame is used twice, and none is taken from a better partner.
            if partner_at is not None and nearest["visible"][partner_at] == number:
                frames.append(_frame(items["infrared"][number], items["visible"][partner_at], match))
                paired["infrared"].add(number)
                paired["visible"].add(partner_at)
        for camera in CAMERAS:
            without[camera] += [item for number, item in enumerate(items[camera]) if number not in paired[camera]]
    return frames, without


def _nearest(item: Recorded, others: Sequence[Recorded], tolerance: float, problems: list[str]) -> int | None:
    """Number of the item among `others`, sorted by time, that is nearest in time, within the tolerance."""
    after = bisect.bisect_left(others, _time(item), key=_time)
    near = sorted((abs(_time(others[at]) - _time(item)), at) for at in (after - 1, after) if 0 <= at < len(others))
    if not near or near[0][0] > tolerance:
        return None
    if len(near) == 2 and near[1][0] - near[0][0] < 1e-6:  # stamps have microseconds
        both = " and ".join(str(others[at].path) for _, at in near)
        problems.append(f"{item.path}: {both} are equally near in time; set `offset`")
    return near[0][1]


def _by_table(found: _Found, folders: Mapping[Camera, Path], match: Match, problems: list[str]) -> _Result:
    table = Path(str(match.table))
    columns, rows = read_csv(table, "table of pairs")
    if not set(CAMERAS) <= set(columns):
        raise RequestError(f"{table}: needs the columns infrared and visible; it has {', '.join(columns)}")
    known = {camera: {i.path.relative_to(folders[camera]).as_posix(): i for i in found[camera]} for camera in CAMERAS}
    used = Counter((camera, row[camera]) for row in rows for camera in CAMERAS)
    frames, listed = [], defaultdict[Camera, set[str]](set)
    for row in rows:
        items = []
        for camera in CAMERAS:
            item = known[camera].get(row[camera])
            if item is None:
                problems.append(f"{table}: {row[camera]!r} is no {camera} image in {folders[camera]}")
            elif used[camera, row[camera]] > 1:
                problems.append(f"{table}: {camera} image {row[camera]!r} is in several rows")
            else:
                items.append(item)
                listed[camera].add(row[camera])
        if len(items) == 2:
            frame = _frame(items[0], items[1], match)
            given = row.get("id") or ""
            frames.append(frame if not given else Frame(frame.sequence, given, frame.infrared, frame.visible))
    return frames, {
        camera: [i for name, i in known[camera].items() if name not in listed[camera]] for camera in CAMERAS
    }


_RULES = {"name": _by_name, "order": _by_order, "time": _by_time, "table": _by_table}


def _frame(infrared: Recorded, visible: Recorded, match: Match) -> Frame:
    named = infrared if match.ids == "infrared" else visible
    apart = None if infrared.time is None else round(infrared.time - _time(visible), 6)
    return Frame(named.sequence, named.name, infrared.path, visible.path, apart)


def _time(item: Recorded) -> float:
    assert item.time is not None
    return item.time


def _sequences(items: Iterable[Recorded]) -> dict[str, list[Recorded]]:
    groups: dict[str, list[Recorded]] = {}
    for item in items:
        groups.setdefault(item.sequence, []).append(item)
    return groups


def _bad_ids(frames: Iterable[Frame]) -> list[str]:
    """Ids that cannot be, or that are not one alone; file systems may take no notice of case."""
    known: dict[str, Frame] = {}
    problems = []
    for frame in frames:
        before = known.setdefault(frame.id.casefold(), frame)
        if not is_safe_id(frame.id):
            problems.append(f"{frame.infrared}: {frame.id!r} cannot be an id; rename the file")
        elif before is not frame:
            problems.append(f"{frame.infrared}: same id {frame.id!r} as {before.infrared}; rename one")
    return problems
