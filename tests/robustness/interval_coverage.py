"""How often 95 % intervals cover the true value, on simulated sets of images: AP, mIoU, mean scores, differences.

Usage: python tests/robustness/interval_coverage.py [SETS]
500 sets of 100 images, 3 classes with at least 100 true boxes each, 1000 replicates; fixed seeds; some ten minutes on
one core. The true AP and mIoU are those of 20 000 images from the same generator. The comparisons are of methods
that are equally good, so that the share of intervals without 0 is the test's rate of false alarms.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from detection.average_precision import Matches, WeightedAP, match, weighted_ap
from fuse2task.bench.statistics import acceleration, bca, bootstrap, compare, jackknife, percentile, recentred
from fuse2task.tasks.detection import AP_ORDER
from segmentation.evaluation import weighted_iou

WIDTH, HEIGHT = 1024, 768
IMAGES, REPLICATES, POPULATION = 100, 1000, 20_000
WEIGHTS, LEFT_OUT = bootstrap(IMAGES, REPLICATES, seed=1), jackknife(IMAGES)
METHODS = ("percentile", "basic", "bca", "recentred")
Sample = tuple[np.ndarray, np.ndarray, np.ndarray]  # point, replicates, jackknife values


class Tally:
    """How the intervals of one number fared."""

    def __init__(self, name: str, true: float, order: float = 1.0) -> None:
        self.name, self.true, self.order = name, true, order
        self.points: list[float] = []
        self.ends: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}

    def add(self, sample: Sample) -> None:
        point, replicates, without = sample
        self.points.append(float(point))
        ends = {
            "percentile": percentile(point, replicates),
            "bca": bca(point, replicates, acceleration(without)),
            "recentred": recentred(point, replicates, without, order=self.order),
        }
        for method, found in ends.items():
            assert found is not None
            self.ends[method].append((found.low, found.high))
        low, high = self.ends["percentile"][-1]
        self.ends["basic"].append((2 * point - high, 2 * point - low))

    def covered(self, method: str) -> float:
        """Share of the intervals that hold the true value."""
        low, high = np.array(self.ends[method]).T
        return float(np.mean((low <= self.true) & (self.true <= high)))

    def row(self) -> str:
        cells = [f"{self.name:<24} {self.true:7.4f} {np.mean(self.points):7.4f}"]
        for method in METHODS:
            low, high = np.array(self.ends[method]).T
            over, under = np.mean(low > self.true), np.mean(high < self.true)
            cells.append(f"{self.covered(method):6.1%} ({over:4.1%} {under:4.1%}) {np.mean(high - low):6.4f}")
        return "  ".join(cells)


def detector(rng: np.random.Generator, truth: dict) -> Matches:
    return match(truth, simulate_detections(rng, truth, skill=2.5, false_alarms=4.0))


def ap_numbers(ap: WeightedAP) -> dict[str, np.ndarray]:
    names = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
    hardest = {"AP of the hardest class": ap.class_AP[:, -1]}
    return {name: getattr(ap, name) for name in names} | hardest


def detections(sets: int) -> Iterator[Tally | str]:
    """Tallies of AP and of the difference between two equally good detectors, and the p values' false alarms."""
    rng = np.random.default_rng(12)
    population = detector(rng, simulate_truth(rng, POPULATION, 3, 1.6))
    true = ap_numbers(weighted_ap(population, np.ones((1, POPULATION))))
    tallies = {name: Tally(name, float(value[0]), AP_ORDER) for name, value in true.items()}
    difference, p_values = Tally("AP difference", 0.0, np.inf), []
    for _ in range(sets):
        truth = simulate_truth(rng, IMAGES, 3, 1.6)
        while min(np.bincount([item["category_id"] for item in truth["annotations"]])[1:]) < 100:
            truth = simulate_truth(rng, IMAGES, 3, 1.6)
        both = []
        for _ in range(2):
            matches = detector(rng, truth)
            parts = [ap_numbers(weighted_ap(matches, w)) for w in (np.ones((1, IMAGES)), WEIGHTS, LEFT_OUT)]
            both.append({name: (parts[0][name][0], parts[1][name], parts[2][name]) for name in tallies})
        for name, tally in tallies.items():
            tally.add(both[0][name])
        difference.add(tuple(a - b for a, b in zip(both[0]["AP"], both[1]["AP"], strict=True)))
        p_values.append(compare(both[0]["AP"], both[1]["AP"]).p_value)
    yield from tallies.values()
    yield difference
    yield f"p < .05 between detectors equal by construction: {np.mean(np.array(p_values) < 0.05):.1%}"


