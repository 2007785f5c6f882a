"""Made-up truth and detections that behave like a detector's on road scenes: for checks of the statistics."""

from typing import Any

import numpy as np

WIDTH, HEIGHT = 1024, 768


def simulate_truth(rng: np.random.Generator, images: int, classes: int, boxes: float) -> dict[str, Any]:
    """COCO truth with on average so many boxes a class and image; images differ in how crowded they are.

    Every image has an `ease`, standard normal, that all detections in it share: what makes them dependent.
    """
    annotations: list[dict[str, Any]] = []
    rows = []
    for image in range(1, images + 1):
        rows.append({"id": image, "width": WIDTH, "height": HEIGHT, "ease": float(rng.normal())})
        crowd = rng.gamma(2.0, 0.5)
        for category in range(1, classes + 1):
            for box in _boxes(rng, rng.poisson(boxes * crowd)).tolist():
                found = {"image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
                annotations.append({"id": len(annotations) + 1, **found})
    categories = [{"id": n, "name": f"class {n}"} for n in range(1, classes + 1)]
    return {"info": {}, "images": rows, "categories": categories, "annotations": annotations}


def simulate_detections(
    rng: np.random.Generator, truth: dict[str, Any], skill: float, false_alarms: float
) -> list[dict[str, Any]]:
    """COCO results of one detector: later classes and smaller boxes are harder, boxes are misplaced by a few per
    cent to half their size, some are found twice, scores of hits and false alarms overlap.

    Args:
        rng: source of all randomness.
        truth: from `simulate_truth`.
        skill: log odds of finding a box 40 pixels wide of the first class in an image of ease 0.
        false_alarms: mean number a class and image.
    """
    boxes: dict[tuple[int, int], list[list[float]]] = {}
    for item in truth["annotations"]:
        boxes.setdefault((item["image_id"], item["category_id"]), []).append(item["bbox"])
    results: list[dict[str, Any]] = []
    for image in truth["images"]:
        for place, category in enumerate(item["id"] for item in truth["categories"]):
            true = np.array(boxes.get((image["id"], category), np.zeros((0, 4))))
            odds = skill - 0.4 * place + 0.8 * image["ease"] + 0.35 * np.log(true[:, 2] * true[:, 3] / 1600)
            copies = (rng.random(len(true)) < _sigmoid(odds)) * (1 + (rng.random(len(true)) < 0.1))
            hits, odds = np.repeat(true, copies, axis=0), np.repeat(odds, copies)
            spread = 0.06 * rng.lognormal(0, 0.7, (len(hits), 1)) * np.exp(-0.2 * odds)[:, None]
            hits = hits + rng.normal(size=hits.shape) * spread * hits[:, [2, 3, 2, 3]]
            misses = _boxes(rng, rng.poisson(false_alarms * np.exp(-0.3 * image["ease"])))
            scores = _sigmoid(np.concatenate((rng.normal(0.5 * odds, 1.0), rng.normal(-2.5, 1.2, len(misses)))))
            results += [
                {"image_id": image["id"], "category_id": category, "bbox": box, "score": score}
                for box, score in zip(np.concatenate((hits, misses)).clip(1).tolist(), scores.tolist(), strict=True)
            ]
    return results


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Boxes (count, 4) as x, y, w, h: 12 to 200 pixels, of varied shape."""
    size = np.exp(rng.uniform(np.log(12), np.log(200), count))
    stretch = rng.lognormal(0, 0.3, count)
    sides = np.stack((size * stretch, size / stretch), axis=1)
    return np.concatenate((rng.uniform(0, 1, (count, 2)) * (WIDTH - 200, HEIGHT - 200), sides), axis=1)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
