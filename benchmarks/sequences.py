"""How often 95 % intervals hold the true value where images are frames of sequences: frames drawn, or whole sequences.

    OMP_NUM_THREADS=1 python benchmarks/sequences.py [--sets 500] [--sequences 20] [--frames 10] [--replicates 400]

A frame has what its whole sequence has (which objects are in it, 0.7 of the variance of how easy it is) and something
of its own. True values are those of 10 000 frames of as many sequences. Prints the share of intervals that hold the
true value, wholly above and wholly below it in brackets: of AP, mIoU, a score's mean, and the difference in AP between
detectors that are equally good by construction, whose intervals without 0 are false alarms.
"""

import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from measuring import options

from detection.average_precision import match, weighted_ap
from fuse2task.bench.statistics import bootstrap, compare, jackknife, recentred
from fuse2task.tasks.detection import AP_ORDER
from segmentation.evaluation import weighted_iou

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "robustness"))
from interval_coverage import simulate_detections, simulate_truth

SHARED = 0.7
POPULATION = 10_000
Values = Callable[[np.ndarray], np.ndarray]
"""A number under weights of the frames, (R, I) to (R,)."""


def frames_of(rng: np.random.Generator, sequences: int, frames: int) -> np.ndarray:
    """Standard normal values (sequences * frames,) that a sequence's frames share for the most part."""
    own = rng.normal(size=(sequences, frames))
    return (np.sqrt(SHARED) * rng.normal(size=(sequences, 1)) + np.sqrt(1 - SHARED) * own).ravel()


def detections(rng: np.random.Generator, sequences: int, frames: int) -> Iterator[Values]:
    """AP of two detectors that are equally good, on the same truth; each has sequences that suit it."""
    first = simulate_truth(rng, sequences, 2, 1.6)
    images, annotations = [], []
    for frame in range(1, frames + 1):
        of_frame = [image | {"id": (image["id"] - 1) * frames + frame} for image in first["images"]]
        ids = {image["id"]: new["id"] for image, new in zip(first["images"], of_frame, strict=True)}
        images += of_frame
        annotations += [box | {"image_id": ids[box["image_id"]]} for box in first["annotations"]]
    images.sort(key=lambda image: image["id"])
    annotations = [box | {"id": number} for number, box in enumerate(annotations, 1)]
    ease = frames_of(rng, sequences, frames)
    for _ in range(2):
        of_detector = (ease + frames_of(rng, sequences, frames)) / np.sqrt(2)
        seen = [image | {"ease": float(one)} for image, one in zip(images, of_detector, strict=True)]
        truth: dict[str, Any] = first | {"images": seen, "annotations": annotations}
        matches = match(truth, simulate_detections(rng, truth, skill=2.5, false_alarms=4.0))
        yield lambda weights, matches=matches: weighted_ap(matches, weights).AP


def segmentation(rng: np.random.Generator, sequences: int, frames: int) -> Values:
    """mIoU of five classes, the last in half of the sequences."""
    present = np.repeat(rng.random((sequences, 5)) < (1, 0.9, 0.8, 0.6, 0.5), frames, axis=0)
    pixels = present * (200_000, 20_000, 8_000, 3_000, 1_500) * rng.lognormal(0, 0.5, (sequences * frames, 5))
    ease = frames_of(rng, sequences, frames)[:, None]
    right = 1 / (1 + np.exp(-(np.array((4, 2, 1.5, 1, 0.3)) + 0.7 * ease)))
    wrong = rng.dirichlet((4, 1, 1, 1, 1), right.shape) * ((1 - right) * pixels)[..., None]
    matrices = np.rint(wrong + np.eye(5) * (right * pixels)[..., None]).astype(np.int64)
    return lambda weights: weighted_iou(matrices, weights).mIoU


def score(rng: np.random.Generator, sequences: int, frames: int) -> Values:
    """The mean of a skewed score."""
    scores = np.exp(0.6 * frames_of(rng, sequences, frames))
    return lambda weights: weights @ scores / weights.sum(axis=1)


class Drawing:
    """Intervals from frames drawn one by one (groups None), or from whole sequences."""

    def __init__(self, images: int, replicates: int, groups: list[int] | None):
        self.weights = np.ones((1, images)), bootstrap(images, replicates, 1, groups), jackknife(images, groups)
        self.ends: dict[str, list[tuple[float, float]]] = {}

    def add(self, name: str, values: Values, order: float = 1.0) -> tuple[np.ndarray, ...]:
        """Note the interval of one number on one set; returns its distribution."""
        point, *distribution = (values(weights) for weights in self.weights)
        found = recentred(float(point[0]), *distribution, order=order)
        assert found is not None
        self.ends.setdefault(name, []).append((found.low, found.high))
        return (point, *distribution)

    def row(self, name: str, true: float) -> tuple[float, str]:
        """The share of intervals that hold the true value, and the same in words."""
        low, high = np.array(self.ends[name]).T
        covered = float(np.mean((low <= true) & (true <= high)))
        sides = f"({np.mean(low > true):5.1%} {np.mean(high < true):5.1%})"
        return covered, f"{covered:6.1%} {sides} width {np.mean(high - low):.4f}"


def simulate(sets: int, sequences: int, frames: int, replicates: int, parts: str = "AP mIoU mean") -> dict[str, Any]:
    """Number -> (covered by frames, covered by sequences, line to print)."""
    images = sequences * frames
    groups = np.repeat(np.arange(sequences), frames).tolist()
    ways = [Drawing(images, replicates, None), Drawing(images, replicates, groups)]
    rng = np.random.default_rng(7)
    everything = np.ones((1, POPULATION))
    true = {"mean": float(np.exp(0.6**2 / 2))}
    if "AP" in parts:
        true |= {"AP": float(next(detections(rng, POPULATION, 1))(everything)[0]), "AP difference": 0.0}
    if "mIoU" in parts:
        true |= {"mIoU": float(segmentation(rng, POPULATION, 1)(everything)[0])}
    for _ in range(sets):
        one = {"mean": score(rng, sequences, frames)}
        one |= {"mIoU": segmentation(rng, sequences, frames)} if "mIoU" in parts else {}
        both = list(detections(rng, sequences, frames)) if "AP" in parts else []
        for way in ways:
            for name, values in one.items():
                way.add(name, values)
            found = [way.add("AP", values, AP_ORDER) for values in both]
            for a, b in pairwise(found):
                way.ends["AP"].pop()  # the second detector's: one interval a set
                low, high = compare(a, b).ends
                assert low is not None
                way.ends.setdefault("AP difference", []).append((low, high))
    result = {}
    for name, value in true.items():
        (by_frames, first), (by_sequences, second) = (way.row(name, value) for way in ways)
        result[name] = by_frames, by_sequences, f"{name:<14} {value:7.4f}  {first}   {second}"
    return result


def main() -> None:
    given = options(__doc__, sets=500, sequences=20, frames=10, replicates=400)
    print(f"{given.sets} sets of {given.sequences} sequences of {given.frames} frames, {given.replicates} replicates")
    print(f"{'':<14} {'true':>7}  {'frames drawn':<36}   whole sequences drawn")
    for _, _, line in simulate(given.sets, given.sequences, given.frames, given.replicates).values():
        print(line)


if __name__ == "__main__":
    main()
