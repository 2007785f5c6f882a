"""Semantic segmentation: masks of a segmenter, measured by intersection over union."""

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fuse2task.runtime.errors import RequestError
from fuse2task.tasks import Judged, JudgeFacts, JudgeSetup, Key, Measurement, Task, Values


class Segmentation(Task):
    """mIoU, mIoU without background, mean and overall accuracy in [0, 1]."""

    name, truth, headline = "segmentation", "masks", "mIoU"
    metrics, class_metrics = ("mIoU", "mIoU_foreground", "mAcc", "aAcc"), ("IoU",)
    sweep_metrics, image_metric = ("mIoU",), "mIoU"
    bounds = (0.0, 1.0)

    def recipe(self) -> type[Any]:
        from segmentation.recipe import SegmentationRecipe

        return SegmentationRecipe

    def train(self, recipe: Any, folder: Path) -> None:
        from segmentation.training import train

        train(recipe, folder)

    def identify(self, setup: JudgeSetup, classes: Sequence[str], image_size: str, device: str) -> JudgeFacts:
        decided = {"whole_images": True}
        if setup.weights is None:
            return JudgeFacts("", decided, image_size)
        segmenter, digest = self.judge(setup.weights, device)
        if segmenter.classes != tuple(classes):
            raise RequestError(
                f"{setup.weights}: knows the classes {', '.join(segmenter.classes)}; the truth has {', '.join(classes)}"
            )
        return JudgeFacts(digest, decided, image_size)

    def load(self, weights: Path, device: str) -> Any:
        """The segmenter, and the sha256 of its file."""
        from fuse2task.runtime.compute import pick_device
        from fuse2task.runtime.files import file_digest
        from segmentation.model import load_segmenter

        return load_segmenter(weights, pick_device(device)), file_digest(weights)

    def predict(self, weights: Path, device: str, judged: Judged) -> None:
        """Write masks/<id>.png, 8-bit class indices."""
        from segmentation.prediction import predict

        masks = judged.folder / "masks"
        if masks.exists():  # of other images or weights, or half of what a killed run would have written
            shutil.rmtree(masks)
        predict(self.judge(weights, device)[0], judged.fused, judged.part, masks)

    def measure(self, judged: Judged) -> Measurement:
        from fuse2task.runtime.files import atomic_path, write_json
        from segmentation.evaluation import matrices, scores, weighted_iou

        folder, classes, ids = judged.folder, judged.truth.classes, [pair.id for pair in judged.pairs]
        found = matrices(judged.fused.root / "masks" / judged.part, folder / "masks", classes)
        counts = np.stack([found[name] for name in ids])
        metrics = {**scores(counts.sum(axis=0), classes), "images": len(counts)}
        write_json(folder / judged.truth.file("metrics.json"), metrics, sort_keys=False)
        with atomic_path(folder / judged.truth.file("matches.npz")) as temporary, temporary.open("wb") as handle:
            np.savez_compressed(handle, matrices=counts, ids=np.array(ids, dtype=str))

        def values(mask: np.ndarray, weights: np.ndarray) -> Values:
            result = weighted_iou(counts[mask], weights)
            named: dict[Key, np.ndarray] = {(name, "all", ""): getattr(result, name) for name in self.metrics}
            return named | {("IoU", name, ""): result.class_IoU[:, k] for k, name in enumerate(classes)}

        return Measurement(values)

    def image_values(self, file: Path) -> np.ndarray:
        """mIoU over the classes in the image's truth or prediction."""
        from segmentation.evaluation import weighted_iou

        try:
            with np.load(file, allow_pickle=False) as content:
                counts = content["matrices"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise RequestError(f"{file}: not readable ({error}); remove results.csv and run again") from None
        return weighted_iou(counts, np.eye(len(counts))).mIoU


TASK = Segmentation()
