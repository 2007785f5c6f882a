"""Predictions of a judge on one split of a fused dataset, as COCO results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detection.classes import ClassMap, Matching, match_classes
from detection.coco import read_truth
from detection.judge import Judge
from fuse2task.data.fused import FusedDataset, verify_images
from fuse2task.data.images import as_rgb, read_visible
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.progress import Meter


def predict(
    dataset: FusedDataset,
    split: str,
    judge: Judge,
    class_map: ClassMap | None = None,
    source: str = "the class map",
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Run `judge` over every image of `split`.

    Args:
        dataset: a fused dataset with boxes.
        class_map: judge class name -> truth class name (`detection.classes`); `source` names it in messages.

    Returns:
        COCO results (image_id and category_id of the truth file, bbox x, y, w, h in pixels, score; floats as
        the judge gave them), images in id order, boxes best first; and the truth classes the judge lacks.

    Raises:
        RequestError: no such split, no boxes, images or truth that are not as the manifest says or do not correspond,
            unmatched classes.
    """
    truth_file = dataset.annotations(split)
    verify_images(dataset, [split])
    truth = read_truth(truth_file)
    matching = match_classes(judge.names, {item["name"]: item["id"] for item in truth["categories"]}, class_map, source)
    image_ids = _image_ids(truth, dataset.ids(split), truth_file)
    results: list[dict[str, Any]] = []
    with Meter(f"predict {split}", len(image_ids)) as meter:
        for path in dataset.images(split):
            results += predict_image(judge, matching, path, image_ids[path.stem])
            meter.advance()
    return results, matching.left_out


def predict_image(judge: Judge, matching: Matching, path: Path, image_id: int) -> list[dict[str, Any]]:
    """COCO results of one image file (grey files are shown to the judge in three equal channels)."""
    bgr = np.ascontiguousarray(as_rgb(read_visible(path))[..., ::-1])
    boxes = judge.predict(bgr, sorted(matching.category))
    return [
        {
            "image_id": image_id,
            "category_id": matching.category[int(index)],
            "bbox": [float(x1), float(y1), float(x2) - float(x1), float(y2) - float(y1)],
            "score": float(score),
        }
        for x1, y1, x2, y2, score, index in boxes
    ]


def _image_ids(truth: dict[str, Any], ids: Sequence[str], truth_file: Path) -> dict[str, int]:
    found = {Path(str(image.get("file_name", ""))).stem: image["id"] for image in truth["images"]}
    different = sorted(found.keys() ^ set(ids))
    if different or len(found) < len(truth["images"]):
        raise RequestError(
            f"{truth_file}: {len(different)} images are only in the truth or only in the dataset; "
            f"fuse it again\n{listing(different, 5)}"
        )
    return found
