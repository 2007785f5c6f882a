import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassJaccardIndex,
)

from fuse2task.data.classes import FMB, FMB_PALETTE, MSRS, MSRS_PALETTE
from fuse2task.runtime.errors import RequestError
from segmentation.evaluation import class_names, confusion, evaluate, scores

NAMES = ("background", "car", "person", "bike")


def write(folder, **masks):
    folder.mkdir(parents=True, exist_ok=True)
    for name, mask in masks.items():
        Image.fromarray(np.asarray(mask, np.uint8)).save(folder / f"{name}.png")
    return folder


@st.composite
def labelled_pairs(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    absent = draw(st.integers(1, 5))  # classes from here on appear nowhere
    truth = rng.integers(0, absent, (2, 9, 7))
    prediction = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, absent, truth.shape))
    truth[rng.random(truth.shape) < draw(st.sampled_from([0.0, 0.3]))] = 255
    return truth.astype(np.uint8), prediction.astype(np.uint8)


@given(labelled_pairs())
@settings(max_examples=60)
def test_equals_torchmetrics_with_absent_classes_and_ignored_pixels(pair):
    truth, prediction = pair
    tensors = torch.from_numpy(prediction).int(), torch.from_numpy(truth).int()
    matrix = confusion(truth, prediction, 6)
    np.testing.assert_array_equal(matrix, MulticlassConfusionMatrix(6, ignore_index=255)(*tensors).numpy())
    if not matrix.any():
        return
    found = scores(matrix, [f"c{i}" for i in range(6)])
    each = MulticlassJaccardIndex(6, average="none", ignore_index=255)(*tensors).numpy()
    union = matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    for index, row in enumerate(found["per_class"].values()):
        assert (row["IoU"] is None) == (union[index] == 0)
        assert row["IoU"] is None or row["IoU"] == pytest.approx(each[index], abs=1e-6)
    macro = MulticlassJaccardIndex(6, average="macro", ignore_index=255)(*tensors).item()
    assert found["mIoU"] == pytest.approx(macro, abs=1e-6)
    micro = MulticlassAccuracy(6, average="micro", ignore_index=255)(*tensors).item()
    assert found["aAcc"] == pytest.approx(micro, abs=1e-6)


def test_indices_outside_the_classes_and_other_shapes_are_refused():
    two = np.array([[0, 1]], np.uint8)
    for truth, prediction, named in (
        ([[0, 2]], two, "truth"),
        (two, [[2, 0]], "prediction"),
        (two, [[255, 0]], "prediction"),
    ):
        with pytest.raises(ValueError, match=rf"{named} has indices outside 0\.\.1"):
            confusion(np.array(truth, np.uint8), np.array(prediction, np.uint8), 2)
    with pytest.raises(ValueError, match=r"\(1, 2\), prediction \(2, 1\)"):
        confusion(two, two.T, 2)


def test_hand_counted_example(tmp_path):
    labels = write(tmp_path / "l", a=[[0, 0, 1, 1], [0, 255, 1, 2]], b=[[0, 0], [0, 0]])
    predictions = write(tmp_path / "p", a=[[0, 1, 1, 1], [0, 3, 0, 0]], b=[[0, 0], [0, 3]])
    found = evaluate(labels, predictions, NAMES)
    rows = found["per_class"]
    # background: 5 hits, truth 7, predicted 7; car: 2 of 3 and 3; person: never found; bike: predicted, no truth
    assert list(rows) == list(NAMES)
    assert [row["IoU"] for row in rows.values()] == pytest.approx([5 / 9, 2 / 4, 0, 0])
    assert [row["accuracy"] for row in rows.values()] == [5 / 7, 2 / 3, 0.0, None]
    assert [row["pixels"] for row in rows.values()] == [7, 3, 1, 0]
    assert found["mIoU"] == pytest.approx((5 / 9 + 1 / 2) / 4)
    assert found["mIoU_foreground"] == pytest.approx(1 / 6)
    assert found["mAcc"] == pytest.approx((5 / 7 + 2 / 3) / 3)
    assert (found["aAcc"], found["pixels"], found["images"]) == (7 / 11, 11, 2)
    assert "255" in found["definition"]


def test_background_alone_has_no_foreground_score(tmp_path):
    empty = np.zeros((4, 5))
    found = evaluate(write(tmp_path / "l", a=empty), write(tmp_path / "p", a=empty), NAMES)
    assert (found["mIoU"], found["mAcc"], found["aAcc"], found["mIoU_foreground"]) == (1, 1, 1, None)
    ignored = evaluate(write(tmp_path / "i", a=empty + 255), tmp_path / "p", NAMES)
    assert (ignored["mIoU"], ignored["aAcc"], ignored["pixels"]) == (None, None, 0)
    json.dumps(ignored, allow_nan=False)


