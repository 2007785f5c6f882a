"""Which objects does a frozen detector find in one method's images and not in another's?

    python tools/gains.py BENCH DATASET --method average --method crossfuse-task --judge nanodet-plus-m [--class person]

From a finished bench folder, by pycocotools' matches at IoU .5 and detections of at least --score: the share of true
boxes found, by height in the image and by contrast in the first method's images, and false alarms an image. Contrast is
the box's mean grey level less that of a ring around it, half as large again. A fixed score is not AP: it shows where
the gain is, not how large it is.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fuse2task.data.images import luma, read_visible

HEIGHTS = (0, 30, 60, 120, np.inf)  # pixels
CONTRASTS = (0, 5, 10, 20, np.inf)  # grey levels


def contrast(image: np.ndarray, box: tuple[float, float, float, float]) -> float:
    """Mean of `image` (H, W) in the box (x, y, width, height) less the mean of a ring around it; 0 without a ring."""
    x, y, width, height = box

    def cut(share: float) -> tuple[float, int]:
        left, top = max(round(x - share * width), 0), max(round(y - share * height), 0)
        right, bottom = round(x + (1 + share) * width), round(y + (1 + share) * height)
        part = image[top : max(bottom, top + 1), left : max(right, left + 1)]
        return float(part.sum()), part.size

    (inside, count), (both, all_of_it) = cut(0.0), cut(0.25)
    if not count or all_of_it == count:
        return 0.0
    return inside / count - (both - inside) / (all_of_it - count)


def found(truth: COCO, detections: Path, category: int, score: float) -> tuple[set[int], float]:
    """Ids of the true boxes of a category that are found, and false alarms an image."""
    known = [row for row in json.loads(detections.read_text("utf-8")) if row["score"] >= score]
    evaluation = COCOeval(truth, truth.loadRes(known), "bbox")
    evaluation.params.iouThrs, evaluation.params.catIds = np.array([0.5]), [category]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.evaluate()
    images = [image for image in evaluation.evalImgs if image is not None]
    hits = {box for image in images for box, match in zip(image["gtIds"], image["gtMatches"][0], strict=True) if match}
    false = sum(int((~image["dtMatches"][0].astype(bool) & ~image["dtIgnore"][0]).sum()) for image in images)
    return hits, false / len(truth.imgs)


def table(boxes: pd.DataFrame, by: str, edges: tuple[float, ...], methods: list[str]) -> pd.DataFrame:
    """Share found of the boxes whose column `by` lies between two edges, a column for each method."""
    parts = boxes.groupby(pd.cut(boxes[by], edges, right=False), observed=True)
    return pd.concat([parts.size().rename("boxes"), parts[methods].mean().round(3)], axis=1)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench", type=Path)
    parser.add_argument("dataset")
    parser.add_argument("--method", action="append", required=True)
    parser.add_argument("--judge", action="append", required=True)
    parser.add_argument("--class", dest="category", default="person")
    parser.add_argument("--score", type=float, default=0.3)
    options = parser.parse_args()
    fused = options.bench / "fused" / options.dataset / options.method[0]
    truth = COCO(str(fused / "annotations" / "test.json"))
    (category,) = truth.getCatIds(catNms=[options.category])
    rows = truth.loadAnns(truth.getAnnIds(catIds=[category], iscrowd=False))
    folder = fused / "images" / "test"
    pixels = {key: luma(read_visible(folder / Path(image["file_name"]).name)) for key, image in truth.imgs.items()}
    boxes = pd.DataFrame({"height": [row["bbox"][3] for row in rows]}, index=[row["id"] for row in rows])
    boxes["contrast"] = [abs(contrast(pixels[row["image_id"]].astype(float), row["bbox"])) for row in rows]
    for judge in options.judge:
        alarms = []
        for method in options.method:
            predictions = options.bench / "predictions" / options.dataset / method / judge / "dets.json"
            hits, false = found(truth, predictions, category, options.score)
            boxes[method] = [key in hits for key in boxes.index]
            alarms.append(f"{method} {false:.2f}")
        print(f"\n{judge}: {options.category}, {len(boxes)} boxes; false alarms an image: {', '.join(alarms)}")
        print(f"found: {', '.join(f'{method} {boxes[method].mean():.3f}' for method in options.method)}")
        for by, edges in (("height", HEIGHTS), ("contrast", CONTRASTS)):
            print(table(boxes, by, edges, options.method).to_string())


if __name__ == "__main__":
    main()
