"""Segmentation scores of one set of images under many weightings of the images (bootstrap, jackknife, conditions)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class WeightedIoU:
    """Scores of R replicates and C classes as `segmentation.evaluation.scores` has them; NaN where it has None."""

    mIoU: np.ndarray  # (R,), as the next three
    mIoU_foreground: np.ndarray
    mAcc: np.ndarray
    aAcc: np.ndarray
    class_IoU: np.ndarray  # (R, C), as the next
    class_accuracy: np.ndarray


def weighted_iou(matrices: np.ndarray, weights: np.ndarray) -> WeightedIoU:
    """Scores of the weighted sum of the images' confusion matrices, for every row of image weights.

    Args:
        matrices: (I, C, C) pixel counts, rows truth.
        weights: (R, I), finite, >= 0; a weight of 2 counts as the image being there twice.

    Raises:
        ValueError: other shapes, or weights that are negative or not finite.
    """
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
    iou = _ratio(hits, truth + total.sum(axis=1) - hits)
    accuracy = _ratio(hits, truth)
    return WeightedIoU(
        mIoU=_mean(iou),
        mIoU_foreground=_mean(iou[:, 1:]),
        mAcc=_mean(accuracy),
        aAcc=_ratio(hits.sum(axis=1), truth.sum(axis=1)),
        class_IoU=iou,
        class_accuracy=accuracy,
    )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> np.ndarray:
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1).astype(np.float64))
