"""Weighted AP against pycocotools: as it is, and on data sets in which images are there several times."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detection.average_precision import Matches, WeightedAP, match, weighted_ap
from detection.coco import read_truth
from detection.predictions import read_predictions
from fuse2task.runtime.errors import RequestError

MEANS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
NAMES = ("People", "Car", "Lamp")


def random_case(seed: int, ties: bool = True) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Truth with empty images, absent classes and crowds, or none at all; shifted, missed, false detections."""
    draw = np.random.default_rng(seed)
    count = int(draw.integers(1, 7))
    ids = draw.choice(50, count, replace=False).tolist()  # neither consecutive nor sorted
    kinds = int(draw.integers(1, 4))
    annotations: list[dict[str, Any]] = []
    results = []
    for _ in range(int(draw.integers(0, 30))):
        image, kind = int(draw.choice(ids)), int(draw.integers(1, kinds + 1))
        box = [*draw.uniform(0, 90, 2), *np.exp(draw.uniform(1.5, 5.2, 2))]
        crowd = int(draw.random() < 0.1)
        annotations.append({"image_id": image, "category_id": kind, "bbox": box, "iscrowd": crowd})
        for _ in range(int(draw.integers(0, 3))):
            moved = (np.array(box) + draw.normal(0, 0.08, 4) * np.tile(box[2:], 2)).clip(0.5).tolist()
            other = kind if draw.random() < 0.8 else int(draw.integers(1, 4))
            score = float(draw.integers(1, 5)) / 4 if ties else float(draw.random())
            results.append({"image_id": image, "category_id": other, "bbox": moved, "score": score})
    categories = [{"id": n, "name": name} for n, name in enumerate(NAMES, start=1)]
    truth = read_truth({"images": [{"id": n} for n in ids], "categories": categories, "annotations": annotations})
    return truth, read_predictions(results, truth)


