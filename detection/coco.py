"""COCO truth and result files, read strictly: what pycocotools would crash on or ignore is refused."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import read_json


def read_truth(truth: dict[str, Any] | Path) -> dict[str, Any]:
    """COCO ground truth with keys images, categories and annotations, checked.

    Every annotation of the returned copy has id, area (w * h where the file has none) and iscrowd (0 where
    the file has none), as pycocotools needs them.

    Raises:
        RequestError: unreadable, not COCO ground truth, no images or classes, repeated ids or names, an
            annotation of an unknown image or category, or a box that is not four finite numbers, sizes >= 0.
    """
    source = f"{truth}" if isinstance(truth, Path) else "the truth"
    content = read_json(truth, "COCO truth file") if isinstance(truth, Path) else truth
    try:
        images = [{**image, "id": image["id"]} for image in content["images"]]
        categories = [{"id": item["id"], "name": item["name"]} for item in content["categories"]]
        annotations = [
            {"iscrowd": 0, "area": item["bbox"][2] * item["bbox"][3], **item, "id": number}
            for number, item in enumerate(content["annotations"], start=1)
        ]
    except (KeyError, TypeError, IndexError) as error:
        raise RequestError(
            f"{source}: not COCO ground truth with images, categories and annotations (wrong or missing: {error})"
        ) from None
    if not images or not categories:
        raise RequestError(f"{source}: COCO ground truth without {'images' if not images else 'categories'}")
    for what, values in (
        ("image id", [image["id"] for image in images]),
        ("category id", [item["id"] for item in categories]),
        ("category name", [item["name"] for item in categories]),
    ):
        if len(set(values)) != len(values):
            raise RequestError(f"{source}: a {what} occurs twice; each must be unique")
    problems = list(_problems(annotations, images, categories, "annotation"))
    if problems:
        raise RequestError(f"{source}: {len(problems)} bad annotations\n{listing(problems, 5)}")
    return {"info": {}, "images": images, "categories": categories, "annotations": annotations}


def read_predictions(predictions: list[dict[str, Any]] | Path, truth: dict[str, Any]) -> list[dict[str, Any]]:
    """COCO results, a list of {image_id, category_id, bbox [x, y, w, h], score}, checked against `truth`.

    Args:
        predictions: the list or its JSON file; not modified.
        truth: what `read_truth` gave.

    Raises:
        RequestError: unreadable, not such a list, numbers that are not finite, or predictions for images or
            categories that the truth does not have (they belong to another dataset).
    """
    source = f"{predictions}" if isinstance(predictions, Path) else "the predictions"
    content = read_json(predictions, "COCO result file") if isinstance(predictions, Path) else predictions
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise RequestError(f"{source}: COCO results are a list of {{image_id, category_id, bbox, score}}")
    problems = list(_problems(content, truth["images"], truth["categories"], "prediction"))
    problems += [
        f"prediction {number}: score {item.get('score')!r} is not a finite number"
        for number, item in enumerate(content)
        if not _finite(item.get("score"))
    ]
    if problems:
        raise RequestError(
            f"{source}: {len(problems)} predictions do not fit the truth; were they made for another dataset "
            f"or split?\n{listing(problems, 5)}"
        )
    return [{key: item[key] for key in ("image_id", "category_id", "bbox", "score")} for item in content]


def _problems(
    items: Iterable[dict[str, Any]], images: list[dict[str, Any]], categories: list[dict[str, Any]], what: str
) -> Iterable[str]:
    image_ids, category_ids = {image["id"] for image in images}, {item["id"] for item in categories}
    for number, item in enumerate(items):
        box = item.get("bbox")
        if not _known(item.get("image_id"), image_ids):
            yield f"{what} {number}: image_id {item.get('image_id')!r} is not in the truth"
        elif not _known(item.get("category_id"), category_ids):
            yield f"{what} {number}: category_id {item.get('category_id')!r} is not in the truth"
        elif not (isinstance(box, list | tuple) and len(box) == 4 and all(map(_finite, box)) and min(box[2:]) >= 0):
            yield f"{what} {number}: bbox {box!r} is not [x, y, w, h] in finite numbers with w, h >= 0"


def _known(value: Any, known: set[Any]) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool) and value in known


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
