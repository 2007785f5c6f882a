"""Truth of a dataset, from the given files or the layout's own; class masks."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from fuse2task.data.classes import read_class_list
from fuse2task.data.dataset import BoxTruth, Finding, MaskTruth, Pair
from fuse2task.data.images import SUFFIXES, read_mask
from fuse2task.data.layouts import Layout
from fuse2task.data.truth.boxes import file_of, read_voc, read_yolo, truth_files
from fuse2task.data.truth.coco import is_coco, read_coco
from fuse2task.runtime.errors import RequestError

IGNORED = 255


def read_masks(
    folders: Iterable[Path], pairs: Sequence[Pair], classes: Sequence[str]
) -> tuple[MaskTruth, list[Finding]]:
    """Masks of `pairs`; every file is decoded and checked.

    Returns:
        The truth, and findings: `missing-truth`, `bad-mask` (unreadable, not one channel), `mask-size`,
        `mask-value` (neither a class index nor 255).
    """
    folders = list(folders)
    files, findings = truth_files(folders, SUFFIXES, pairs)
    masks: dict[str, Path] = {}
    for pair in pairs:
        path = file_of(pair, files)
        if path is None:
            places = ", ".join(str(folder) for folder in folders)
            findings.append(Finding("missing-truth", f"{places}: no mask for {pair.id}"))
            continue
        masks[pair.id] = path
        try:
            mask = read_mask(path)
        except RequestError as error:
            findings.append(Finding("bad-mask", str(error)))
            continue
        if mask.shape != pair.size[::-1]:
            text = f"{path}: {mask.shape[1]}x{mask.shape[0]}, but the image is {pair.size[0]}x{pair.size[1]}"
            findings.append(Finding("mask-size", text))
        unknown = sorted(set(np.unique(mask).tolist()) - {*range(len(classes)), IGNORED})
        if unknown:
            text = f"{path}: values {unknown}; classes are 0 to {len(classes) - 1}, and {IGNORED} is ignored"
            findings.append(Finding("mask-value", text))
    return MaskTruth(tuple(classes), masks), findings


def pixel_counts(path: Path) -> np.ndarray:
    """Pixels of each value of a mask: (256,) int64."""
    return np.bincount(read_mask(path).ravel(), minlength=256)


Truth = tuple[BoxTruth | None, MaskTruth | None, list[Finding]]


def read_truth(
    root: Path, table: Layout, pairs: Sequence[Pair],
    boxes: Path | None, annotations: Path | None, masks: Path | None,
) -> Truth:  # fmt: skip
    """Boxes or masks of `pairs`, and what is wrong with them; options as `scan_dataset` describes them.

    Raises:
        RequestError: more than one option, or one that leads nowhere.
    """
    given = [path for path in (boxes, annotations, masks) if path is not None]
    if len(given) > 1:
        raise RequestError("give one of boxes, annotations and masks, not several")
    for path in given:
        if not Path(path).exists() or not (Path(path).is_dir() or path == annotations):
            raise RequestError(f"{path}: no such folder of truth")
    if boxes is not None:
        truth, findings = read_yolo(Path(boxes), pairs, table.box_classes)
        return truth, None, findings
    if annotations is not None:
        reader = read_coco if is_coco(Path(annotations)) else read_voc
        truth, findings = reader(Path(annotations), pairs, table.box_classes)
        return truth, None, findings
    if masks is not None:
        names = _mask_classes(Path(masks), table)
        mask_truth, findings = read_masks([Path(masks)], pairs, names)
        return None, mask_truth, findings
    return _own_truth(root, table, pairs)


def _own_truth(root: Path, table: Layout, pairs: Sequence[Pair]) -> Truth:
    for own in table.truth:
        folders = [root / name for name in own.folders if (root / name).is_dir()]
        if not folders:
            continue
        if own.kind == "masks":
            mask_truth, findings = read_masks(folders, pairs, own.classes)
            return None, mask_truth, findings
        if own.kind == "voc":
            return _boxes_only(read_voc(folders, pairs, own.classes))
        return _boxes_only(read_yolo(folders, pairs, own.classes, only_known=True))
    return None, None, []


def _boxes_only(read: tuple[BoxTruth | None, list[Finding]]) -> Truth:
    return read[0], None, read[1]


def _mask_classes(folder: Path, table: Layout) -> tuple[str, ...]:
    for place in (folder, folder.resolve().parent):
        if (place / "classes.txt").is_file():
            return read_class_list(place / "classes.txt")
    return table.mask_classes