@pytest.mark.parametrize(
    ("labels", "predictions", "told"),
    [
        ({"a": [[0]], "b": [[0]]}, {"a": [[0]]}, "b: no prediction"),
        ({"a": [[0]]}, {"a": [[0]], "z": [[0]]}, "z: predicted"),
        ({"a": [[0, 1]]}, {"a": [[0], [1]]}, "1x2, but the label is 2x1"),
        ({"a": [[0]]}, {"a": [[255]]}, r"values \[255\]"),
        ({"a": [[4]]}, {"a": [[0]]}, r"values \[4\]"),
        ({}, {"a": [[0]]}, "no masks"),
    ],
)
def test_what_does_not_match_is_refused_by_name(tmp_path, labels, predictions, told):
    with pytest.raises(RequestError, match=told):
        evaluate(write(tmp_path / "l", **labels), write(tmp_path / "p", **predictions), NAMES)


def test_two_files_of_one_id_and_missing_folders_are_refused(tmp_path):
    folder = write(tmp_path / "l", a=[[0]])
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(folder / "a.bmp")
    with pytest.raises(RequestError, match="same id 'a'"):
        evaluate(folder, folder, NAMES)
    with pytest.raises(RequestError, match="no such folder"):
        evaluate(tmp_path / "absent", folder, NAMES)


def test_class_names_from_a_file(tmp_path):
    (tmp_path / "c.txt").write_text("road\n sky \n\n", "utf-8")
    assert class_names(str(tmp_path / "c.txt")) == ("road", "sky")
    assert class_names("fmb")[8] == "Person"
    assert (len(MSRS), len(FMB)) == (len(MSRS_PALETTE), len(FMB_PALETTE)) == (9, 15)
    (tmp_path / "d.txt").write_text("road\nroad\n", "utf-8")
    for bad in (tmp_path / "d.txt", tmp_path / "none.txt"):
        with pytest.raises(RequestError, match=bad.name):
            class_names(str(bad))


def test_real_masks_against_themselves(shared_path):
    folder = shared_path("data", "MFNet_figures", "labels")
    found = evaluate(folder, folder, MSRS)
    assert found["mIoU"] == 1
    assert found["per_class"]["car"]["pixels"] > 0


def test_masks_of_0_and_255_are_refused_or_read_with_a_palette(tmp_path):
    truth = np.zeros((4, 6), np.uint8)
    truth[:2, :3] = 255
    found = np.zeros_like(truth)
    found[:2, 2:5] = 1
    labels, one = write(tmp_path / "labels", a=truth), write(tmp_path / "one", a=found)
    full, none = write(tmp_path / "full", a=255 * found), write(tmp_path / "none", a=0 * found)
    (tmp_path / "classes.txt").write_text("background\nobject\n")
    for predictions in (one, full, none):
        for classes in (None, ("background", "object")):
            with pytest.raises(RequestError, match=r"nothing but 0 and 255.*--palette binary"):
                evaluate(labels, predictions, classes)
    for predictions in (one, full):
        scored = evaluate(labels, predictions, palette="binary")
        assert scored["per_class"]["object"]["IoU"] == pytest.approx(2 / 10)
        assert scored["per_class"]["background"]["IoU"] == pytest.approx(14 / 22)
    assert evaluate(labels, none, palette="binary")["mIoU"] == pytest.approx((0 + 18 / 24) / 2)


def test_names_that_nothing_gives_are_indices_and_it_is_said(tmp_path):
    labels, found = write(tmp_path / "l" / "m", a=[[0, 1]]), write(tmp_path / "p", a=[[0, 2]])
    scored = evaluate(labels, found)
    assert list(scored["per_class"]) == ["0", "1", "2"]
    assert "called by their index, 0 to 2" in scored["class_names"]
    (tmp_path / "l" / "classes.txt").write_text("sky\nroad\ncar\n")
    scored = evaluate(labels, found)
    assert list(scored["per_class"]) == ["sky", "road", "car"]
    assert scored["class_names"].endswith("classes.txt")
    assert "class_names" not in evaluate(labels, found, ("a", "b", "c"))


def test_colours_of_labels_and_predictions_by_a_palette(tmp_path):
    labels = write(tmp_path / "l", a=[[MSRS_PALETTE[1], MSRS_PALETTE[2]]])
    indices = write(tmp_path / "p", a=[[1, 1]])
    scored = evaluate(labels, indices, palette="msrs")
    assert (tuple(scored["per_class"]), scored["class_names"]) == (MSRS, "palette msrs")
    assert scored["per_class"]["car"]["IoU"] == 0.5
    with pytest.raises(RequestError, match="not in palette fmb"):
        evaluate(labels, indices, palette="fmb")
