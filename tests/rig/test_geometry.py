"""Geometry of a rig: boxes, masks and pixels go to the same place; lenses and documents come back as they were."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fuse2task.data.dataset import Box
from fuse2task.rig.geometry import (
    Alignment,
    CameraView,
    Lens,
    common_grid,
    matrix_of_points,
    read_lens,
    read_points,
    transformed,
)
from fuse2task.runtime.errors import RequestError

SIZES = {"infrared": (80, 60), "visible": (120, 96)}
BARREL = Lens(SIZES["infrared"], ((70.0, 0.0, 39.5), (0.0, 70.0, 29.5), (0.0, 0.0, 1.0)), (-0.2, 0.03, 0.001, -0.001))


def similarity(scale: float, turn: float, dx: float, dy: float) -> np.ndarray:
    """About the middle of the infrared image, onto the visible one's."""
    cos, sin = scale * np.cos(np.radians(turn)), scale * np.sin(np.radians(turn))
    matrix = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    matrix[:2, 2] = (60 + dx, 48 + dy) - matrix[:2, :2] @ (40, 30)
    return matrix


matrices = st.builds(
    similarity, st.floats(0.8, 2), st.floats(-5, 5), st.floats(-8, 8), st.floats(-8, 8)
)  # fmt: skip


@settings(max_examples=25)
@given(matrices, st.sampled_from([None, BARREL]), st.integers(28, 36), st.integers(20, 28))
def test_a_square_its_mask_and_its_box_go_to_the_same_place(matrix, lens, x, y):
    made = common_grid(SIZES, matrix, lenses={"infrared": lens} if lens else {})
    pixels = np.zeros((60, 80), np.uint8)
    pixels[y : y + 9, x : x + 11] = 200
    (box,) = made.moved([Box("a", x, y, 11, 9)], "infrared")
    for moved in (made.apply(pixels, "infrared") > 100, made.moved_mask(pixels, "infrared") == 200):
        rows, columns = np.nonzero(moved)
        middle = (columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2
        assert middle == pytest.approx((box.x + box.w / 2, box.y + box.h / 2), abs=1.3)
        assert moved.sum() == pytest.approx(box.w * box.h, rel=0.2)


@settings(max_examples=25)
@given(matrices, st.sampled_from([None, BARREL]), st.floats(2, 78), st.floats(2, 58))
def test_a_point_comes_back_from_the_grid(matrix, lens, x, y):
    view = CameraView(SIZES["infrared"], tuple(map(tuple, matrix.tolist())), lens)
    point = np.array([[x, y]])
    assert view.from_grid(view.to_grid(point)) == pytest.approx(point, abs=1e-4)


def test_a_lens_is_undone_as_opencv_undoes_it():
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (60, 80)).astype(np.float32), (0, 0), 2)
    made = common_grid({"infrared": (80, 60), "visible": (80, 60)}, onto="infrared", lenses={"infrared": BARREL})
    matrix = np.array(BARREL.matrix)
    expected = cv2.undistort(image, matrix, np.array(BARREL.distortion))
    left, top = (-np.array(made.views["infrared"].matrix)[:2, 2]).astype(int)
    expected = expected[top : top + made.size[1], left : left + made.size[0]]
    assert np.abs(made.apply(image, "infrared") - expected).max() < 2  # OpenCV's is bilinear


def test_the_crop_is_what_both_see_and_its_camera_is_cut_byte_for_byte():
    matrix = np.array([[1.0, 0, 25], [0, 1, -4], [0, 0, 1]])
    made = common_grid(SIZES, matrix)
    assert made.size == (80, 56)
    visible = np.random.default_rng(0).integers(0, 65536, (96, 120, 3), dtype=np.uint16)
    assert np.array_equal(made.apply(visible, "visible"), visible[:56, 25:105])
    infrared = np.random.default_rng(0).integers(0, 65536, (60, 80), dtype=np.uint16)
    assert np.array_equal(made.apply(infrared, "infrared"), infrared[4:])
    assert made.moved([Box("a", 10, 4, 5, 6), Box("b", 10, 0, 5, 4.5)], "infrared") == (
        Box("a", 10, pytest.approx(0), pytest.approx(5), pytest.approx(6)),
    )


@settings(max_examples=25)
@given(matrices, st.sampled_from([None, BARREL]))
@example(np.array([[1.25, 0, 10], [0, 1.25, 10.5], [0, 0, 1]]), None)  # the middle of the last row on the very border
def test_nothing_on_the_grid_is_made_up(matrix, lens):
    made = common_grid(SIZES, matrix, lenses={"infrared": lens} if lens else {})
    for camera, (width, height) in SIZES.items():
        assert (made.moved_mask(np.zeros((height, width), np.uint8), camera) == 0).all()


