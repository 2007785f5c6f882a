"""Box sets from one format to another: COCO, Pascal VOC, YOLO."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from fuse2task.data.dataset import BoxTruth, Findings, Pair, files_below, files_by_id
from fuse2task.data.images import SUFFIXES, image_size
from fuse2task.data.truth.boxes import format_voc, format_yolo, parse_flags, read_voc, read_yolo
from fuse2task.data.truth.coco import coco_files, coco_truth, is_coco, read_coco
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import refuse_overlap, write_json, write_text
from fuse2task.runtime.progress import say

BoxFormat = Literal["coco", "voc", "yolo"]


def convert_boxes(
    source: Path, images: Path, kind: BoxFormat, out: Path, ignore: str | None = None
) -> BoxTruth:  # fmt: skip
    """Write the boxes of all images in the folder `images` as `kind`, and return them.

    COCO is one JSON file whose `file_name`s are paths below `images`; VOC and YOLO are folders with a file for each
    image in subfolders as the images', YOLO with classes.txt. Coordinates keep twelve digits or more, and are edges
    (x = xmin) in all three.

    source: a COCO file or a folder of COCO files, a folder of VOC files, or a folder of YOLO files with classes.txt
    there or in its parent. images: YOLO's fractions need their sizes, the others are checked by them. out: a new file
    (coco), or a new or empty folder. ignore: flags as for `load_dataset`; ignored boxes are crowds in COCO, have the
    flag `ignore` in VOC, and are left out of YOLO, which has no flags.
    RequestError: no images, boxes that do not fit them (all are listed), unreadable files, or `out` is in use.
    """
    source, images, out = Path(source), Path(images), Path(out)
    refuse_overlap(out, source, images)
    if kind == "coco" and out.suffix.lower() != ".json":
        raise RequestError(f"{out}: COCO is written as one file; name it something.json")
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise RequestError(f"{out}: in use already; name a new file or folder")
    if not images.is_dir():
        raise RequestError(f"{images}: no such folder of images")
    files, findings = files_by_id(images, SUFFIXES)
    _refuse(images, findings)
    if not files:
        raise RequestError(f"{images}: no images in it; boxes are checked against the sizes of their images")
    pairs = [Pair(name, "test", path, path, image_size(path)) for name, path in files.items()]
    truth = read_boxes(source, pairs, ignore)
    if kind == "yolo" and (left := sum(map(len, truth.ignored.values()))):
        say(f"{out}: without the {left} ignored boxes; YOLO has no flags, a detector takes them for background")
    if kind == "coco":
        content = coco_truth(pairs, truth)
        for image in content["images"]:
            image["file_name"] = files[Path(image["file_name"]).stem].relative_to(images).as_posix()
            del image["conditions"]
        write_json(out, content, sort_keys=False)
        return truth
    for pair in pairs:
        name, boxes = pair.visible.relative_to(images), truth.boxes[pair.id]
        if kind == "voc":
            write_text(
                out / name.with_suffix(".xml"),
                format_voc(name.as_posix(), boxes, pair.size, ignored=truth.ignored.get(pair.id, ())),
            )
        else:
            write_text(out / name.with_suffix(".txt"), format_yolo(boxes, truth.classes, pair.size))
    if kind == "yolo":
        write_text(out / "classes.txt", "".join(f"{name}\n" for name in truth.classes))
    return truth


def read_boxes(source: Path, pairs: Sequence[Pair], flags: str | None = None) -> BoxTruth:
    """Boxes of `pairs` from a file or folder of any of the three formats; notes are said. flags: as `parse_flags` reads
    them. RequestError: no such place, or findings, which are listed."""
    ignore = parse_flags(flags)
    if not source.exists():
        raise RequestError(f"{source}: no such file or folder of boxes")
    if source.is_file() or coco_files(source) or any(file.suffix.lower() == ".xml" for file in files_below(source)):
        truth, findings = (read_coco if is_coco(source) else read_voc)(source, pairs, None, ignore)
    else:
        read, findings = read_yolo(source, pairs, ignore=ignore)
        truth = read or BoxTruth((), {})
    _refuse(source, findings)
    return truth


def _refuse(source: Path, findings: Findings) -> None:
    for finding in findings:
        if finding.note:
            say(finding.message)
    findings.refuse(source, "; fix the files, nothing was written")
