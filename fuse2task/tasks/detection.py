"""Detection: boxes of a detector, measured by COCO's average precision."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fuse2task.judges import DetectionJudge, JudgeSource, ResultsSource, results_digest
from fuse2task.tasks import EvaluatedTruth, Judged, JudgeFacts, JudgeSetup, Key, Measurement, Task, Values

if TYPE_CHECKING:
    from fuse2task.data.fused import FusedDataset
    from fuse2task.overlays import Overlays

MEANS = ("AP", "AP50", "AP75")
SIZES = ("small", "medium", "large")
AP_ORDER = 0.4  # of the bias of interpolated precision, see `intervals.recentre`


class Detection(Task):
    """AP, AP50, AP75 and AR100 in [0, 1] as pycocotools gives them."""

    name, truth, headline = "detection", "boxes", "AP"
    metrics, class_metrics, sweep_metrics, image_metric = (*MEANS, "AR100"), ("AP", "AP50"), ("AP", "AP50"), "AP50"
    bounds = (0.0, 1.0)
    floor = ("AP50", 0.1)
    takes_class_map = trained_class_map = True
    results_key = "predictions"
    training_seconds = 0.2

    def bias_order(self, metric: str) -> float:
        return AP_ORDER if metric.startswith("AP") else 1.0

    def recipe(self) -> type[Any]:
        from detection.recipe import DetectionRecipe

        return DetectionRecipe

    def training_size(self, recipe: Any) -> float:
        # torchvision's networks are some ten times YOLO-n.
        return (recipe.image_size / 640) ** 2 * (10 if recipe.is_torchvision else 1)

    def train(self, recipe: Any, folder: Path) -> None:
        from detection.training import train

        train(recipe, folder)

    def check_truth(self, truth: EvaluatedTruth, ids: Sequence[str]) -> str:
        assert truth.boxes is not None
        return "" if any(truth.boxes.boxes[key] for key in ids) else "no box"

    def identify(self, setup: JudgeSetup, classes: Sequence[str], image_size: str, device: str) -> JudgeFacts:
        from detection.judge import CONFIDENCE, MAX_BOXES, NMS_IOU
        from fuse2task.data.class_maps import load_class_map, match_classes

        class_map, source = load_class_map(setup.class_map) if setup.class_map else None, setup.class_map
        decided = {"class_map": class_map, "confidence": CONFIDENCE, "nms": NMS_IOU, "boxes": MAX_BOXES}
        if setup.recipe is not None and setup.recipe.is_torchvision:
            decided["nms"] = None
        numbers = {name: number for number, name in enumerate(classes, 1)}
        if setup.weights is None:  # it will know the classes of the truth that it is trained with
            match_classes(classes, numbers, class_map, source or "the class map")
            return JudgeFacts("", decided, str(setup.recipe.image_size))
        if isinstance(setup.weights, ResultsSource):
            match_classes(classes, numbers, class_map, source or "the class map")
            return JudgeFacts(results_digest(setup.weights), {"class_map": class_map}, image_size)
        judge = self.judge(setup.weights, device)
        match_classes(judge.names, numbers, class_map, source or "the class map")
        if isinstance(setup.weights, JudgeSource):  # thresholds and suppression are the plug-in's own
            return JudgeFacts(judge.digest, {"class_map": class_map}, judge.image_size or image_size)
        return JudgeFacts(judge.digest, {**decided, "nms": judge.nms}, str(judge.image_size))

    def load(self, weights: Path | JudgeSource, device: str) -> Any:
        from detection.judge import load_judge
        from detection.plugin import PluginDetector

        if isinstance(weights, JudgeSource):
            judge = weights.make(self.name, device)
            assert isinstance(judge, DetectionJudge)
            return PluginDetector(judge, str(weights))
        # ONNX runs on the CPU wherever the rest runs.
        return load_judge(weights, "cpu" if weights.suffix == ".onnx" else device)

    def predict(self, weights: Any, device: str, judged: Judged) -> None:
        """Write dets.json, COCO results."""
        from detection.coco import read_truth
        from detection.judge import predict
        from detection.plugin import given_results
        from fuse2task.data.class_maps import load_class_map, match_classes
        from fuse2task.runtime.files import write_text

        class_map, source = load_class_map(judged.class_map) if judged.class_map else None, judged.class_map or ""
        if isinstance(weights, ResultsSource):
            truth = read_truth(judged.fused.annotations(judged.part))
            numbers = {item["name"]: item["id"] for item in truth["categories"]}
            (path,) = weights.paths
            results = given_results(path, truth, match_classes(list(numbers), numbers, class_map, source))
        else:
            results, _ = predict(judged.fused, judged.part, self.judge(weights, device), class_map, source)
        write_text(judged.folder / "dets.json", json.dumps(results, allow_nan=False) + "\n")

    def measure(self, judged: Judged) -> Measurement:
        from detection.average_precision import evaluate, match, weighted_ap
        from detection.coco import read_truth
        from detection.predictions import read_predictions
        from fuse2task.data.class_maps import classes_left_out, load_class_map
        from fuse2task.data.truth.coco import coco_truth
        from fuse2task.runtime.files import read_json, write_json

        truth, reference, folder = judged.truth, judged.class_map, judged.folder
        left_out = classes_left_out(truth.classes, load_class_map(reference), reference) if reference else ()
        assert truth.boxes is not None
        content = read_truth(coco_truth(judged.pairs, truth.boxes))
        predictions = read_predictions(read_json(folder / "dets.json", "COCO result file"), content)
        metrics = evaluate(content, predictions, left_out=left_out)
        write_json(folder / truth.file("metrics.json"), metrics, sort_keys=False)
        matches = match(content, predictions, left_out=left_out)
        matches.save(folder / truth.file("matches.npz"))

        def values(mask: np.ndarray, weights: np.ndarray) -> Values:
            found = weighted_ap(matches.of_images(mask), weights)
            named: dict[Key, np.ndarray] = {(name, "all", ""): getattr(found, name) for name in MEANS}
            named |= {("AP", "all", size): getattr(found, f"AP_{size}") for size in SIZES}
            for number, class_name in enumerate(found.classes):
                named |= {(name, class_name, ""): getattr(found, f"class_{name}")[:, number] for name in MEANS}
            return named

        return Measurement(values, {("AR100", "all", "all"): metrics["AR100"]})

    def image_values(self, file: Path) -> np.ndarray:
        """AP50, mean over the classes in the image; NaN without truth in it."""
        from detection.average_precision import Matches, weighted_ap

        matches = Matches.load(file)
        return weighted_ap(matches, np.eye(len(matches.images))).AP50

    def overlays(self, dataset: "FusedDataset", split: str) -> "Overlays":
        from fuse2task.overlays import BoxOverlays

        return BoxOverlays(dataset, split)


TASK = Detection()
