"""Masks: predictions of a segmenter on one method's images, IoU with its bootstrap distribution."""

import shutil
import zipfile
from pathlib import Path

import numpy as np

from fuse2task.bench.datasets import Truth
from fuse2task.bench.measured import Key, Measured, Values, measure
from fuse2task.bench.workspace import Workspace
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import atomic_path, write_json

MEANS = ("mIoU", "mIoU_foreground", "mAcc", "aAcc")


def predict_masks(bench: Workspace, dataset: str, method: str, judge: str, weights: Path, folder: Path) -> None:
    """Write masks/<id>.png for the evaluated split."""
    from fuse2task.data.fused import open_fused
    from fuse2task.runtime.compute import pick_device
    from segmentation.model import load_segmenter
    from segmentation.prediction import predict

    masks = folder / "masks"
    if masks.exists():  # of other images or weights, or half of what a killed run would have written
        shutil.rmtree(masks)
    segmenter = load_segmenter(weights, pick_device(bench.device))
    predict(segmenter, open_fused(bench.fused(dataset, method)), bench.dataset(dataset).part, masks)


def measure_masks(bench: Workspace, dataset: str, method: str, judge: str, truth: Truth, folder: Path) -> Measured:
    """Count pixels once, write metrics.json and matches.npz (confusion matrices), and measure every condition."""
    from segmentation.evaluation import matrices, scores, weighted_iou

    data = bench.dataset(dataset)
    labels = bench.fused(dataset, method) / "masks" / data.part
    found = matrices(labels, folder / "masks", truth.classes)
    counts = np.stack([found[name] for name in data.ids])
    write_json(folder / "metrics.json", {**scores(counts.sum(axis=0), truth.classes), "images": len(counts)},
               sort_keys=False)  # fmt: skip
    with atomic_path(folder / "matches.npz") as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, matrices=counts, ids=np.array(data.ids, dtype=str))

    def values(mask: np.ndarray, weights: np.ndarray) -> Values:
        result = weighted_iou(counts[mask], weights)
        named: dict[Key, np.ndarray] = {(name, "all", ""): getattr(result, name) for name in MEANS}
        return named | {("IoU", name, ""): result.class_IoU[:, k] for k, name in enumerate(truth.classes)}

    return measure(data.conditions(), bench.recipe.intervals, values)


def scores_of_images(file: Path) -> np.ndarray:
    """mIoU of every image in a matches.npz by itself, over the classes in its truth or prediction, (I,)."""
    from segmentation.evaluation import weighted_iou

    try:
        with np.load(file, allow_pickle=False) as content:
            counts = content["matrices"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RequestError(f"{file}: not readable ({error}); remove results.csv and run again") from None
    return weighted_iou(counts, np.eye(len(counts))).mIoU