def confusions(rng: np.random.Generator, images: int) -> np.ndarray:
    """Confusion matrices (images, 5, 5): classes from everywhere to one image in eight, images of varied difficulty."""
    present = rng.random((images, 5)) < (1, 0.6, 0.4, 0.25, 0.12)
    pixels = present * (200_000, 20_000, 8_000, 3_000, 1_500) * rng.lognormal(0, 0.8, (images, 5))
    ease = rng.normal(size=(images, 1))
    right = 1 / (1 + np.exp(-(np.array((4, 2, 1.5, 1, 0.3)) + 0.7 * ease + 0.5 * rng.normal(size=(images, 5)))))
    wrong = rng.dirichlet((4, 1, 1, 1, 1), (images, 5)) * ((1 - right) * pixels)[..., None]
    return np.rint(wrong + np.eye(5) * (right * pixels)[..., None]).astype(np.int64)


def segmentations(sets: int) -> Iterator[Tally]:
    """Tallies of the IoU scores."""
    rng = np.random.default_rng(3)

    def numbers(matrices: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        found = weighted_iou(matrices, weights)
        rarest = {"IoU of the rarest class": found.class_IoU[:, -1]}
        return {"mIoU": found.mIoU, "mAcc": found.mAcc, "aAcc": found.aAcc} | rarest

    true = numbers(confusions(rng, POPULATION), np.ones((1, POPULATION)))
    tallies = {name: Tally(name, float(value[0])) for name, value in true.items()}
    for _ in range(sets):
        matrices = confusions(rng, IMAGES)
        parts = [numbers(matrices, weights) for weights in (np.ones((1, IMAGES)), WEIGHTS, LEFT_OUT)]
        for name, tally in tallies.items():
            tally.add((parts[0][name][0], parts[1][name], parts[2][name]))
    yield from tallies.values()


def means(sets: int) -> Iterator[Tally | str]:
    """A skewed score's mean; and p values over 3 seeds, methods equal, with spread over seeds as over images."""
    rng = np.random.default_rng(4)
    tally, p_values = Tally("mean of a skewed score", float(np.exp(0.5 * 0.6**2))), []

    def sample(scores: np.ndarray) -> Sample:
        weighted = [scores @ w.T / w.sum(axis=1) for w in (WEIGHTS, LEFT_OUT)]
        return scores.mean(axis=-1), weighted[0], weighted[1]

    for number in range(sets):
        tally.add(sample(rng.lognormal(0, 0.6, IMAGES)))
        image, seeds = rng.normal(0, 0.1, (2, 1, IMAGES)), rng.normal(0, 0.01, (2, 3, 1))
        a, b = image + seeds + rng.normal(0, 0.05, (2, 3, IMAGES))
        p_values.append(compare(sample(a), sample(b), seed=number).p_value)
    yield tally
    yield f"p < .05 between methods equal by construction, 3 seeds: {np.mean(np.array(p_values) < 0.05):.1%}"


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


def main(sets: int) -> None:
    print(
        f"{sets} sets of {IMAGES} images, {REPLICATES} replicates; coverage (low end above, high end below the truth)"
    )
    print(f"and mean width; chance alone moves a coverage of 95 % by {1.96 * (0.95 * 0.05 / sets) ** 0.5:.1%}")
    print(f"{'':<24} {'true':>7} {'mean':>7}  " + "  ".join(f"{method:<26}" for method in METHODS))
    parts: tuple[Callable[[int], Iterator[Tally | str]], ...] = (detections, segmentations, means)
    for part in parts:
        for tally in part(sets):
            print(tally if isinstance(tally, str) else tally.row(), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
