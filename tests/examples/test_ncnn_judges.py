"""The example judges NanoDet-plus-m and YOLOX-nano: the AP that was measured with an independent script."""

import sys
from pathlib import Path

import numpy as np
import pytest

from detection.average_precision import evaluate
from fuse2task.data.images import read_infrared, read_visible
from fuse2task.data.loading import load_dataset
from fuse2task.data.truth.coco import coco_truth
from fuse2task.runtime.errors import RequestError
from fusion.methods import make_method

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ncnn-judges"
FILES = {"NanoDet": ("nanodet-plus-m", "nanodet-plus-m_416.param"), "YoloX": ("yolox-nano", "yolox-nano.param")}


@pytest.fixture
def package(monkeypatch):
    """The example's module."""
    pytest.importorskip("ncnn")
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield pytest.importorskip("ncnn_judges")
    sys.modules.pop("ncnn_judges", None)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "ap50", "ap"), [("NanoDet", 0.408, 0.228), ("YoloX", 0.402, 0.221)])
def test_ap_of_the_average_is_that_of_the_measurement(package, shared_path, name, ap50, ap):
    root = shared_path("data", "MSRS")
    judge = getattr(package, name)(shared_path("weights", *FILES[name]))
    dataset = load_dataset(root, "msrs", split="msrs-open", boxes=root / "boxes" / "fusion")
    pairs, average = dataset.part("test"), make_method("average")
    truth, results = coco_truth(pairs, dataset.boxes), []
    numbers = {item["name"]: item["id"] for item in truth["categories"]}
    for pair, image in zip(pairs, truth["images"], strict=True):
        fused = average.fuse(pair, read_infrared(pair.infrared), read_visible(pair.visible))
        for (x1, y1, x2, y2), score, kind in zip(*judge.detect(fused.rgb), strict=True):
            results.append({"image_id": image["id"], "category_id": numbers[kind], "score": float(score),
                            "bbox": [x1, y1, x2 - x1, y2 - y1]})  # fmt: skip
    metrics = evaluate(truth, results)
    assert metrics["images"] == 122
    assert metrics["AP50"] == pytest.approx(ap50, abs=0.003)
    assert metrics["AP"] == pytest.approx(ap, abs=0.003)


def test_more_classes_leave_the_boxes_of_the_others_as_they_are(package, shared_path):
    weights = shared_path("weights", *FILES["NanoDet"])
    pair = load_dataset(shared_path("data", "MSRS"), "msrs", split="msrs-open").part("test")[0]
    few, more = (package.NanoDet(weights, classes).detect(read_visible(pair.visible))
                 for classes in (("person", "car"), ("truck", "car", "bus", "person")))  # fmt: skip
    for number in (0, 1):
        own = [one for one, kind in zip(more[number], more[2], strict=True) if kind in ("person", "car")]
        np.testing.assert_array_equal(own, few[number])
    assert set(few[2]) <= {"person", "car"}
    assert 0 < len(few[2]) < len(more[2])
    with pytest.raises(RequestError, match="zebra is not among"):
        package.NanoDet(weights, ["zebra"])


def test_suppression_is_class_by_class(package):
    boxes = np.array([[0, 0, 10, 10], [1, 0, 10, 10], [0, 0, 10, 10]])
    scores = np.array([[0.9, 0, 0], [0.5, 0, 0.005], [0, 0.4, 0]])
    _, values, kinds = package.suppressed(boxes, scores)
    assert values.tolist() == [0.9, 0.4]
    assert kinds.tolist() == [0, 1]


def test_points_of_all_maps(package):
    points, strides = package.grid((8, 16, 32, 64))
    assert len(points) == len(strides) == 52**2 + 26**2 + 13**2 + 7**2
    assert points[1].tolist() == [1, 0]


def test_missing_weights_are_named(package, tmp_path):
    with pytest.raises(RequestError, match=r"net\.param: no such file; nanodet-plus-m needs"):
        package.NanoDet(tmp_path / "net.param")