def test_an_alignment_comes_back_from_its_file_and_a_damaged_one_is_refused(tmp_path):
    made = common_grid(SIZES, similarity(1.3, 2, 3, -4), lenses={"infrared": BARREL}, error=0.4, how={"frames": 3})
    made.save(tmp_path / "a.json")
    assert Alignment.load(tmp_path / "a.json") == made
    values = json.loads((tmp_path / "a.json").read_text())
    made.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    for damage in (
        {"format": "x"}, {"size": [0, 3]}, {"views": {}}, {"error": "x"}, {"size": [True, 3]},
        {"views": values["views"] | {"visible": {"size": [120, 96], "matrix": [[0] * 3] * 3, "lens": None}}},
    ):  # fmt: skip
        (tmp_path / "a.json").write_text(json.dumps(values | damage))
        with pytest.raises(RequestError, match=r"a\.json: not an alignment"):
            Alignment.load(tmp_path / "a.json")


def test_other_sizes_other_lenses_and_nothing_in_common_are_refused():
    with pytest.raises(RequestError, match="infrared image of 10x10"):
        common_grid(SIZES).apply(np.zeros((10, 10), np.uint8), "infrared")
    with pytest.raises(RequestError, match="visible lens was calibrated on images of 80x60"):
        common_grid(SIZES, lenses={"visible": BARREL})
    with pytest.raises(RequestError, match="in common"):
        common_grid(SIZES, similarity(1, 0, 200, 0))


@settings(max_examples=20)
@given(matrices, st.sampled_from(["similarity", "affine", "homography"]))
def test_a_matrix_comes_back_from_points_in_spite_of_a_wrong_pair(matrix, model):
    source = np.array([(5, 5), (70, 6), (74, 55), (8, 50), (40, 31), (20, 44), (60, 17.5)])
    target = transformed(matrix, source)
    target[4] += 40
    assert transformed(matrix_of_points(source, target, model), source)[0] == pytest.approx(target[0], abs=1e-3)
    with pytest.raises(RequestError, match="point pairs"):
        matrix_of_points(source[:1], target[:1], model)


def test_point_pairs_are_read_and_bad_ones_refused(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("infrared_x,infrared_y,visible_x,visible_y\n1,2,3.5,4\n5,6,7,8\n")
    assert read_points(path)["visible"].tolist() == [[3.5, 4], [7, 8]]
    path.write_text("infrared_x,infrared_y,visible_x\n1,2,3\n")
    with pytest.raises(RequestError, match="no column visible_y"):
        read_points(path)
    path.write_text("infrared_x,infrared_y,visible_x,visible_y\n1,2,nan,4\n")
    with pytest.raises(RequestError, match="no number"):
        read_points(path)


def test_calibrations_of_opencv_and_ros_are_read(tmp_path):
    store = cv2.FileStorage(str(tmp_path / "a.yml"), cv2.FILE_STORAGE_WRITE)
    for name, value in {"image_width": 80, "image_height": 60}.items():
        store.write(name, value)
    store.write("camera_matrix", np.array(BARREL.matrix))
    store.write("distortion_coefficients", np.array([BARREL.distortion]))
    store.release()
    assert read_lens(tmp_path / "a.yml") == BARREL
    flat = {"rows": 3, "cols": 3, "data": np.ravel(BARREL.matrix).tolist()}
    ros = {
        "image_width": 80, "image_height": 60, "distortion_model": "plumb_bob", "camera_matrix": flat,
        "distortion_coefficients": {"rows": 1, "cols": 4, "data": BARREL.distortion},
    }  # fmt: skip
    (tmp_path / "b.json").write_text(json.dumps(ros))
    assert read_lens(tmp_path / "b.json") == BARREL
    bad = (
        {"distortion_model": "fisheye"},
        {"image_width": 0},
        {"camera_matrix": [1, 2]},
        {"D": [1], "distortion_coefficients": [1]},
    )
    for damage in bad:
        (tmp_path / "b.json").write_text(json.dumps(ros | damage))
        with pytest.raises(RequestError, match=r"b\.json: (not a camera|a fisheye)"):
            read_lens(tmp_path / "b.json")
    (tmp_path / "c.yml").write_text("- 1\n")
    with pytest.raises(RequestError, match="calibration"):
        read_lens(tmp_path / "c.yml")
