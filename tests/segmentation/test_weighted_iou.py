"""Weighted IoU against the evaluation's own scores and against torchmetrics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segmentation.evaluation import confusion, scores, weighted_iou


def matrices(seed: int, images: int = 5, classes: int = 4) -> np.ndarray:
    """Confusion matrices in which classes are missing from some images, or from all."""
    draw = np.random.default_rng(seed)
    rows, columns = draw.random((images, classes, 1)) < 0.5, draw.random((images, 1, classes)) < 0.6
    return draw.integers(0, 50, (images, classes, classes)) * rows * columns * (draw.random(classes) < 0.8)[:, None]


@settings(max_examples=100)
@given(seed=st.integers(0, 10**6), counts=st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_equal_to_the_evaluation(seed: int, counts: list[int]) -> None:
    of_images = matrices(seed)
    found = weighted_iou(of_images, np.array([[1] * 5, counts, np.array(counts) / 4]))
    for row, weights in enumerate(([1] * 5, counts, counts)):
        expected = scores(np.repeat(of_images, weights, axis=0).sum(axis=0), "abcd")
        for name in ("mIoU", "mIoU_foreground", "mAcc", "aAcc"):
            np.testing.assert_allclose(getattr(found, name)[row], as_number(expected[name]), rtol=0, atol=1e-12)
        for k, name in enumerate("abcd"):
            of_class = [found.class_IoU[row, k], found.class_accuracy[row, k]]
            wanted = [as_number(expected["per_class"][name][key]) for key in ("IoU", "accuracy")]
            np.testing.assert_allclose(of_class, wanted, rtol=0, atol=1e-12)


def as_number(value: float | None) -> float:
    return np.nan if value is None else value


def test_equal_to_torchmetrics() -> None:
    from torchmetrics.classification import MulticlassJaccardIndex

    draw = np.random.default_rng(0)
    truth = draw.integers(0, 3, (4, 20, 30))
    prediction = np.where(draw.random(truth.shape) < 0.7, truth, draw.integers(0, 3, truth.shape))
    of_images = np.stack([confusion(a, b, 3) for a, b in zip(truth, prediction, strict=True)])
    found = weighted_iou(of_images, np.array([[1, 0, 2, 1]]))
    chosen = [0, 2, 2, 3]
    oracle = MulticlassJaccardIndex(3, average=None)(torch.tensor(prediction[chosen]), torch.tensor(truth[chosen]))
    np.testing.assert_allclose(found.class_IoU[0], oracle.numpy(), rtol=1e-6)


def test_wrong_shapes_are_refused() -> None:
    of_images = matrices(1)
    for wrong in (np.ones(5), np.ones((2, 4)), np.full((1, 5), -1), np.full((1, 5), np.inf)):
        with pytest.raises(ValueError, match="weights"):
            weighted_iou(of_images, wrong)
    with pytest.raises(ValueError, match="confusion matrices"):
        weighted_iou(of_images[0], np.ones((1, 4)))
