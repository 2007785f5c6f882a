"""Detectors of other packages, and finished COCO results, as the benchmark's judges."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detection.predictions import read_predictions
from fuse2task.data.class_maps import Matching
from fuse2task.judges import DetectionJudge, Found
from fuse2task.runtime.errors import Fuse2TaskError


class PluginDetector:
    """A plug-in with the surface of `LoadedDetector`; what it gives is checked."""

    def __init__(self, judge: DetectionJudge, source: str):
        self._judge, self._source = judge, source
        self.names, self.digest, self.image_size = tuple(judge.classes), judge.digest, judge.image_size
        self.batch_size = judge.batch_size

    def predict_batch(self, images: Sequence[np.ndarray], classes: Sequence[int]) -> list[np.ndarray]:
        """As `LoadedDetector.predict`, of images (H, W, 3) uint8 BGR.

        Raises:
            Fuse2TaskError: boxes, scores and names that do not belong together, or are not finite numbers.
        """
        found = self._judge.detect_batch([np.ascontiguousarray(image[..., ::-1]) for image in images])
        if len(found) != len(images):
            raise Fuse2TaskError(f"{self._source}: gave {len(found)} results for {len(images)} images")
        return [self._table(one, set(classes), image.shape) for one, image in zip(found, images, strict=True)]

    def _table(self, found: Found, classes: set[int], shape: tuple[int, ...]) -> np.ndarray:
        """(N, 6) float64: x1, y1, x2, y2 inside the image, score, class index; best first, of `classes` alone."""
        boxes = np.asarray(found[0], np.float64).reshape(-1, 4)
        scores, names = np.asarray(found[1], np.float64), found[2]
        if not len(boxes) == len(scores) == len(names):
            raise Fuse2TaskError(f"{self._source}: gave {len(boxes)} boxes, {len(scores)} scores, {len(names)} names")
        if unknown := sorted(set(names) - set(self.names)):
            raise Fuse2TaskError(f"{self._source}: gave the class {unknown[0]!r}, which is not among its classes")
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all() and (boxes[:, 2:] >= boxes[:, :2]).all()):
            raise Fuse2TaskError(f"{self._source}: gave boxes or scores that are not finite, or corners out of order")
        kinds = np.array([self.names.index(name) for name in names], np.float64)
        boxes = np.clip(boxes, 0, [shape[1], shape[0], shape[1], shape[0]])
        table = np.concatenate([boxes, scores.reshape(-1, 1), kinds.reshape(-1, 1)], axis=1)
        kept = [row for row in np.argsort(-scores, kind="stable") if int(kinds[row]) in classes]
        return table[kept]


def given_results(path: Path, truth: dict[str, Any], matching: Matching) -> list[dict[str, Any]]:
    """COCO results that others wrote, for the images and classes of a truth.

    Args:
        path: as `read_predictions` takes it. truth: as `read_truth` gives it. matching: of the truth's classes with
            themselves.

    Raises:
        RequestError: as `read_predictions`.
    """
    wanted = set(matching.category.values())
    return [item for item in read_predictions(path, truth) if item["category_id"] in wanted]
