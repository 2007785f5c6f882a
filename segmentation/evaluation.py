"""Per-class IoU from confusion matrices: of folders of predictions, and under many weightings of the images."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fuse2task.config.recipes import configs_folder
from fuse2task.data.classes import CITYSCAPES, FMB, MSRS, PST900, VOC, class_list, read_class_list
from fuse2task.data.dataset import named_files
from fuse2task.data.fused import classes_at, verify_truth_at
from fuse2task.data.images import IGNORED, SUFFIXES, read_mask
from fuse2task.data.truth.masks import GREY, ONLY_255, index_names, is_grey, is_only_255, palette_classes, unnamed
from fuse2task.runtime.errors import RequestError, listing

IGNORE = IGNORED
DEFINITION = (
    "One int64 confusion matrix over all pixels of the set; pixels whose truth is 255 are left out. "
    "IoU = TP / (TP + FP + FN), null where the union is 0; accuracy = TP / (TP + FN), null without truth. "
    "mIoU and mAcc are means over classes that skip nulls, class 0 (background) included; mIoU_foreground "
    "is the mean without class 0. aAcc = correct pixels / counted pixels. Fractions in [0, 1]."
)
ADE20K = "ade20k"  # SceneParse150, in a file of its own
LEFT_OUT = " The judge does not know {}: pixels of these are not counted, and the means are without them."


def class_names(reference: str) -> tuple[str, ...]:
    """Class names behind `msrs`, `mfnet`, `fmb`, `pst900`, `cityscapes`, `voc`, `ade20k` or a UTF-8 text file with one
    `name` or `id name` a line. RequestError: no such file, no names, a name given twice, more than 255 names."""
    known = {"msrs": MSRS, "mfnet": MSRS, "fmb": FMB, "pst900": PST900, "cityscapes": CITYSCAPES, "voc": VOC}
    if reference in known:
        return known[reference]
    if reference == ADE20K:
        return read_class_list(configs_folder() / "class-lists" / f"{ADE20K}.txt")
    if not os.path.lexists(reference):
        names_of = ", ".join((*known, ADE20K))
        raise RequestError(f"{reference}: not one of {names_of} and not a readable text file (it does not exist)")
    names = read_class_list(Path(reference))
    if len(names) > IGNORE:
        raise RequestError(f"{reference}: {len(names)} classes; a mask has room for {IGNORE}")
    return names


def evaluate(
    labels: Path, predictions: Path, classes: Sequence[str] | None = None, palette: str | None = None
) -> dict[str, Any]:
    """Scores of the masks in `predictions` against those in `labels`, matched by file name without suffix. Returns the
    metrics file's content: mIoU, mIoU_foreground, mAcc, aAcc, images, pixels, per_class (IoU, accuracy, pixels, in
    class order) and definition, and class_names, which says where the names are from if not from `classes`.

    classes: by default those of the fused dataset that `labels` is part of, of classes.txt there or above it, of the
    palette, else "0", "1", ... palette: colours of both kinds of masks, as for `images.read_mask`. RequestError: as
    `matrices`, labels of 0 and 255 alone, no such palette."""
    source = ""
    if classes is None:
        named, source = _names_at(Path(labels))
        classes = palette_classes(palette, Path(labels), named)
        source = source or (f"palette {palette}" if palette else "")
    found, present = _compared(labels, predictions, classes, palette)
    if is_only_255(present, classes):
        raise RequestError(f"{labels}: {ONLY_255}")
    if not classes and is_grey(present):
        raise RequestError(f"{labels}: {GREY}")
    if not classes:
        size = max(len(matrix) for matrix in found.values())
        classes, found = index_names({size - 1}), {name: _grown(matrix, size) for name, matrix in found.items()}
        source = unnamed(classes)
    total = np.stack(list(found.values())).sum(axis=0)
    about = {"class_names": source} if source else {}
    return {**scores(total, classes), "images": len(found), **about}


def _names_at(labels: Path) -> tuple[tuple[str, ...], str]:
    if names := classes_at(labels):
        return names, "manifest.json"
    listed = class_list(labels)
    return (class_names(str(listed)), str(listed)) if listed else ((), "")


def _grown(matrix: np.ndarray, size: int) -> np.ndarray:
    return np.pad(matrix, (0, size - len(matrix)))


def matrices(labels: Path, predictions: Path, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """The confusion matrix of every image, by id, in sorted order. RequestError, which lists all of them: an empty
    folder, missing or extra predictions, unequal sizes, indices outside `classes` (255 is allowed in the labels alone),
    labels of a fused dataset that are not as its manifest says."""
    return _compared(labels, predictions, classes)[0]


def _compared(
    labels: Path, predictions: Path, classes: Sequence[str], palette: str | None = None
) -> tuple[dict[str, np.ndarray], set[int]]:
    """As `matrices`, and the values in the labels; without classes each matrix is as large as its image needs."""
    truth, predicted = _masks(labels), _masks(predictions)
    verify_truth_at(labels)
    problems = [f"{name}: no prediction" for name in sorted(truth.keys() - predicted.keys())]
    problems += [f"{name}: predicted, but there is no label" for name in sorted(predicted.keys() - truth.keys())]
    if problems:
        raise RequestError(f"{predictions} does not match {labels}:\n{listing(problems)}")
    found, present = {}, set[int]()
    for name in sorted(truth):
        try:
            label, prediction = read_mask(truth[name], palette), read_mask(predicted[name], palette)
        except RequestError as error:
            problems.append(str(error))
            continue
        values = set(np.unique(label).tolist())
        present |= values
        count = len(classes) or 1 + max(values - {IGNORE} | set(np.unique(prediction).tolist()) - {IGNORE}, default=0)
        if wrong := outside(label, count, IGNORE):
            problems.append(f"{truth[name]}: values {wrong} are not among {count} classes or 255")
        if wrong := outside(prediction, count):
            problems.append(f"{predicted[name]}: values {wrong} are not among {count} classes")
        if label.shape != prediction.shape:
            sizes = [f"{width}x{height}" for height, width in (label.shape, prediction.shape)]
            problems.append(f"{predicted[name]}: {sizes[1]}, but the label is {sizes[0]}")
        if not problems:
            found[name] = confusion(label, prediction, count)
    if problems:
        if classes and is_only_255(present, classes):
            raise RequestError(f"{labels}: {ONLY_255}")
        raise RequestError(f"masks that cannot be compared:\n{listing(problems)}")
    return found, present


def confusion(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Pixel counts (classes, classes) int64, rows truth, columns prediction; truth 255 is left out. Both hold integer
    indices below `classes`. ValueError: shapes differ, or an index is outside the classes."""
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, prediction {prediction.shape}")
    counted = truth != IGNORE
    rows, columns = truth[counted].astype(np.int64), prediction[counted].astype(np.int64)
    for name, indices in (("truth", rows), ("prediction", columns)):
        if indices.size and (indices.min() < 0 or indices.max() >= classes):
            raise ValueError(f"{name} has indices outside 0..{classes - 1}")
    return np.bincount(rows * classes + columns, minlength=classes * classes).reshape(classes, classes)


