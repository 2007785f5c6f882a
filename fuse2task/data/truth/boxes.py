"""Boxes from Pascal VOC XML and YOLO text files: reading, checking, clipping."""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError  # no parser; defusedxml parses
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from fuse2task.data.classes import VEDAI, VEDAI_IDS, check_names, class_list, in_known_order, read_class_list
from fuse2task.data.dataset import Box, BoxTruth, Finding, Findings, Pair, files_by_id
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.reading import check_regular, one_line, read_text

CLIP = 0.5  # pixels beyond the border that are rounding (YOLO's fractions), not an error
# Neither is one whole pixel: converters take 1 off VOC's corners, which begin at 0 in some sets (FLIR-aligned), and
# YOLO and COCO boxes of them begin at -1. What lies between has no such cause.
OFF_BY_ONE = 1.0
MAX_LABELS = 2**20  # bytes of one image's file of boxes
_NOISE = 1e-6  # pixels of floating-point noise, clipped without being counted
Edges = tuple[float, float, float, float]
EDGES = ("xmin", "ymin", "xmax", "ymax")
FLAGS = ("difficult", "truncated", "crowd", "ignore")
"""Of objects: VOC's `difficult` and `truncated`, COCO's `iscrowd`, and `ignore` (COCO, bbGt)."""
IGNORED_FLAGS = ("ignore",)
"""Flags whose objects are ignored unless told otherwise; difficult and truncated ones count, crowds are a finding."""


def parse_flags(text: str | None) -> tuple[str, ...]:
    """Flags whose objects are ignored, from `difficult,crowd` or `none`; None for `IGNORED_FLAGS`.

    RequestError: another word.
    """
    if text is None:
        return IGNORED_FLAGS
    words = () if text.strip() == "none" else tuple(word.strip() for word in text.split(","))
    if unknown := [word for word in words if word not in FLAGS]:
        raise RequestError(f"ignore {text!r}: {unknown[0]!r} is not a flag; give some of {','.join(FLAGS)}, or none")
    return tuple(flag for flag in FLAGS if flag in words)


def policy(counts: Mapping[str, int], ignore: Collection[str]) -> str:
    """What is done with flagged boxes, in words, from how many there are of each flag; empty without any."""
    away, stay = "ignored: no truth, and detections on them count neither way", "counted as any other"
    found = ((flag, count) for flag in FLAGS if (count := counts.get(flag, 0)))
    return "; ".join(f"{count} boxes flagged {flag} are {away if flag in ignore else stay}" for flag, count in found)


def truth_files(
    folders: Iterable[Path], suffixes: Sequence[str], pairs: Sequence[Pair]
) -> tuple[dict[str, Path], Findings]:
    """Truth files of `folders` by id, without classes.txt.

    A file of a folder that a split is named in (train/labels) belongs to the pair of that split where splits number
    their pairs from the start again. Findings: those of `files_by_id`, the same id in two folders (`duplicate-id`);
    files of no pair as a note.
    """
    ids, splits = {name for pair in pairs for name in (pair.id, *pair.aliases)}, {pair.split for pair in pairs}
    found: dict[str, Path] = {}
    findings = Findings()
    for folder in folders:
        files, problems = files_by_id(folder, suffixes, beside=("classes.txt",))
        findings += problems
        own = next((part for part in reversed(folder.parts) if part in splits), "")
        for name, path in files.items():
            if path.name == "classes.txt":
                continue
            name = within if (within := f"{own}__{name}") in ids else name
            if name in found:
                findings.add("duplicate-id", f"{path}: same id {name!r} as {found[name]}; keep one")
            found.setdefault(name, path)
    used = {file_of(pair, found) for pair in pairs} - {None}
    if len(used) < len(found):
        text = f"{next(iter(found.values())).parent}: {len(found) - len(used)} truth files of no pair that is used"
        findings.add("not-used", text, note=True)
    return found, findings


def file_of(pair: Pair, files: Mapping[str, Path]) -> Path | None:
    """The truth file of a pair: `<id>` or an alias or, in folders by split, `<split>/<id>`."""
    names = (pair.id, *pair.aliases)
    return next((files[name] for name in (*names, *(f"{pair.split}__{name}" for name in names)) if name in files), None)


FRACTIONS = "all boxes lie within one pixel; write coordinates in pixels, not as fractions of the image"


