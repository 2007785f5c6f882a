"""Pascal VOC XML: an `<object>` for each box; coordinates are edges, x = xmin and w = xmax - xmin."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError  # only names; defusedxml parses

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from fuse2task.data.classes import check_names
from fuse2task.data.dataset import BoxTruth, Finding, Pair
from fuse2task.data.truth.boxes import MAX_LABELS, BoxCollector, file_of, truth_files
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.reading import check_regular, one_line

_EDGES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(path: Path, pairs: Sequence[Pair], known: Sequence[str] | None = None) -> tuple[BoxTruth, list[Finding]]:
    """Boxes of `pairs` from a folder of `<id>.xml` (or `<split>/<id>.xml`), or from one such file.

    Entities and document types are refused. `difficult` objects count as any other.

    Args:
        path: folder or file.
        pairs: each must have a file.
        known: the classes in order; without it, all names in the files, sorted.

    Returns:
        The truth, and findings: `missing-truth`, `bad-annotation`, `truth-size` (the file's image size is
        another), and those of `BoxCollector.add`.

    Raises:
        RequestError: without `known`, a class name that is empty or cannot be shown.
    """
    files, findings = truth_files([path], [".xml"]) if path.is_dir() else ({path.stem: path}, [])
    trees: dict[str, tuple[Path, Element]] = {}
    for pair in pairs:
        source = file_of(pair, files)
        if source is None:
            findings.append(Finding("missing-truth", f"{path / pair.id}.xml: missing"))
            continue
        try:
            check_regular(source, "VOC file", MAX_LABELS)
            tree: Any = fromstring(source.read_bytes(), forbid_dtd=True)
            trees[pair.id] = source, tree
        except RequestError as error:
            findings.append(Finding("bad-annotation", str(error)))
        except (ParseError, DefusedXmlException, OSError, ValueError, LookupError) as error:  # LookupError: encoding
            findings.append(Finding("bad-annotation", f"{source}: not usable XML: {one_line(error)}"))
    if known is None:
        known = sorted({_text(item, "name") for _, tree in trees.values() for item in tree.iter("object")})
        check_names(path, known)
    collector = BoxCollector(known)
    collector.findings = findings
    for pair in pairs:
        collector.open(pair)
        if pair.id in trees:
            _add_file(collector, pair, *trees[pair.id])
    return collector.truth(), collector.findings


def _add_file(collector: BoxCollector, pair: Pair, source: Path, tree: Element) -> None:
    size = (_number(tree, "size/width"), _number(tree, "size/height"))
    if tree.find("size") is not None and any(size) and size != pair.size:
        text = f"{source}: made for {size[0]:g}x{size[1]:g}, but the image is {pair.size[0]}x{pair.size[1]}"
        collector.find("truth-size", text)
    for number, item in enumerate(tree.iter("object"), 1):
        where = f"{source}, object {number}"
        edges = [_number(item, f"bndbox/{edge}") for edge in _EDGES]
        collector.add(pair, where, _text(item, "name"), edges)


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _number(element: Element, path: str) -> float:
    try:
        return float(_text(element, path))
    except ValueError:
        return float("nan")
