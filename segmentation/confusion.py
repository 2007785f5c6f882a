"""The confusion matrix that every segmentation score comes from."""

import numpy as np

IGNORE = 255


def confusion(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Pixel counts (classes, classes) int64, rows truth, columns prediction; truth 255 is left out.

    Args:
        truth: integer indices below `classes`, or 255.
        prediction: integer indices below `classes`, of the same shape.

    Raises:
        ValueError: shapes differ, or an index is outside the classes.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, prediction {prediction.shape}")
    counted = truth != IGNORE
    rows, columns = truth[counted].astype(np.int64), prediction[counted].astype(np.int64)
    for name, indices in (("truth", rows), ("prediction", columns)):
        if indices.size and (indices.min() < 0 or indices.max() >= classes):
            raise ValueError(f"{name} has indices outside 0..{classes - 1}")
    return np.bincount(rows * classes + columns, minlength=classes * classes).reshape(classes, classes)
