"""The nine real M3FD pairs through the whole detection path."""

import json

import pytest

from fuse2task.config import load_recipe
from fuse2task.data.fused import open_fused
from fuse2task.data.splits import write_split


@pytest.fixture
def fused(shared_path, tmp_path, run_cli):
    root = shared_path("data", "M3FD")
    ids = sorted(path.stem for path in (root / "Vis").glob("*.png"))
    parts = ["train"] * 5 + ["val"] * 2 + ["test"] * 2
    write_split(tmp_path / "split.txt", dict(zip(ids, parts, strict=True)))
    request = ("--data", root, "--layout", "m3fd", "--split", tmp_path / "split.txt")
    assert run_cli("fusion", "apply", "--method", "average", *request, "-o", tmp_path / "average") == 0, run_cli.error
    return tmp_path / "average"


@pytest.mark.slow
def test_the_recipe_for_all_of_m3fd_trains_a_few_steps(fused, tmp_path, run_cli):
    from detection.recipe import DetectionRecipe

    assert load_recipe(DetectionRecipe, "detection/yolo-n-m3fd", [f"data={fused}"]).image_size == 640
    small = ("epochs=1", "image_size=160", "batch=2", "workers=0", "device=cpu")
    assert (
        run_cli("detection", "train", "detection/yolo-n-m3fd", f"data={fused}", *small, "-o", tmp_path / "run") == 0
    ), run_cli.error
    weights, out = tmp_path / "run" / "best.safetensors", tmp_path / "metrics.json"
    assert run_cli("detection", "eval", "--weights", weights, "--data", fused, "--split", "test", "-o", out) == 0
    metrics = json.loads(out.read_text())
    assert metrics["images"] == 2
    assert set(metrics["per_class"]) == {"People", "Car", "Bus", "Motorcycle", "Lamp", "Truck"}
    assert metrics["per_class"]["Truck"]["AP"] is None  # no truck in these two images
    assert metrics["per_class"]["Car"]["AP"] is not None


def test_the_frozen_judge_with_a_class_map(fused, shared_path, tmp_path, run_cli):
    pytest.importorskip("onnxruntime")
    judge, out = shared_path("weights", "yolov8n_int8.onnx"), tmp_path / "metrics.json"
    request = ("detection", "eval", "--weights", judge, "--data", fused, "--split", "test", "-o", out)
    assert run_cli(*request) == 2
    assert "--class-map" in run_cli.error
    assert run_cli(*request, "--class-map", "m3fd-coco") == 0, run_cli.error
    metrics = json.loads(out.read_text())
    assert metrics["per_class"]["Lamp"]["AP"] is None
    assert "Lamp" in metrics["definition"]
    assert metrics["per_class"]["Car"]["AP50"] > 0.4
    scored = [row["AP"] for row in metrics["per_class"].values() if row["AP"] is not None]
    assert metrics["AP"] == pytest.approx(sum(scored) / len(scored), abs=1e-12)


def test_boxes_are_those_of_the_published_annotations(fused, shared_path):
    published = {}
    for split in ("train", "val", "test"):
        truth = json.loads(shared_path("data", "M3FD", "annotations", f"{split}.json").read_text())
        names = {category["id"]: category["name"] for category in truth["categories"]}
        files = {image["id"]: image["file_name"] for image in truth["images"]}
        for box in truth["annotations"]:
            published.setdefault(files[box["image_id"]], []).append(
                (names[box["category_id"]], *map(float, box["bbox"]))
            )
    dataset = open_fused(fused)
    for split in dataset.splits:
        truth = json.loads(dataset.annotations(split).read_text())
        names = {category["id"]: category["name"] for category in truth["categories"]}
        for image in truth["images"]:
            own = [box for box in truth["annotations"] if box["image_id"] == image["id"]]
            found = sorted((names[box["category_id"]], *map(float, box["bbox"])) for box in own)
            assert found == sorted(published[image["file_name"]])