def are_fractions(boxes: Iterable[Sequence[float]]) -> bool:
    """Whether boxes (left, top, width, height) that should be in pixels are fractions: all within one pixel, and not in
    whole numbers."""
    known = list(boxes)
    within = all(max(x + w, y + h) <= 1 for x, y, w, h in known)
    return within and any(not float(value).is_integer() for box in known for value in box)


class BoxCollector:
    """Gathers boxes of `pairs`, and adds to `findings` what is wrong with them."""

    def __init__(
        self, classes: Sequence[str], pairs: Iterable[Pair], findings: Findings, ignore: Sequence[str] = IGNORED_FLAGS,
        cut: bool = False,
    ):  # fmt: skip
        self.classes, self.ignore, self.cut = tuple(classes), tuple(ignore), cut
        sides = {pair.id: min(pair.size) for pair in pairs}
        self.boxes: dict[str, list[Box]] = {name: [] for name in sides}
        self.smallest = sides  # shorter side of each image
        self.ignored: dict[str, list[Box]] = {}
        self.flagged = Counter[str]()
        self.findings = findings
        self.clipped = self.copies = self.enclosed = self.beyond = 0

    def add(self, pair: Pair, where: str, name: str, edges: Sequence[float], flags: Collection[str] = ()) -> None:
        """Add a box with edges (left, top, right, bottom) in pixels of the files of `pair`; `where` names the place.

        Up to 0.5 px beyond the image, or 1 px exactly, is clipped and counted, with `cut` anything; a copy of another
        box is counted and left out. One of a flag in `ignore` is put apart.
        Findings: `unknown-class`, `bad-box` (not finite, no width or height), `box-outside`.
        """
        left, top, right, bottom = (edge - pair.border for edge in edges)
        width, height = pair.size
        beyond = max(-left, -top, right - width, bottom - height)
        x, y = max(left, 0.0), max(top, 0.0)
        w, h = min(right, float(width)) - x, min(bottom, float(height)) - y
        if name not in self.classes:
            known = ", ".join(self.classes)
            self.findings.add("unknown-class", f"{where}: unknown class {name!r}; known are {known}")
        elif not all(map(math.isfinite, edges)):
            self.findings.add("bad-box", f"{where}: a coordinate is no finite number")
        elif right <= left or bottom <= top:
            text = f"{where}: width {right - left:g}, height {bottom - top:g}; both must be above 0"
            self.findings.add("bad-box", text)
        elif (not self.cut and beyond > CLIP and abs(beyond - OFF_BY_ONE) > _NOISE) or w <= 0 or h <= 0:
            text = f"{where}: {name} is {beyond:.4g} px outside the {width}x{height} image"
            self.findings.add("box-outside", f"{text}; {CLIP} px are allowed")
        else:
            self.clipped += beyond > _NOISE and (not self.cut or beyond <= CLIP)
            self.beyond += self.cut and beyond > CLIP
            box = Box(name, x, y, w, h)
            ignored = not set(flags).isdisjoint(self.ignore)
            place = self.ignored.setdefault(pair.id, []) if ignored else self.boxes[pair.id]
            if box in place:
                self.copies += 1
            else:
                place.append(box)
                self.flagged.update(flag for flag in flags if not ignored or flag in self.ignore)

    def truth(self, from_fractions: bool = False) -> tuple[BoxTruth, Findings]:
        """All boxes added, and the findings; what has been left out is a note. from_fractions: the format's own
        coordinates are fractions of the image, as YOLO's."""
        large = (found for name, found in self.boxes.items() if self.smallest.get(name, 0) > 16)
        if not from_fractions and are_fractions((box.x, box.y, box.w, box.h) for found in large for box in found):
            self.findings.add("bad-box", FRACTIONS)
        if self.copies:
            text = f"{self.copies} boxes are copies of another box of their image and class; each box counts once"
            self.findings.add("duplicate-box", text, note=True)
        if self.enclosed:
            text = f"{self.enclosed} objects are polygons or rotated boxes; of each the upright box round it counts"
            self.findings.add("enclosing-box", text, note=True)
        if self.beyond:
            text = f"{self.beyond} boxes reach beyond the image, as they may in this layout; what is inside counts"
            self.findings.add("cut-box", text, note=True)
        boxes = {name: tuple(found) for name, found in self.boxes.items()}
        if flags := policy(self.flagged, self.ignore):
            self.findings.add("flagged-box", flags, note=True)
        ignored = {name: tuple(found) for name, found in self.ignored.items() if found}
        return BoxTruth(self.classes, boxes, self.clipped, ignored, flags), self.findings


