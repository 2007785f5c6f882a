"""Share of the wall time of evaluations that is the judges' own arithmetic, in one `bench run`.

Usage: OMP_NUM_THREADS=1 python benchmarks/judging.py [--images 60] [--methods 10] [--weights FILE ...]

Synthetic M3FD scenes of 640x480, ten methods (three of ours, folders of darkened images), three detectors: YOLOv8n and
YOLO11n at 640 pixels and Faster R-CNN on MobileNetV3 at 416 with random weights, or those of --weights. A judge's own
arithmetic is its `predict_batch`: letterbox, network, suppression. All else is hashing, decoding, JSON, COCO matching
and bootstrap replicates. Random networks find 300 boxes in every image; a trained one finds fewer, so that less is left
to write and to match.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from measuring import options

from detection import judge as judging
from detection.torchvision_networks import build
from detection.weights import FORMAT
from fuse2task.bench.api import run_bench
from fuse2task.bench.jobs import Evaluate
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.data.images import read_visible, write_image
from fuse2task.data.loading import load_pairs
from fuse2task.data.synthetic.writing import write_m3fd
from fuse2task.runtime.checkpoints import save_checkpoint
from fuse2task.runtime.packages import quiet_ultralytics
from fuse2task.tasks.detection import Detection

SECONDS: Counter[str] = Counter()
CALLS: Counter[str] = Counter()


def main() -> None:
    given = options(__doc__, images=60, methods=10, weights=[""])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        recipe = BenchRecipe.model_validate(make_inputs(folder, given.images, given.methods, given.weights))
        timed(judging.LoadedDetector, "predict_batch", "judge")
        timed(Detection, "predict", "predict")
        timed(Evaluate, "do", "evaluate")
        timed(Detection, "load", "load")
        run_bench(recipe, folder / "bench")
    judge, whole = SECONDS["judge"], SECONDS["evaluate"]
    print(
        f"{len(recipe.judges)} judges, {given.methods} methods, {given.images} images: {CALLS['judge']} images judged"
    )
    print(f"judges loaded {CALLS['load']} times, {SECONDS['load']:.1f} s")
    print(f"judges' own {judge:.1f} s, {1000 * judge / CALLS['judge']:.1f} ms an image")
    print(f"of predictions ({SECONDS['predict']:.1f} s): {judge / SECONDS['predict']:.1%}")
    print(f"of whole evaluations ({whole:.1f} s, with COCO matching and replicates): {judge / whole:.1%}")


def timed(owner: type, name: str, kind: str) -> None:
    """Count the wall time of a method as `kind`."""
    plain: Callable[..., Any] = getattr(owner, name)

    @wraps(plain)
    def measured(*arguments: Any, **others: Any) -> Any:
        began = time.perf_counter()
        try:
            return plain(*arguments, **others)
        finally:
            SECONDS[kind] += time.perf_counter() - began
            CALLS[kind] += 1

    setattr(owner, name, measured)


def make_inputs(folder: Path, images: int, methods: int, weights: list[str]) -> dict[str, Any]:
    """Scenes, folders of images and weights; the recipe that names them."""
    scenes = folder / "scenes"
    write_m3fd(scenes, images + 2, 0, (640, 480), 1e-9, (images + 0.1) / (images + 2))
    pairs = load_pairs(scenes, "m3fd")
    named = []
    for number in range(methods - 3):  # beside visible, infrared and average
        for pair in pairs:
            pixels = read_visible(pair.visible)
            write_image(
                folder / "fused" / f"m{number}" / f"{pair.id}.png", (pixels * (1 - 0.05 * number)).astype("uint8")
            )
        named.append({"name": f"m{number}", "folder": str(folder / "fused" / f"m{number}")})
    files = [Path(file) for file in weights if file] or random_judges(folder)
    return {
        "datasets": {"scenes": {"root": str(scenes), "layout": "m3fd", "split": str(scenes / "split.txt")}},
        "methods": named,
        "judges": {f"judge{number}": {"task": "detection", "weights": str(file)} for number, file in enumerate(files)},
        "scores": None, "costs": False, "open_test": True, "baseline": "average",
        "intervals": {"replicates": 1000, "level": 0.95, "seed": 0},
    }  # fmt: skip


def random_judges(folder: Path) -> list[Path]:
    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel, yaml_model_load

    torch.manual_seed(0)
    names, files = ["People", "Car", "Bus", "Motorcycle", "Lamp", "Truck"], []
    for kind in ("yolov8n", "yolo11n"):
        model = yaml_model_load(f"{kind}.yaml") | {"nc": len(names)}
        model.pop("yaml_file", None)
        state = DetectionModel(dict(model), nc=len(names), verbose=False).state_dict()
        files.append(folder / f"{kind}.safetensors")
        save_checkpoint(files[-1], state, FORMAT, model=model, names=names, image_size=640, recipe={})
    files.append(folder / "frcnn.safetensors")
    build("fasterrcnn_mobilenet_v3_large_320_fpn", names, 416).save(files[-1], {})
    return files


if __name__ == "__main__":
    main()
