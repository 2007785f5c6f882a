"""AP against pycocotools run in the plain way on files, and against numbers worked out by hand."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.average_precision import evaluate
from fuse2task.runtime.errors import RequestError

NAMES = ("People", "Car", "Lamp")


def coco(images: int, boxes: list[tuple[int, int, list[float]]]) -> dict:
    """Truth with image ids 1.. and category ids 1..3; boxes are (image, category, bbox)."""
    return {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 200, "height": 200} for n in range(1, images + 1)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(NAMES, start=1)],
        "annotations": [
            {"id": n, "image_id": i, "category_id": c, "bbox": b, "area": b[2] * b[3], "iscrowd": 0}
            for n, (i, c, b) in enumerate(boxes, start=1)
        ],
    }


def found(image: int, category: int, bbox: list[float], score: float) -> dict:
    return {"image_id": image, "category_id": category, "bbox": bbox, "score": score}


def random_case(seed: int) -> tuple[dict, list[dict]]:
    """Truth with empty images and perhaps absent classes; shifted, missed, false and tied detections."""
    draw = np.random.default_rng(seed)
    images, kinds = int(draw.integers(1, 6)), int(draw.integers(1, 4))
    boxes = [
        (
            int(draw.integers(1, images + 1)),
            int(draw.integers(1, kinds + 1)),
            [*draw.uniform(0, 90, 2).tolist(), *draw.uniform(4, 110, 2).tolist()],
        )
        for _ in range(int(draw.integers(1, 25)))
    ]
    results = []
    for image, kind, box in boxes:
        for _ in range(int(draw.integers(0, 3))):
            moved = (np.array(box) + draw.normal(0, 4, 4)).clip(0.5)
            other = kind if draw.random() < 0.8 else int(draw.integers(1, 4))
            results.append(found(image, other, moved.tolist(), float(draw.integers(1, 5)) / 4))
    return coco(images, boxes), results


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6))
def test_equal_to_pycocotools(tmp_path_factory: pytest.TempPathFactory, pycocotools_run, seed: int) -> None:
    truth, results = random_case(seed)
    folder = tmp_path_factory.mktemp("coco")
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    metrics = evaluate(folder / "truth.json", folder / "results.json")
    if not results:
        assert metrics["AP"] == 0
        return
    run = pycocotools_run(folder)
    keys = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
    ours = [-1 if metrics[key] is None else metrics[key] for key in (*keys, "AR100")]
    assert ours == pytest.approx([*run.stats[:6], run.stats[8]], abs=1e-9)
    for number, name in enumerate(NAMES):
        of_class = run.eval["precision"][:, :, number, 0, -1]
        expected = None if (of_class == -1).all() else of_class.mean()
        assert metrics["per_class"][name]["AP"] == (None if expected is None else pytest.approx(expected, abs=1e-9))


def test_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    # People: one of two found with IoU 0.8: precision 1 up to recall 0.5, that is 51 of 101 recall points,
    # for the 7 thresholds 0.50-0.80. Car: never found. Lamp: no truth, one false alarm.
    truth = coco(3, [(1, 1, [0, 0, 100, 100]), (2, 1, [50, 50, 40, 40]), (2, 2, [10, 10, 20, 20])])
    metrics = evaluate(truth, [found(1, 1, [0, 0, 100, 80], 0.9), found(3, 3, [0, 0, 9, 9], 0.5)])
    people = metrics["per_class"]["People"]
    assert people == {
        "AP": pytest.approx(51 / 101 * 0.7),
        "AP50": pytest.approx(51 / 101),
        "AP75": pytest.approx(51 / 101),
        "instances": 2,
    }
    assert metrics["per_class"]["Car"] == {"AP": 0, "AP50": 0, "AP75": 0, "instances": 1}
    assert metrics["per_class"]["Lamp"] == {"AP": None, "AP50": None, "AP75": None, "instances": 0}
    assert metrics["AP50"] == pytest.approx(51 / 101 / 2)
    assert list(metrics["per_iou"]) == [f"{0.5 + 0.05 * step:.2f}" for step in range(10)]
    assert metrics["per_iou"]["0.80"] == pytest.approx(51 / 101 / 2)
    assert metrics["per_iou"]["0.85"] == 0
    # By size: the big box is found perfectly at 7 thresholds, the middle one (Car is small) never.
    assert metrics["AP_large"] == pytest.approx(0.7)
    assert (metrics["AP_medium"], metrics["AP_small"], metrics["images"]) == (0, 0, 3)
    assert "no truth: Lamp" in metrics["definition"]
    assert capsys.readouterr().out == ""


def test_no_detections_at_all() -> None:
    metrics = evaluate(coco(2, [(1, 1, [0, 0, 10, 10])]), [])
    assert (metrics["AP"], metrics["AR100"], metrics["per_class"]["People"]["AP"]) == (0, 0, 0)
    assert metrics["per_class"]["Car"]["AP"] is None
    assert metrics["AP_large"] is None
    assert evaluate(coco(2, []), [found(1, 1, [0, 0, 5, 5], 0.5)])["AP"] is None


def test_left_out_class_is_null_and_not_in_the_mean() -> None:
    truth = coco(1, [(1, 1, [0, 0, 50, 50]), (1, 3, [60, 60, 50, 50])])
    results = [found(1, 1, [0, 0, 50, 50], 0.9)]
    assert evaluate(truth, results)["AP"] == pytest.approx(0.5)
    metrics = evaluate(truth, results, left_out=["Lamp"])
    assert metrics["AP"] == pytest.approx(1.0)
    assert metrics["per_class"]["Lamp"] == {"AP": None, "AP50": None, "AP75": None, "instances": 1}
    assert metrics["definition"].endswith("left out of the mean: Lamp")
    for wrong in (["Dog"], list(NAMES)):
        with pytest.raises(RequestError, match="cannot leave out"):
            evaluate(truth, results, left_out=wrong)


def test_arguments_are_not_modified() -> None:
    truth, results = random_case(3)
    before = copy.deepcopy((truth, results))
    evaluate(truth, results)
    assert (truth, results) == before


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (found(9, 1, [0, 0, 1, 1], 0.5), "image_id 9 is not in the truth"),
        (found(1, 7, [0, 0, 1, 1], 0.5), "category_id 7 is not in the truth"),
        (found(1, 1, [0, 0, 1], 0.5), "not .x, y, w, h."),
        (found(1, 1, [0, 0, -1, 1], 0.5), "not .x, y, w, h."),
        (found(1, 1, [0, 0, float("inf"), 1], 0.5), "not .x, y, w, h."),
        (found(1, 1, [0, 0, 1, 1], float("nan")), "score nan"),
        ({"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}, "score None"),
    ],
)
def test_wrong_predictions_are_refused(tmp_path, wrong: dict, message: str) -> None:
    truth = coco(1, [(1, 1, [0, 0, 50, 50])])
    with pytest.raises(RequestError, match=message):
        evaluate(truth, [wrong])
    path = tmp_path / "dets.json"
    path.write_text(json.dumps([wrong]))
    with pytest.raises(RequestError, match=r"dets\.json.*another dataset"):
        evaluate(truth, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": []}, "without images"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "category id occurs twice"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "category name occurs twice"),
        ({"images": [{"id": 1}, {"id": 1}]}, "image id occurs twice"),
        ({"annotations": [{"image_id": 5, "category_id": 1, "bbox": [0, 0, 1, 1]}]}, "image_id 5"),
        ({"annotations": [{"image_id": 1, "category_id": 1}]}, "bbox None"),
        ({"annotations": None}, "not COCO ground truth"),
    ],
)
def test_wrong_truth_is_refused(change: dict, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        evaluate({**coco(1, []), **change}, [])


def test_unreadable_files(tmp_path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(RequestError, match=r"broken\.json"):
        evaluate(broken, [])
    with pytest.raises(RequestError, match="no such COCO result file"):
        evaluate(coco(1, []), tmp_path / "absent.json")
    with pytest.raises(RequestError, match="a list of"):
        evaluate(coco(1, []), {"annotations": []})


def test_m3fd_truth_against_itself(shared_path) -> None:
    """The real M3FD test annotations, predicted perfectly, give 1 for every class."""
    path = shared_path("data", "M3FD", "annotations", "test.json")
    truth = json.loads(path.read_text())
    kept = {image["id"] for image in truth["images"][:60]}
    truth["images"] = [image for image in truth["images"] if image["id"] in kept]
    truth["annotations"] = [item for item in truth["annotations"] if item["image_id"] in kept]
    results = [found(a["image_id"], a["category_id"], a["bbox"], 0.5) for a in truth["annotations"]]
    metrics = evaluate(truth, results)
    present = {item["category_id"] for item in truth["annotations"]}
    for category in truth["categories"]:
        expected = pytest.approx(1.0) if category["id"] in present else None
        assert metrics["per_class"][category["name"]]["AP"] == expected


def test_copies_of_a_box_in_the_truth_count_once_and_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    one = [(1, 1, [10.0, 10.0, 40.0, 40.0]), (2, 1, [10.0, 10.0, 40.0, 40.0]), (1, 2, [10.0, 10.0, 40.0, 40.0])]
    results = [found(*box, 0.9) for box in one]
    scored = evaluate(coco(2, one * 3), results)
    assert "6 boxes are copies of another box of their image and class" in capsys.readouterr().err
    assert scored == evaluate(coco(2, one), results)
    assert (scored["AP"], scored["per_class"]["People"]["instances"]) == (1.0, 2)
    assert capsys.readouterr().err == ""
