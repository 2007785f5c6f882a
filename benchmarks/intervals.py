"""1000-replicate AP intervals against one pycocotools evaluation: durations, their ratio, equality of the point.

Usage: python benchmarks/intervals.py [IMAGES]
840 images (M3FD's scene test split), 6 classes, about 200 000 detections. The intervals' time holds all that they
need beside the matching: 1000 bootstrap and one jackknife pass, the interval of every number.
"""

import sys
import time
from pathlib import Path

import numpy as np
from measuring import peak_memory

from detection.average_precision import WeightedAP, evaluate, match, weighted_ap
from fuse2task.bench.statistics import bootstrap, jackknife, recentred
from fuse2task.tasks.detection import AP_ORDER

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "robustness"))
from interval_coverage import simulate_detections, simulate_truth

MEANS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
PER_CLASS = ("class_AP", "class_AP50", "class_AP75")


def main(images: int) -> None:
    rng = np.random.default_rng(0)
    truth = simulate_truth(rng, images, classes=6, boxes=1.4)
    results = simulate_detections(rng, truth, skill=3.0, false_alarms=37.0)
    print(f"{images} images, 6 classes, {len(truth['annotations'])} true boxes, {len(results)} detections, 1 process")

    start = time.perf_counter()
    metrics = evaluate(truth, results)
    evaluation = time.perf_counter() - start
    print(f"one pycocotools evaluation (AP {metrics['AP']:.4f})    {evaluation:7.1f} s")

    start = time.perf_counter()
    matches = match(truth, results)
    matching = time.perf_counter() - start
    print(f"matching, done once and stored          {matching:7.1f} s")

    start = time.perf_counter()
    point = weighted_ap(matches, np.ones((1, images)))
    replicates = weighted_ap(matches, bootstrap(images, 1000, seed=0))
    left_out = weighted_ap(matches, jackknife(images))
    found = [recentred(*columns, order=AP_ORDER) for columns in _columns(point, replicates, left_out)]
    duration = time.perf_counter() - start
    print(f"{len(found)} intervals: 1000 replicates, jackknife {duration:7.1f} s")
    print(f"ratio, intervals / evaluation           {duration / evaluation:9.2f}   (at most 3)")
    print(f"ratio, matching too                     {(duration + matching) / evaluation:9.2f}")

    differences = [abs(getattr(point, name)[0] - metrics[name]) for name in MEANS]
    for k, name in enumerate(matches.classes):
        row = metrics["per_class"][name]
        differences += [abs(getattr(point, f"class_{key}")[0, k] - row[key]) for key in ("AP", "AP50", "AP75")]
    print(f"max |difference| of the point estimates {max(differences):9.1e}   (at most 1e-12)")
    print(f"peak memory of the whole run            {peak_memory():7.0f} MiB")


def _columns(*parts: WeightedAP):
    """Point, replicates and jackknife values of every mean and of every class's number."""
    for name in (*MEANS, *PER_CLASS):
        columns = [np.atleast_2d(getattr(part, name).T) for part in parts]  # of one mean, or of every class
        for point, replicates, left_out in zip(*columns, strict=True):
            yield point[0], replicates, left_out


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 840)
