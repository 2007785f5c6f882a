"""Judging one method's images: predictions, metrics, bootstrap distributions, rows of the table."""

import json
from pathlib import Path
from typing import Any

from fuse2task.bench.jobs.fuse import images_hash
from fuse2task.bench.workspace import Workspace
from fuse2task.results.tables import identity
from fuse2task.runtime.files import file_digest, read_json, remove_leftovers, write_json, write_text


def evaluate(bench: Workspace, dataset: str, method: str, judge: str, seed: int | None) -> list[dict[str, Any]]:
    """Predict where that is not done yet, measure against every truth; returns the rows of all of them."""
    data, section = bench.dataset(dataset), bench.recipe.judges[judge]
    folder = bench.predictions(dataset, method, judge, seed)
    if section.task == "detection":
        from fuse2task.bench.jobs.detection import measure_boxes as measure
        from fuse2task.bench.jobs.detection import predict_boxes as predict
    else:
        from fuse2task.bench.jobs.segmentation import measure_masks as measure
        from fuse2task.bench.jobs.segmentation import predict_masks as predict
    weights = judge_weights(bench, dataset, method, judge, seed)
    made_of = {
        "images": images_hash(bench, dataset, method), "weights": file_digest(weights), "split": data.part,
        "class_map": section.class_map,
    }  # fmt: skip
    remove_leftovers(folder)
    marker = folder / "predicted.json"
    if not (marker.is_file() and read_json(marker, "record of predictions") == made_of):
        marker.unlink(missing_ok=True)
        predict(bench, dataset, method, judge, weights, folder)
        write_json(marker, made_of)
    rows: list[dict[str, Any]] = []
    for truth in data.truths:
        measured = measure(bench, dataset, method, judge, truth, folder)
        about = bench.about(dataset, method, judge, seed, truth.hash)
        measured.save(folder / suffixed("replicates.npz", truth.name, truth.primary), identity(about))
        rows += measured.rows(about, bench.recipe.intervals)
    return rows


def judge_weights(bench: Workspace, dataset: str, method: str, judge: str, seed: int | None) -> Path:
    """The weights that score `method`: given, trained on it, or trained on one method for all."""
    section = bench.recipe.judges[judge]
    if section.weights is not None:
        return section.weights
    assert seed is not None
    return bench.training(dataset, section.trained_on or method, judge, seed) / "best.safetensors"


def suffixed(name: str, truth: str, primary: bool) -> str:
    """The file's name for a truth: as it is for the primary one, `STEM-<truth>.SUFFIX` for others."""
    stem, dot, suffix = name.partition(".")
    return name if primary else f"{stem}-{truth}{dot}{suffix}"


def write_compact(path: Path, value: Any) -> None:
    """JSON without indentation: predictions are many."""
    write_text(path, json.dumps(value, allow_nan=False) + "\n")