def read_voc(
    path: Path | Sequence[Path], pairs: Sequence[Pair], known: Sequence[str] | None = None,
    ignore: Sequence[str] = IGNORED_FLAGS, cut: bool = False,
) -> tuple[BoxTruth, Findings]:  # fmt: skip
    """Boxes of `pairs` from a folder of `<id>.xml` (or `<split>/<id>.xml`), from several, or from one such file.

    An object may have several `bndbox`, each with edges or with KAIST's `x y w h`. Without one, of a `polygon` or a
    rotated box (`robndbox`) the upright box that encloses it counts. Entities and document types are refused. ignore:
    flags of `FLAGS` (`difficult`, `truncated`, `ignore`) whose objects do not count. known: the classes in order;
    without it, all names in the files, sorted (RequestError: one is empty or cannot be shown). Returns the truth, and
    findings: `missing-truth`, `bad-annotation`, `truth-size` (the file's image size is another), and those of
    `BoxCollector.add`.
    """
    folders = [path] if isinstance(path, Path) else path
    if folders[0].is_dir():
        files, findings = truth_files(folders, [".xml"], pairs)
    else:
        files, findings = {folders[0].stem: folders[0]}, Findings()
    trees: dict[str, tuple[Path, Element]] = {}
    for pair in pairs:
        source = file_of(pair, files)
        if source is None:
            findings.add("missing-truth", f"{folders[0] / pair.id}.xml: missing")
            continue
        try:
            check_regular(source, "VOC file", MAX_LABELS)
            tree: Any = fromstring(source.read_bytes(), forbid_dtd=True)
            trees[pair.id] = source, tree
        except RequestError as error:
            findings.add("bad-annotation", error)
        except (ParseError, DefusedXmlException, OSError, ValueError, LookupError) as error:  # LookupError: encoding
            findings.add("bad-annotation", f"{source}: not usable XML: {one_line(error)}")
    if known is None:
        known = sorted({_text(item, "name") for _, tree in trees.values() for item in tree.iter("object")})
        check_names(folders[0], known)
    collector = BoxCollector(known, pairs, findings, ignore, cut)
    for pair in pairs:
        if pair.id not in trees:
            continue
        source, tree = trees[pair.id]
        size = (_number(tree, "size/width"), _number(tree, "size/height"))
        if tree.find("size") is not None and any(size) and size != pair.file_size:
            width, height = pair.file_size
            text = f"{source}: made for {size[0]:g}x{size[1]:g}, but the image is {width}x{height}"
            findings.add("truth-size", text)
        for number, item in enumerate(tree.iter("object"), 1):
            shapes = item.findall("bndbox") or enclosed(item)
            collector.enclosed += bool(shapes) and shapes[0].tag != "bndbox"
            for shape in shapes or [Element("bndbox")]:
                flags = [flag for flag in FLAGS if _text(item, flag).lower() not in ("", "0", "false", "no")]
                collector.add(pair, f"{source}, object {number}", _text(item, "name"), voc_edges(shape), flags)
    return collector.truth()


def voc_edges(bounds: Element) -> Edges:
    """(left, top, right, bottom) of a `bndbox`, or round a shape of `enclosed`; NaN where there is no number."""
    if bounds.tag == "robndbox":
        cx, cy, w, h, angle = (_number(bounds, name) for name in ("cx", "cy", "w", "h", "angle"))
        cos, sin = abs(math.cos(angle)) if math.isfinite(angle) else math.nan, abs(math.sin(angle % math.tau))
        half_w, half_h = (w * cos + h * sin) / 2, (w * sin + h * cos) / 2
        return cx - half_w, cy - half_h, cx + half_w, cy + half_h
    if bounds.tag == "polygon":
        corners = [(_number(point, "x"), _number(point, "y")) for point in bounds.findall("pt")]
        count = sum(re.fullmatch(r"x[0-9]+", place.tag) is not None for place in bounds)
        corners += [(_number(bounds, f"x{k}"), _number(bounds, f"y{k}")) for k in range(1, count + 1)]
        if not corners or not all(math.isfinite(value) for corner in corners for value in corner):
            return math.nan, math.nan, math.nan, math.nan
        xs, ys = zip(*corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)
    if bounds.find("xmin") is None and bounds.find("w") is not None:
        x, y, w, h = (_number(bounds, name) for name in "xywh")
        return x, y, x + w, y + h
    left, top, right, bottom = (_number(bounds, edge) for edge in EDGES)
    return left, top, right, bottom


