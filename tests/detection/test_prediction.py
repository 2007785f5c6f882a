import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from detection.average_precision import evaluate
from detection.judge import LoadedDetector, load_judge, predict
from fuse2task.data.fused import open_fused
from fuse2task.data.images import as_rgb, read_infrared, read_visible
from fuse2task.runtime.errors import RequestError


def brightest(image: torch.Tensor) -> torch.Tensor:
    """A stand-in network: one box, class 1 of 2, around all that is bright."""
    rows, columns = (torch.nonzero(image[0].amax(0).amax(axis) > 0.6).ravel() for axis in (1, 0))
    x1, x2, y1, y2 = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
    return torch.tensor([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, 0.1, 0.75])[None, :, None]


def judge() -> LoadedDetector:
    return LoadedDetector(brightest, ("other", "thing"), 64, "", torch.device("cpu"))


def thing(x: int, y: int, w: int, h: int, grey: bool = False):
    pixels = np.zeros((64, 64) if grey else (64, 64, 3), np.uint8)
    pixels[y : y + h, x : x + w] = 220
    return pixels, [("Thing", x, y, w, h)]


def test_results_carry_the_ids_of_the_truth(tmp_path: Path, write_fused) -> None:
    images = {"a.b": thing(5, 9, 20, 10), "c__d": thing(30, 30, 7, 31, grey=True)}
    dataset = open_fused(write_fused(tmp_path / "out", ("Empty", "Thing"), {"train": {}, "test": images}))
    results, left_out = predict(dataset, "test", judge(), {"thing": "Thing"})
    assert left_out == ("Empty",)
    assert results == [
        {"image_id": 101, "category_id": 2, "bbox": [5.0, 9.0, 20.0, 10.0], "score": 0.75},
        {"image_id": 102, "category_id": 2, "bbox": [30.0, 30.0, 7.0, 31.0], "score": 0.75},
    ]
    metrics = evaluate(dataset.annotations("test"), json.loads(json.dumps(results)), left_out=left_out)
    assert metrics["AP"] == pytest.approx(1.0)


def test_wrong_requests(toy_fused: Callable[..., Path], reseal: Callable[[Path], None]) -> None:
    root = toy_fused(test=2)
    with pytest.raises(RequestError, match="no split 'val'"):
        predict(open_fused(root), "val", judge())
    with pytest.raises(RequestError, match="give --class-map"):
        predict(open_fused(root), "test", judge())
    truth = json.loads((root / "annotations" / "test.json").read_text())
    truth["images"][0]["file_name"] = "elsewhere.png"
    (root / "annotations" / "test.json").write_text(json.dumps(truth))
    reseal(root)
    with pytest.raises(RequestError, match=r"test\.json.*(?s:.)*elsewhere"):
        predict(open_fused(root), "test", judge(), {"thing": "bar"})


def yolo_boxes(path: Path, width: int, height: int, names: tuple[str, ...]):
    for line in path.read_text().splitlines():
        if line.split():
            kind, x, y, w, h = (float(value) for value in line.split())
            left, top = max((x - w / 2) * width, 0), max((y - h / 2) * height, 0)
            right, bottom = min((x + w / 2) * width, width), min((y + h / 2) * height, height)
            yield names[int(kind)], left, top, right - left, bottom - top


@pytest.mark.slow
@pytest.mark.parametrize(("modality", "ap50", "ap"), [("visible", 0.3703, 0.2041), ("infrared", 0.3717, 0.2138)])
def test_frozen_judge_on_msrs(shared_path, write_fused, tmp_path: Path, modality: str, ap50: float, ap: float) -> None:
    """The figures given with the test data: 122 pairs, COCO-trained YOLOv8n, boxes drawn on fused images."""
    root, weights = shared_path("data", "MSRS"), shared_path("weights", "yolov8n_int8.onnx")
    names = ("person", "bicycle", "car")
    images = {}
    for path in sorted((root / "test" / "vi").glob("*.png")):
        pixels = read_visible(path)
        if modality == "infrared":
            pixels = as_rgb(read_infrared(root / "test" / "ir" / path.name))
        boxes = root / "boxes" / "fusion" / f"{path.stem}.txt"
        images[path.stem] = pixels, list(yolo_boxes(boxes, pixels.shape[1], pixels.shape[0], names))
    dataset = open_fused(write_fused(tmp_path / "out", names, {"test": images}))
    metrics = evaluate(dataset.annotations("test"), predict(dataset, "test", load_judge(weights))[0])
    assert metrics["images"] == 122
    assert metrics["AP50"] == pytest.approx(ap50, abs=1e-3)
    assert metrics["AP"] == pytest.approx(ap, abs=1e-3)


def test_onnx_judge_gives_ultralytics_own_boxes(shared_path) -> None:
    weights = shared_path("weights", "yolov8n_int8.onnx")
    path = shared_path("data", "MSRS", "test", "vi", "00004N.png")
    bgr = np.ascontiguousarray(read_visible(path)[..., ::-1])
    ours = load_judge(weights)
    from ultralytics import YOLO

    options = {
        "conf": 0.001,
        "iou": 0.7,
        "max_det": 300,
        "classes": [0, 1, 2],
        "device": "cpu",
        "verbose": False,
    }
    reference = YOLO(weights, task="detect")(bgr, **options)[0].boxes.data.numpy()
    np.testing.assert_allclose(ours.predict(bgr, [0, 1, 2]), reference, atol=1e-3)
