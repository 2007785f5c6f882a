"""COCO average precision by pycocotools, with the per-class, per-IoU and per-size numbers."""

import contextlib
import io
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from detection.coco import read_predictions, read_truth
from detection.matching import counted_classes, evaluated

ALL, SMALL, MEDIUM, LARGE = range(4)  # COCOeval's area ranges: all, < 32^2, 32^2 to 96^2, > 96^2 pixels


def evaluate(
    truth: dict[str, Any] | Path, predictions: list[dict[str, Any]] | Path, *, left_out: Sequence[str] = ()
) -> dict[str, Any]:
    """Average precision of `predictions` against `truth`, over all images of the truth (empty ones too).

    The numbers are those of pycocotools' COCOeval (bbox): IoU 0.50:0.05:0.95, 101 recall points, at most 100
    detections a class and image.

    Args:
        truth: COCO ground truth, or its file.
        predictions: COCO results, or their file.
        left_out: names of truth classes that the judge lacks: null, not in the mean, named in `definition`.

    Returns:
        {"AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR100": fraction in [0, 1] or None,
        "images": int, "per_iou": {"0.50": ..., "0.95": ...},
        "per_class": {name: {"AP", "AP50", "AP75", "instances"}}, "definition": str}. None stands for a class
        (or size) without truth; a class with truth and no detection has 0.

    Raises:
        RequestError: a file is not what it should be, the predictions are for other images or categories, or
            `left_out` names an unknown class or all classes.
    """
    content = read_truth(truth)
    results = read_predictions(predictions, content)
    names = {item["id"]: item["name"] for item in content["categories"]}
    counted = counted_classes(content, left_out)
    run = evaluated(content, results, counted)
    with contextlib.redirect_stdout(io.StringIO()):
        run.accumulate()
    # (IoU, recall, class, area) and (IoU, class, area), -1 where undefined, at 100 detections an image.
    precision, recall = run.eval["precision"][..., -1], run.eval["recall"][..., -1]
    thresholds = run.params.iouThrs
    per_class: dict[str, dict[str, float | int | None]] = {}
    for number, name in names.items():
        instances = sum(item["category_id"] == number and not item["iscrowd"] for item in content["annotations"])
        part = precision[:, :, counted.index(number), ALL] if number in counted else None
        per_class[name] = {
            "AP": None if part is None else _mean(part),
            "AP50": None if part is None else _mean(part[thresholds == 0.5]),
            "AP75": None if part is None else _mean(part[thresholds == 0.75]),
            "instances": instances,
        }
    return {
        "AP": _mean(precision[..., ALL]),
        "AP50": _mean(precision[thresholds == 0.5, ..., ALL]),
        "AP75": _mean(precision[thresholds == 0.75, ..., ALL]),
        "AP_small": _mean(precision[..., SMALL]),
        "AP_medium": _mean(precision[..., MEDIUM]),
        "AP_large": _mean(precision[..., LARGE]),
        "AR100": _mean(recall[..., ALL]),
        "images": len(content["images"]),
        "per_iou": {f"{iou:.2f}": _mean(precision[t, ..., ALL]) for t, iou in enumerate(thresholds)},
        "per_class": per_class,
        "definition": _definition(per_class, left_out),
    }


def _mean(values: np.ndarray) -> float | None:
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None


def _definition(per_class: dict[str, dict[str, Any]], left_out: Sequence[str]) -> str:
    averaged = [name for name, row in per_class.items() if name not in left_out and row["instances"]]
    without = [name for name, row in per_class.items() if name not in left_out and not row["instances"]]
    text = (
        f"COCO box AP by pycocotools {metadata.version('pycocotools')}: IoU 0.50:0.05:0.95, "
        f"101 recall points, maxDets 100, all images; mean over {', '.join(averaged) or 'no class'}"
    )
    if without:
        text += f"; null, no truth: {', '.join(without)}"
    if left_out:
        text += f"; null, not among the judge's classes and left out of the mean: {', '.join(left_out)}"
    return text