def enclosed(item: Element) -> list[Element]:
    """Shapes of a VOC object other than `bndbox`.

    `polygon` as DroneVehicle (`x1 y1 ... x4 y4`) or LabelMe (`pt`) write it, `robndbox` (`cx cy w h angle`, radians) as
    roLabelImg does.
    """
    return [*item.findall("polygon"), *item.findall("robndbox")]


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _number(element: Element, path: str) -> float:
    try:
        return float(_text(element, path))
    except ValueError:
        return float("nan")


def format_voc(
    file_name: str, boxes: Iterable[Box], size: tuple[int, int], folder: str = "", ignored: Iterable[Box] = ()
) -> str:
    """VOC XML of one image; coordinates are edges, 12 digits. size: (width, height) in pixels. ignored: boxes that get
    the flag `ignore`."""
    objects = "".join(
        f"  <object><name>{escape(box.name)}</name><difficult>0</difficult>{flag}<bndbox>"
        f"<xmin>{box.x:.12g}</xmin><ymin>{box.y:.12g}</ymin>"
        f"<xmax>{box.x + box.w:.12g}</xmax><ymax>{box.y + box.h:.12g}</ymax></bndbox></object>\n"
        for flag, group in (("", boxes), ("<ignore>1</ignore>", ignored))
        for box in group
    )
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    source = f"  <folder>{escape(folder)}</folder>\n" if folder else ""
    return f"<annotation>\n{source}  <filename>{escape(file_name)}</filename>\n  {sides}\n{objects}</annotation>\n"


def read_yolo(
    folder: Path | Sequence[Path], pairs: Sequence[Pair], known: Sequence[str] | None = None, only_known: bool = False,
    ignore: Sequence[str] = IGNORED_FLAGS, cut: bool = False,
) -> tuple[BoxTruth | None, Findings]:  # fmt: skip
    """Boxes of `pairs` from the text files in a folder or several: YOLO's, or Caltech's (bbGt, as KAIST has them).

    A folder holds `<id>.txt` (or `<split>/<id>.txt`), and for YOLO `classes.txt`, there or in its parent. Of a polygon
    (`id x1 y1 x2 y2 x3 y3 ...`, rotated boxes too) the upright box that encloses it counts. known: names
    whose order is kept where the file's are among them; only_known: others are findings. Returns the truth (None
    without class names), and findings: `no-class-names`, `missing-truth`, `bad-annotation` (a line of another form),
    and those of `BoxCollector.add`.
    """
    folders = [folder] if isinstance(folder, Path) else folder
    files, texts, findings = _box_texts(folders, pairs)
    caltech = any(lines and lines[0].startswith("% bbGt") for lines in texts.values())
    if caltech:
        names = sorted({line.split()[0] for lines in texts.values() for line in lines if line[:1] not in ("", "%")})
    else:
        try:
            lists = {_names(place) for place in folders}
            if len(lists) > 1:
                raise RequestError(f"{folders[0]}: its class list differs from that of {folders[-1]}; make them one")
            names = list(lists.pop())
        except RequestError as error:
            return None, Findings([Finding("no-class-names", str(error))])
    own = known if only_known and known else in_known_order(names, known)
    collector = BoxCollector(own, pairs, findings, ignore, cut)
    form = "name x y w h ..." if caltech else "id cx cy w h"
    for pair in pairs:
        for number, line in enumerate(texts.get(pair.id, ()), 1):
            if not line.strip() or (caltech and line.startswith("%")):
                continue
            where = f"{file_of(pair, files)}, line {number}"
            try:
                name, edges, *flags = bbgt_line(line) if caltech else yolo_line(line, pair.file_size)
            except ValueError:
                findings.add("bad-annotation", f"{where}: {line.strip()[:60]!r} is not `{form}`")
                continue
            collector.enclosed += not caltech and len(line.split()) > 5
            if isinstance(name, str):
                collector.add(pair, where, name, edges, flags)
            elif 0 <= name < len(names):
                collector.add(pair, where, names[name], edges)
            else:
                text = f"{where}: class id {name}, but classes.txt has 0 to {len(names) - 1}"
                findings.add("unknown-class", text)
    return collector.truth(from_fractions=not caltech)


def _box_texts(
    folders: Sequence[Path], pairs: Sequence[Pair]
) -> tuple[dict[str, Path], dict[str, list[str]], Findings]:
    """Text files of boxes, and the lines of those of `pairs`, by id; findings: `missing-truth`, `bad-annotation`."""
    files, findings = truth_files(folders, [".txt"], pairs)
    texts: dict[str, list[str]] = {}
    for pair in pairs:
        path = file_of(pair, files)
        if path is None:
            text = f"{folders[0] / pair.id}.txt: missing; write an empty file if the image has no objects"
            findings.add("missing-truth", text)
            continue
        try:
            texts[pair.id] = read_text(path, "text file of boxes", MAX_LABELS).splitlines()
        except RequestError as error:
            findings.add("bad-annotation", error)
    return files, texts, findings


