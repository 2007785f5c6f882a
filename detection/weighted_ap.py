"""COCO average precision of one matching under many weightings of the images (bootstrap, jackknife, conditions)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from detection.matching import AREAS, Matches

RECALLS = np.linspace(0.0, 1.0, 101)  # COCOeval's recThrs, bit for bit
_CELLS = 150_000  # true positives times replicates worked on at a time: about what a processor's cache holds


@dataclass(frozen=True)
class WeightedAP:
    """COCO AP of R replicates and K classes, fractions in [0, 1], NaN where undefined."""

    classes: tuple[str, ...]
    AP: np.ndarray  # (R,), as the next five
    AP50: np.ndarray
    AP75: np.ndarray
    AP_small: np.ndarray
    AP_medium: np.ndarray
    AP_large: np.ndarray
    class_AP: np.ndarray  # (R, K), as the next two
    class_AP50: np.ndarray
    class_AP75: np.ndarray


def weighted_ap(matches: Matches, weights: np.ndarray) -> WeightedAP:
    """AP of every row of image weights; a weight of 2 counts as the image being there twice.

    All weights 1 gives pycocotools' numbers. A class without truth under a row's weights is NaN there and not in
    that row's means (pycocotools' -1). Only true positives are visited: the interpolated precision at a recall is
    a maximum over all later ranks (Everingham et al. 2010, eq. 2), and precision rises at true positives alone.

    Args:
        matches: I images.
        weights: (R, I), any real or integer type, finite, >= 0.

    Raises:
        ValueError: another shape, or weights that are negative or not finite.
    """
    weights = np.asarray(weights)
    if weights.ndim != 2 or weights.shape[1] != len(matches.images):
        raise ValueError(f"weights are {weights.shape}, not (replicates, {len(matches.images)} images)")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("weights must be finite and not negative")
    values = np.full((len(AREAS), len(matches.thresholds), len(matches.classes), len(weights)), np.nan)
    groups = [_true_positives(matches, k) for k in range(len(matches.classes))]
    most = max([len(image) for group in groups for area in group for image, _ in area], default=0)
    step = max(16, _CELLS // max(1, most))
    for first in range(0, len(weights), step):
        columns = slice(first, first + step)
        chunk = np.ascontiguousarray(weights[columns].T, dtype=np.float64)
        for k, group in enumerate(groups):
            for a in range(len(AREAS)):
                positives = matches.truths[k, a] @ chunk
                for t, (image, between) in enumerate(group[a]):
                    values[a, t, k, columns] = _average_precision(image, between, chunk, positives)
    every, half, quarters = values[0], values[0][_at(matches, 0.5)], values[0][_at(matches, 0.75)]
    return WeightedAP(
        matches.classes,
        AP=_mean_over_classes(every.mean(axis=0)),
        AP50=_mean_over_classes(half),
        AP75=_mean_over_classes(quarters),
        AP_small=_mean_over_classes(values[1].mean(axis=0)),
        AP_medium=_mean_over_classes(values[2].mean(axis=0)),
        AP_large=_mean_over_classes(values[3].mean(axis=0)),
        class_AP=every.mean(axis=0).T,
        class_AP50=half.T,
        class_AP75=quarters.T,
    )


def _true_positives(matches: Matches, k: int) -> list[list[tuple[np.ndarray, Any]]]:
    """Per area range and threshold: images of the true positives by falling score, and a sparse matrix
    (true positives, images) of how many counted detections each image has after the previous one, itself included."""
    from scipy.sparse import csr_array

    part = slice(matches.starts[k], matches.starts[k + 1])
    image = matches.image[part]
    found: list[list[tuple[np.ndarray, Any]]] = []
    for a in range(len(AREAS)):
        found.append([])
        for matched, ignored in zip(matches.matched[a, :, part], matches.ignored[a, :, part], strict=True):
            counted = np.flatnonzero(~ignored)
            hits = np.flatnonzero(matched[counted])
            counted = counted[: hits[-1] + 1] if len(hits) else counted[:0]
            starts = np.concatenate(([0], hits + 1))
            shape = (len(hits), len(matches.images))
            between = csr_array((np.ones(len(counted)), image[counted], starts), shape=shape)
            found[-1].append((image[counted][hits], between))
    return found


def _average_precision(image: np.ndarray, between: Any, weights: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """101-point AP (R,) from the weights (I, R) of the true positives and of all detections up to each."""
    if not len(image):
        return np.where(positives > 0, 0.0, np.nan)
    true = np.cumsum(weights[image], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = true / positives
    precision = np.cumsum(between @ weights, axis=0)
    precision += np.spacing(1)
    np.divide(true, precision, out=precision)
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    # A true positive supplies the precision of the recall thresholds that it is the first to reach.
    reached = np.searchsorted(RECALLS, recall, side="right")
    reached[1:] -= reached[:-1].copy()
    return np.where(positives > 0, (envelope * reached).sum(axis=0) / len(RECALLS), np.nan)


def _at(matches: Matches, iou: float) -> int:
    return int(np.argmin(np.abs(matches.thresholds - iou)))


def _mean_over_classes(values: np.ndarray) -> np.ndarray:
    """Mean (R,) over the defined classes of (K, R); NaN where there is none."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=0)
    return np.where(count > 0, np.where(defined, values, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