def pycocotools_ap(truth: dict[str, Any], results: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """The six means, and precision averaged per class (AP, AP50, AP75), NaN for -1."""
    with contextlib.redirect_stdout(io.StringIO()):
        ground = COCO()
        ground.dataset = {**truth, "annotations": [dict(item) for item in truth["annotations"]]}
        ground.createIndex()
        found = ground.loadRes([dict(item) for item in results])
        run = COCOeval(ground, found, "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    precision = run.eval["precision"][..., 0, -1]  # IoU, recall, class
    classes = np.stack([precision.mean(axis=(0, 1)), precision[0].mean(axis=0), precision[5].mean(axis=0)])
    return np.where(run.stats[:6] < 0, np.nan, run.stats[:6]), np.where(classes < 0, np.nan, classes)


def assert_equal(ap: WeightedAP, row: int, expected: tuple[np.ndarray, np.ndarray]) -> None:
    means = [getattr(ap, name)[row] for name in MEANS]
    classes = [getattr(ap, name)[row] for name in ("class_AP", "class_AP50", "class_AP75")]
    np.testing.assert_allclose(means, expected[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(classes, expected[1], rtol=0, atol=1e-12)


def repeated(
    truth: dict[str, Any], results: list[dict[str, Any]], counts: np.ndarray
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The data set with each image (by rising id) there `counts` times, in the same order."""
    copies: dict[int, list[int]] = {}
    following = iter(range(1, 10_000))
    for image, count in zip(sorted(item["id"] for item in truth["images"]), counts, strict=True):
        copies[image] = [next(following) for _ in range(int(count))]
    many = [{**item, "image_id": n} for item in truth["annotations"] for n in copies[item["image_id"]]]
    dataset = {
        "images": [{"id": n} for numbers in copies.values() for n in numbers],
        "categories": truth["categories"],
        "annotations": many,
    }
    return read_truth(dataset), [{**item, "image_id": n} for item in results for n in copies[item["image_id"]]]


@pytest.mark.slow
@settings(max_examples=80)
@given(seed=st.integers(0, 10**6))
def test_weights_of_one_equal_pycocotools(seed: int) -> None:
    truth, results = random_case(seed)
    ap = weighted_ap(match(truth, results), np.ones((2, len(truth["images"]))))
    if results:
        assert_equal(ap, 1, pycocotools_ap(truth, results))
    else:  # pycocotools cannot load an empty list: 0 where there is truth
        present = {item["category_id"] for item in truth["annotations"] if not item["iscrowd"]}
        np.testing.assert_array_equal(ap.class_AP[1], [0.0 if n in present else np.nan for n in (1, 2, 3)])


@pytest.mark.slow
@settings(max_examples=80)
@given(seed=st.integers(0, 10**6), counts=st.lists(st.integers(0, 4), min_size=6, max_size=6))
def test_integer_weights_are_repeated_images(seed: int, counts: list[int]) -> None:
    truth, results = random_case(seed, ties=False)
    weights = np.array(counts[: len(truth["images"])])
    ap = weighted_ap(match(truth, results), np.stack([weights, 0.5 * weights]))
    if not weights.any():
        assert np.isnan(ap.AP).all()
        return
    many, detections = repeated(truth, results, weights)
    if not detections:
        return
    expected = pycocotools_ap(many, detections)
    assert_equal(ap, 0, expected)
    assert_equal(ap, 1, expected)  # only the weights' ratios matter


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), chosen=st.lists(st.booleans(), min_size=6, max_size=6))
def test_some_images_are_weights_of_zero(seed: int, chosen: list[bool]) -> None:
    truth, results = random_case(seed)
    kept = np.array(chosen[: len(truth["images"])])
    matches = match(truth, results)
    part = matches.of_images(kept)
    of_part = weighted_ap(part, np.ones((1, int(kept.sum()))))
    of_all = weighted_ap(matches, kept[None].astype(float))
    assert part.images.tolist() == matches.images[kept].tolist()
    for name in (*MEANS, "class_AP"):
        np.testing.assert_allclose(getattr(of_part, name), getattr(of_all, name), rtol=0, atol=1e-12)


def test_class_without_truth_in_a_replicate_leaves_its_mean() -> None:
    boxes = [(1, 1, [0, 0, 50, 50]), (2, 2, [0, 0, 50, 50])]
    truth = read_truth(
        {
            "images": [{"id": 1}, {"id": 2}],
            "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
            "annotations": [{"image_id": i, "category_id": c, "bbox": box} for i, c, box in boxes],
        }
    )
    results = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50], "score": 0.5}]
    ap = weighted_ap(match(truth, results), np.array([[1, 1], [2, 0], [0, 2], [0, 0]]))
    np.testing.assert_allclose(ap.AP, [0.5, 1.0, 0.0, np.nan], atol=1e-12)
    np.testing.assert_allclose(ap.class_AP, [[1, 0], [1, np.nan], [np.nan, 0], [np.nan, np.nan]], atol=1e-12)
    np.testing.assert_array_equal(ap.AP_large, [np.nan] * 4)


def test_blocks_of_replicates_equal_single_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detection.average_precision._CELLS", 1)  # the smallest blocks
    truth, results = random_case(12, ties=False)
    matches = match(truth, results)
    weights = np.random.default_rng(0).integers(0, 4, (75, len(matches.images)))
    single = [weighted_ap(matches, row[None]).AP[0] for row in weights]
    assert len(set(single)) > 10
    np.testing.assert_allclose(weighted_ap(matches, weights).AP, single, rtol=0, atol=1e-12)


def test_left_out_classes() -> None:
    truth, results = random_case(5)
    assert match(truth, results, left_out=["Car"]).classes == ("People", "Lamp")
    for wrong in (["Dog"], list(NAMES)):
        with pytest.raises(RequestError, match="cannot leave out"):
            match(truth, results, left_out=wrong)


def test_inputs_stay_as_they_are() -> None:
    truth, results = random_case(3)
    before = repr((truth, results))
    match(truth, results)
    assert repr((truth, results)) == before


@pytest.mark.parametrize("seed", [4, 7, 9])
def test_saved_and_loaded(tmp_path, seed: int) -> None:
    matches = match(*random_case(seed))
    matches.save(tmp_path / "matches.npz")
    loaded = Matches.load(tmp_path / "matches.npz")
    assert loaded.classes == matches.classes
    for name in ("images", "thresholds", "starts", "image", "score", "matched", "ignored", "truths"):
        old, new = getattr(matches, name), getattr(loaded, name)
        assert (old.dtype, old.shape) == (new.dtype, new.shape)
        np.testing.assert_array_equal(old, new)


def test_wrong_files_and_weights(tmp_path) -> None:
    with pytest.raises(RequestError, match="no such file of matches"):
        Matches.load(tmp_path / "absent.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(RequestError, match=r"broken\.npz: not a readable file of matches"):
        Matches.load(tmp_path / "broken.npz")
    matches = match(*random_case(4))
    count = len(matches.images)
    for wrong in (np.ones(count), np.ones((1, count + 1)), -np.ones((1, count)), np.full((1, count), np.nan)):
        with pytest.raises(ValueError, match="weights"):
            weighted_ap(matches, wrong)