def read_vedai(
    folders: Sequence[Path], pairs: Sequence[Pair], ignore: Sequence[str] = IGNORED_FLAGS, cut: bool = True
) -> tuple[BoxTruth, Findings]:
    """Boxes of `pairs` from VEDAI's `<id>.txt`: of each rotated box the upright one that encloses its corners.

    Findings: `missing-truth`, `bad-annotation` (a line of another form), and those of `BoxCollector.add`.
    """
    files, texts, findings = _box_texts(folders, pairs)
    collector = BoxCollector(VEDAI, pairs, findings, ignore, cut)
    for pair in pairs:
        for number, line in enumerate(texts.get(pair.id, ()), 1):
            if line.strip():
                where = f"{file_of(pair, files)}, line {number}"
                try:
                    name, edges = vedai_line(line)
                except ValueError:
                    form = "x y angle class contained occluded x1 x2 x3 x4 y1 y2 y3 y4"
                    findings.add("bad-annotation", f"{where}: {line.strip()[:60]!r} is not `{form}`")
                    continue
                collector.enclosed += 1
                collector.add(pair, where, name, edges)
    return collector.truth()


def vedai_line(line: str) -> tuple[str, Edges]:
    """Class and enclosing edges of `x y angle class contained occluded`, four x, four y. ValueError: another form."""
    numbers = [float(field) for field in line.split()]
    if len(numbers) != 14:
        raise ValueError(f"{len(numbers)} fields")
    xs, ys = numbers[6:10], numbers[10:]
    return VEDAI_IDS.get(int(numbers[3]), f"{numbers[3]:g}"), (min(xs), min(ys), max(xs), max(ys))


def _names(folder: Path) -> tuple[str, ...]:
    if path := class_list(folder):
        return read_class_list(path)
    raise RequestError(
        f"{folder}: no classes.txt in it or in its parent folder; YOLO conversions disagree about the order "
        "of ids, so write the names that these ids stand for, one a line"
    )


def bbgt_line(line: str) -> tuple[Any, ...]:
    """Name, edges and flags of a line `name x y w h occluded, four of the visible part, ignore, angle` of Dollar's
    toolbox; of what follows the box only `ignore` is used, and it may be missing."""
    name, *fields = line.split()
    x, y, w, h = map(float, fields[:4])
    return name, (x, y, x + w, y + h), *(["ignore"] if len(fields) > 9 and float(fields[9]) else [])


def yolo_line(line: str, size: tuple[int, int]) -> tuple[Any, ...]:
    """Class id and edges in pixels of `id cx cy w h`, or of a polygon. ValueError: another form."""
    first, *fields = line.split()
    if not first.isdecimal() and not float(first).is_integer():
        raise ValueError(f"{first} is no class id")
    return int(first) if first.isdecimal() else int(float(first)), yolo_edges(fields, size)


def yolo_edges(fields: Iterable[str], size: tuple[int, int]) -> Edges:
    """(left, top, right, bottom) in pixels of `cx cy w h`, or of three or more points, in fractions of `size` (width,
    height).

    ValueError: not four numbers, nor an even count above.
    """
    numbers = [float(field) for field in fields]
    if len(numbers) > 5 and len(numbers) % 2 == 0:
        xs, ys = numbers[0::2], numbers[1::2]
        return min(xs) * size[0], min(ys) * size[1], max(xs) * size[0], max(ys) * size[1]
    cx, cy, w, h = numbers
    return (cx - w / 2) * size[0], (cy - h / 2) * size[1], (cx + w / 2) * size[0], (cy + h / 2) * size[1]


def format_yolo(boxes: Iterable[Box], classes: Sequence[str], size: tuple[int, int]) -> str:
    """Text of a YOLO file: `id cx cy w h` a line, 12 digits; empty without boxes. size: (width, height)."""
    width, height = size
    lines = []
    for box in boxes:
        values = ((box.x + box.w / 2) / width, (box.y + box.h / 2) / height, box.w / width, box.h / height)
        lines.append(" ".join([str(classes.index(box.name)), *(f"{value:.12g}" for value in values)]) + "\n")
    return "".join(lines)
