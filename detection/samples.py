"""Pictures of what a judge predicts: truth green, predictions orange with their score."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fuse2task.data.images import as_rgb, read_visible, write_image

TRUTH, PREDICTION = (0, 200, 0), (255, 140, 0)  # RGB
SHOWN = 0.25  # score from which a prediction is drawn


def draw_sample(
    source: Path,
    target: Path,
    truth: list[dict[str, Any]],
    predictions: list[dict[str, Any]],
    names: dict[int, str],
) -> None:
    """Write `source` to `target` (PNG) with COCO boxes of truth and predictions; `names` by category id."""
    pixels = np.ascontiguousarray(as_rgb(read_visible(source)))
    for item in truth:
        _box(pixels, item["bbox"], names[item["category_id"]], TRUTH)
    for item in predictions:
        if item["score"] >= SHOWN:
            _box(pixels, item["bbox"], f"{names[item['category_id']]} {item['score']:.2f}", PREDICTION)
    write_image(target, pixels)


def _box(pixels: np.ndarray, box: list[float], text: str, colour: tuple[int, int, int]) -> None:
    x, y, width, height = box
    corner = (round(x), round(y))
    cv2.rectangle(pixels, corner, (round(x + width), round(y + height)), colour, 1)
    cv2.putText(pixels, text, (corner[0], max(corner[1] - 2, 8)), cv2.FONT_HERSHEY_SIMPLEX, 0.35, colour, 1)
