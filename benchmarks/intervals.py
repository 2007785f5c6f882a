"""1000-replicate AP intervals against one pycocotools evaluation: durations, their ratio, equality of the point.

    python benchmarks/intervals.py [--images 840] [--methods 1]

840 images (M3FD's scene test split), 6 classes, about 200 000 detections a method; M3FD has 4 200. The intervals' time
holds all that they need beside the matching: 1000 bootstrap and one jackknife pass, the interval of every number. With
more methods each is matched in turn, what its AP's intervals are made of is kept, and every pair is compared.
"""

import itertools
import sys
import time
from pathlib import Path

import numpy as np
from measuring import options, peak_memory

from detection.average_precision import WeightedAP, evaluate, match, weighted_ap
from fuse2task.bench.statistics import Distribution, bootstrap, compare, jackknife, recentred
from fuse2task.tasks.detection import AP_ORDER

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "robustness"))
from interval_coverage import simulate_detections, simulate_truth

MEANS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
PER_CLASS = ("class_AP", "class_AP50", "class_AP75")


def main(images: int, methods: int) -> None:
    rng = np.random.default_rng(0)
    truth = simulate_truth(rng, images, classes=6, boxes=1.4)
    weights = np.ones((1, images)), bootstrap(images, 1000, seed=0), jackknife(images)
    kept: list[Distribution] = []
    began = time.perf_counter()
    for number in range(methods):
        results = simulate_detections(rng, truth, skill=3.0 + 0.1 * number, false_alarms=37.0)
        if not number:
            boxes = len(truth["annotations"])
            print(f"{images} images, 6 classes, {boxes} true boxes, {len(results)} detections, 1 process")
            start = time.perf_counter()
            metrics = evaluate(truth, results)
            evaluation = time.perf_counter() - start
            print(f"one pycocotools evaluation (AP {metrics['AP']:.4f})    {evaluation:7.1f} s")

        start = time.perf_counter()
        matches = match(truth, results)
        matching = time.perf_counter() - start
        start = time.perf_counter()
        parts = [weighted_ap(matches, rows) for rows in weights]
        found = [recentred(*columns, order=AP_ORDER) for columns in _columns(*parts)]
        duration = time.perf_counter() - start
        print(
            f"matching {matching:.1f} s, {len(found)} intervals {duration:.1f} s, memory up to {peak_memory():.0f} MiB",
            flush=True,
        )
        kept.append((parts[0].AP[0], parts[1].AP[None], parts[2].AP[None]))
        if number:
            continue
        print(f"ratio, intervals / evaluation           {duration / evaluation:9.2f}   (at most 3)")
        print(f"ratio, matching too                     {(duration + matching) / evaluation:9.2f}")
        differences = [abs(getattr(parts[0], name)[0] - metrics[name]) for name in MEANS]
        for k, name in enumerate(matches.classes):
            row = metrics["per_class"][name]
            differences += [abs(getattr(parts[0], f"class_{key}")[0, k] - row[key]) for key in ("AP", "AP50", "AP75")]
        print(f"max |difference| of the point estimates {max(differences):9.1e}   (at most 1e-12)")

    pairs = list(itertools.combinations(kept, 2))
    start = time.perf_counter()
    for first, second in pairs:
        compare(first, second)
    print(f"{len(pairs)} comparisons {time.perf_counter() - start:.1f} s")
    print(f"all of it {time.perf_counter() - began:.0f} s, peak memory {peak_memory():.0f} MiB")


def _columns(*parts: WeightedAP):
    """Point, replicates and jackknife values of every mean and of every class's number."""
    for name in (*MEANS, *PER_CLASS):
        columns = [np.atleast_2d(getattr(part, name).T) for part in parts]  # of one mean, or of every class
        for point, replicates, left_out in zip(*columns, strict=True):
            yield point[0], replicates, left_out


if __name__ == "__main__":
    given = options(__doc__, images=840, methods=1)
    main(given.images, given.methods)
