"""YOLO text files: a line `id cx cy w h` for each box, in fractions of the image; names in classes.txt."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from fuse2task.data.classes import in_known_order, read_class_list
from fuse2task.data.dataset import Box, BoxTruth, Finding, Pair
from fuse2task.data.truth.boxes import MAX_LABELS, BoxCollector, file_of, truth_files
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.reading import read_text


def read_yolo(
    folder: Path, pairs: Sequence[Pair], known: Sequence[str] | None = None, only_known: bool = False
) -> tuple[BoxTruth | None, list[Finding]]:
    """Boxes of `pairs` from the text files in `folder`.

    Args:
        folder: holds `<id>.txt` (or `<split>/<id>.txt`), and `classes.txt` here or in its parent.
        known: classes whose order is kept where the file's names are among them.
        only_known: a name that is not among `known` is a finding.

    Returns:
        The truth (None without class names), and findings: `no-class-names`, `missing-truth`,
        `bad-annotation` (a line of another form), and those of `BoxCollector.add`.
    """
    try:
        names = read_class_list(_class_list(folder))
    except RequestError as error:
        return None, [Finding("no-class-names", str(error))]
    collector = BoxCollector(known if only_known and known else in_known_order(names, known))
    files, collector.findings = truth_files([folder], [".txt"])
    for pair in pairs:
        collector.open(pair)
        path = file_of(pair, files)
        if path is None:
            text = f"{folder / pair.id}.txt: missing; write an empty file if the image has no objects"
            collector.find("missing-truth", text)
            continue
        try:
            lines = read_text(path, "YOLO file", MAX_LABELS).splitlines()
        except RequestError as error:
            collector.find("bad-annotation", str(error))
            continue
        for number, line in enumerate(lines, 1):
            if line.strip():
                _add_line(collector, pair, f"{path}, line {number}", line, names)
    return collector.truth(), collector.findings


def format_yolo(boxes: Iterable[Box], classes: Sequence[str], size: tuple[int, int]) -> str:
    """Text of a YOLO file: `id cx cy w h` a line, 12 digits; empty without boxes. size: (width, height)."""
    width, height = size
    lines = []
    for box in boxes:
        values = ((box.x + box.w / 2) / width, (box.y + box.h / 2) / height, box.w / width, box.h / height)
        lines.append(" ".join([str(classes.index(box.name)), *(f"{value:.12g}" for value in values)]) + "\n")
    return "".join(lines)


def _class_list(folder: Path) -> Path:
    for place in (folder, folder.resolve().parent):
        if (place / "classes.txt").is_file():
            return place / "classes.txt"
    raise RequestError(
        f"{folder}: no classes.txt in it or in its parent folder; YOLO conversions disagree about the order "
        "of ids, so write the names that these ids stand for, one a line"
    )


def _add_line(collector: BoxCollector, pair: Pair, where: str, line: str, names: Sequence[str]) -> None:
    fields = line.split()
    try:
        number = int(fields[0])
        cx, cy, w, h = (float(field) for field in fields[1:])
    except ValueError:
        collector.find("bad-annotation", f"{where}: {line.strip()[:60]!r} is not `id cx cy w h`")
        return
    if not 0 <= number < len(names):
        collector.find("unknown-class", f"{where}: class id {number}, but classes.txt has 0 to {len(names) - 1}")
        return
    width, height = pair.size
    edges = ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height)
    collector.add(pair, where, names[number], edges)
