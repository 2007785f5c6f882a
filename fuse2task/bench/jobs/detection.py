"""Boxes: predictions of a judge on one method's images, AP with its bootstrap distribution."""

from pathlib import Path

import numpy as np

from fuse2task.bench.datasets import Truth
from fuse2task.bench.measured import Key, Measured, Values, measure
from fuse2task.bench.workspace import Workspace
from fuse2task.runtime.files import read_json, write_json

MEANS = ("AP", "AP50", "AP75")
SIZES = ("small", "medium", "large")


def predict_boxes(bench: Workspace, dataset: str, method: str, judge: str, weights: Path, folder: Path) -> None:
    """Write dets.json, COCO results for the evaluated split."""
    from detection.classes import load_class_map
    from detection.judge import load_judge, predict
    from fuse2task.bench.jobs.evaluate import write_compact
    from fuse2task.bench.judges import on_device
    from fuse2task.data.fused import open_fused

    reference = bench.recipe.judges[judge].class_map
    class_map = load_class_map(reference) if reference else None
    loaded = load_judge(weights, on_device(weights, bench.device))
    fused = open_fused(bench.fused(dataset, method))
    results, _ = predict(fused, bench.dataset(dataset).part, loaded, class_map, reference or "")
    write_compact(folder / "dets.json", results)


def measure_boxes(bench: Workspace, dataset: str, method: str, judge: str, truth: Truth, folder: Path) -> Measured:
    """Match once, write metrics.json (pycocotools' numbers) and matches.npz, and measure every condition."""
    from detection.classes import classes_left_out, load_class_map
    from detection.coco import read_predictions, read_truth
    from detection.evaluation import evaluate
    from detection.matching import match, weighted_ap
    from fuse2task.bench.jobs.evaluate import suffixed
    from fuse2task.data.truth.coco import coco_truth

    data, reference = bench.dataset(dataset), bench.recipe.judges[judge].class_map
    left_out = classes_left_out(truth.classes, load_class_map(reference), reference) if reference else ()
    assert truth.boxes is not None
    content = read_truth(coco_truth(data.dataset.part(data.part), truth.boxes))
    predictions = read_predictions(read_json(folder / "dets.json", "COCO result file"), content)
    metrics = evaluate(content, predictions, left_out=left_out)
    write_json(folder / suffixed("metrics.json", truth.name, truth.primary), metrics, sort_keys=False)
    matches = match(content, predictions, left_out=left_out)
    matches.save(folder / suffixed("matches.npz", truth.name, truth.primary))

    def values(mask: np.ndarray, weights: np.ndarray) -> Values:
        found = weighted_ap(matches.of_images(mask), weights)
        named: dict[Key, np.ndarray] = {(name, "all", ""): getattr(found, name) for name in MEANS}
        named |= {("AP", "all", size): getattr(found, f"AP_{size}") for size in SIZES}
        for number, class_name in enumerate(found.classes):
            named |= {(name, class_name, ""): getattr(found, f"class_{name}")[:, number] for name in MEANS}
        return named

    measured = measure(data.conditions(), bench.recipe.intervals, values)
    return measured.with_point(("AR100", "all", "all"), metrics["AR100"])


def scores_of_images(file: Path) -> np.ndarray:
    """AP50 of every image in a matches.npz by itself, mean over its classes, (I,); NaN without truth in the image."""
    from detection.matching import Matches, weighted_ap

    matches = Matches.load(file)
    return weighted_ap(matches, np.eye(len(matches.images))).AP50
