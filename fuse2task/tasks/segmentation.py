"""Semantic segmentation: masks of a segmenter, measured by intersection over union."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fuse2task.judges import JudgeSource, ResultsSource, results_digest, taken
from fuse2task.runtime.reading import read_arrays
from fuse2task.tasks import Judged, JudgeFacts, JudgeSetup, Key, Measurement, Task, Values

if TYPE_CHECKING:
    from fuse2task.data.fused import FusedDataset
    from fuse2task.overlays import Overlays


class Segmentation(Task):
    """mIoU, mIoU without background, mean and overall accuracy in [0, 1]."""

    name, truth, headline = "segmentation", "masks", "mIoU"
    metrics, class_metrics = ("mIoU", "mIoU_foreground", "mAcc", "aAcc"), ("IoU",)
    sweep_metrics, image_metric = ("mIoU",), "mIoU"
    bounds = (0.0, 1.0)
    takes_class_map, results_key = True, "masks"

    def recipe(self) -> type[Any]:
        from segmentation.recipe import SegmentationRecipe

        return SegmentationRecipe

    def training_size(self, recipe: Any) -> float:
        height, width = recipe.crop
        return float(height * width) / (480 * 640)

    def train(self, recipe: Any, folder: Path) -> None:
        from segmentation.training import train

        train(recipe, folder)

    def identify(self, setup: JudgeSetup, classes: Sequence[str], image_size: str, device: str) -> JudgeFacts:
        from fuse2task.data.class_maps import load_class_map
        from segmentation.frozen import match_masks

        class_map, source = load_class_map(setup.class_map) if setup.class_map else None, setup.class_map
        decided = {"whole_images": True} | ({"class_map": class_map} if class_map else {})
        if setup.weights is None:
            return JudgeFacts("", decided, image_size)
        source = source or f"{setup.weights}"
        if isinstance(setup.weights, ResultsSource):
            given = _classes_of(setup.weights, classes)
            match_masks(given, classes, class_map, source)
            return JudgeFacts(results_digest(setup.weights), decided | {"classes": list(given)}, image_size)
        judge, digest = self.judge(setup.weights, device)
        match_masks(judge.classes, classes, class_map, source)
        return JudgeFacts(digest, decided, getattr(judge, "image_size", "") or image_size)

    def load(self, weights: Path | JudgeSource, device: str) -> Any:
        """The segmenter, and the hash of its file or identity."""
        from fuse2task.runtime.compute import pick_device
        from fuse2task.runtime.files import file_digest
        from segmentation.frozen import SegmenterFile
        from segmentation.model import load_segmenter

        if isinstance(weights, Path):
            return load_segmenter(weights, pick_device(device)), file_digest(weights)
        if weights.plugin:
            judge = weights.make(self.name, device)
        else:
            judge = SegmenterFile(**taken(SegmenterFile, weights.arguments(device), str(weights)))
        return judge, judge.digest

    def predict(self, weights: Any, device: str, judged: Judged) -> None:
        """Write masks/<id>.png, 8-bit class indices."""
        from fuse2task.data.class_maps import load_class_map
        from segmentation.frozen import MappedSegmenter, map_masks, match_masks
        from segmentation.prediction import predict

        class_map, source = load_class_map(judged.class_map) if judged.class_map else None, judged.class_map or ""
        masks, classes = judged.folder / "masks", judged.truth.classes
        if masks.exists():  # of other images or weights, or half of what a killed run would have written
            shutil.rmtree(masks)
        if isinstance(weights, ResultsSource):
            table, _ = match_masks(_classes_of(weights, classes), classes, class_map, source)
            (folder,) = weights.paths
            map_masks(folder, {pair.id: pair.size for pair in judged.pairs}, table, masks)
            return
        judge, _ = self.judge(weights, device)
        if class_map or isinstance(weights, JudgeSource):
            judge = MappedSegmenter(judge, classes, *match_masks(judge.classes, classes, class_map, source))
        predict(judge, judged.fused, judged.part, masks)

    def measure(self, judged: Judged) -> Measurement:
        from fuse2task.runtime.files import atomic_path, write_json
        from segmentation.evaluation import matrices, scores, weighted_iou

        folder, classes, ids = judged.folder, judged.truth.classes, [pair.id for pair in judged.pairs]
        found = matrices(judged.fused.root / "masks" / judged.part, folder / "masks", classes)
        counts = np.stack([found[name] for name in ids])
        left_out = _left_out(judged)
        # As with 255: what a judge without the class says there is neither right nor wrong.
        counts[:, [classes.index(name) for name in left_out]] = 0
        metrics = {**scores(counts.sum(axis=0), classes, left_out), "images": len(counts)}
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

        counts = read_arrays(file, "file of confusion matrices", "matrices")["matrices"]
        return weighted_iou(counts, np.eye(len(counts))).mIoU

    def overlays(self, dataset: "FusedDataset", split: str) -> "Overlays":
        from fuse2task.overlays import MaskOverlays

        return MaskOverlays(dataset, split)


def _classes_of(results: ResultsSource, truth: Sequence[str]) -> Sequence[str]:
    """The classes of masks that others predicted; by default the truth's."""
    from segmentation.evaluation import class_names

    reference = results.values().get("classes")
    return class_names(str(reference)) if reference else truth


def _left_out(judged: Judged) -> tuple[str, ...]:
    from fuse2task.data.class_maps import load_class_map
    from segmentation.frozen import masks_left_out

    reference = judged.class_map
    return masks_left_out(judged.truth.classes, load_class_map(reference), reference) if reference else ()


TASK = Segmentation()