def scores(matrix: np.ndarray, classes: Sequence[str], left_out: Sequence[str] = ()) -> dict[str, Any]:
    """Scores of one confusion matrix (rows truth), None where undefined; see `DEFINITION`.

    left_out: classes that the judge does not know, whose pixels the matrix must not hold; the definition names them.
    """
    hits, truth = np.diagonal(matrix), matrix.sum(axis=1)
    union = truth + matrix.sum(axis=0) - hits
    ious = [_ratio(hit, whole) for hit, whole in zip(hits, union, strict=True)]
    accuracies = [_ratio(hit, whole) for hit, whole in zip(hits, truth, strict=True)]
    rows = zip(classes, ious, accuracies, truth.tolist(), strict=True)
    return {
        "mIoU": _mean(ious), "mIoU_foreground": _mean(ious[1:]), "mAcc": _mean(accuracies),
        "aAcc": _ratio(hits.sum(), matrix.sum()), "pixels": int(matrix.sum()),
        "per_class": {name: {"IoU": iou, "accuracy": right, "pixels": pixels} for name, iou, right, pixels in rows},
        "definition": f"{DEFINITION}{LEFT_OUT.format(', '.join(left_out)) if left_out else ''}",
    }  # fmt: skip


@dataclass(frozen=True)
class WeightedIoU:
    """Scores of R replicates and C classes as `scores` has them; NaN where it has None."""

    mIoU: np.ndarray  # (R,), as the next three
    mIoU_foreground: np.ndarray
    mAcc: np.ndarray
    aAcc: np.ndarray
    class_IoU: np.ndarray  # (R, C), as the next
    class_accuracy: np.ndarray


def weighted_iou(matrices: np.ndarray, weights: np.ndarray) -> WeightedIoU:
    """Scores of the weighted sum of the images' confusion matrices, for every row of image weights. matrices: (I, C, C)
    pixel counts, rows truth. weights: (R, I), finite, >= 0; a weight of 2 counts as the image being there twice.
    ValueError: other shapes, or weights that are negative or not finite."""
    matrices, weights = np.asarray(matrices), np.asarray(weights)
    if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2]:
        raise ValueError(f"confusion matrices are {matrices.shape}, not (images, classes, classes)")
    images, classes, _ = matrices.shape
    if weights.ndim != 2 or weights.shape[1] != images:
        raise ValueError(f"weights are {weights.shape}, not (replicates, {images} images)")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("weights must be finite and not negative")
    # float64 holds integer sums exactly up to 2^53 pixels.
    flat = matrices.reshape(images, classes * classes).astype(np.float64)
    total = (weights.astype(np.float64) @ flat).reshape(-1, classes, classes)
    hits, truth = np.diagonal(total, axis1=1, axis2=2), total.sum(axis=2)
    iou = _ratios(hits, truth + total.sum(axis=1) - hits)
    accuracy = _ratios(hits, truth)
    all_pixels = _ratios(hits.sum(axis=1), truth.sum(axis=1))
    return WeightedIoU(_means(iou), _means(iou[:, 1:]), _means(accuracy), all_pixels, iou, accuracy)


def _masks(folder: Path) -> dict[str, Path]:
    masks = named_files(Path(folder), SUFFIXES, "masks")
    if not masks:
        raise RequestError(f"{folder}: holds no masks (images of class indices, one for each picture)")
    return masks


def outside(mask: np.ndarray, classes: int, *allowed: int) -> list[int]:
    """Values of a mask that are neither class indices nor `allowed`."""
    return [int(value) for value in np.unique(mask) if value >= classes and value not in allowed]


def _ratio(part: int, whole: int) -> float | None:
    return float(part) / float(whole) if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _ratios(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _means(values: np.ndarray) -> np.ndarray:
    defined = ~np.isnan(values)
    return _ratios(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1).astype(np.float64))
