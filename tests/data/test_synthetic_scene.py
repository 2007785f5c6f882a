"""Geometry, truth, reproducibility and physics of synthetic scenes."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.registration import phase_cross_correlation

from fuse2task.data.classes import M3FD, MSRS
from fuse2task.data.synthetic.scene import Scene, render
from fuse2task.runtime.errors import RequestError

TASKS = ("detection", "segmentation")
SIZE = (320, 256)


@pytest.fixture(scope="module")
def scenes() -> dict[tuple[str, bool], list[Scene]]:
    """24 scenes of each task, by day and by night."""
    return {
        (task, night): [render(3, index, SIZE, night, task) for index in range(24)]
        for task in TASKS
        for night in (False, True)
    }


def surroundings(scene: Scene, number: int) -> np.ndarray:
    """Pixels within 6 px of an object that belong to no object, nor to the blurred rim of one."""
    near = cv2.dilate((scene.instances == number).astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    return near & (cv2.dilate((scene.instances > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) == 0)


def contrasts(scenes: list[Scene], name: str) -> tuple[float, float]:
    """Median |difference| from the surroundings in units of their robust deviation: visible, infrared."""
    found = []
    for scene in scenes:
        grey = scene.visible.astype(float).mean(axis=2)
        for number, box in enumerate(scene.boxes, start=1):
            ring, inside = surroundings(scene, number), scene.instances == number
            if box.name == name and ring.sum() >= 30:
                found.append([_robust(image[inside], image[ring]) for image in (grey, scene.infrared)])
    assert len(found) >= 3, f"too few {name} to judge"
    visible, infrared = np.median(found, axis=0)
    return visible, infrared


def _robust(inside: np.ndarray, around: np.ndarray) -> float:
    """1.4826 times the median absolute deviation is the standard deviation of Gaussian noise."""
    middle = np.median(around)
    return abs(inside.mean() - middle) / max(1.4826 * np.median(abs(around - middle)), 1.0)


def separations(scenes: list[Scene], name: str) -> tuple[float, float]:
    """Median share of an object's levels (32 bins) that its surroundings lack: visible, infrared."""
    found = []
    for scene in scenes:
        images = (scene.visible.mean(axis=2), scene.infrared)
        for number, box in enumerate(scene.boxes, start=1):
            ring, inside = surroundings(scene, number), scene.instances == number
            if box.name == name and ring.sum() >= 30:
                levels = [[np.histogram(i[m], 32, (0, 256))[0] / m.sum() for m in (inside, ring)] for i in images]
                found.append([1 - np.minimum(own, around).sum() for own, around in levels])
    visible, infrared = np.median(found, axis=0)
    return visible, infrared


@pytest.mark.slow
@pytest.mark.parametrize("name", ["People", "person"])
def test_people_at_night_show_in_infrared_and_drown_in_visible(scenes, name):
    visible, infrared = contrasts(scenes["detection" if name == "People" else "segmentation", True], name)
    assert infrared > 10
    assert visible < 2.5


@pytest.mark.parametrize("name", ["Lamp", "color_cone", "curve", "bump", "car_stop", "guardrail"])
def test_lamps_cones_and_markings_at_night_show_in_visible_alone(scenes, name):
    visible, infrared = contrasts(scenes["detection" if name == "Lamp" else "segmentation", True], name)
    assert visible > 4
    assert infrared < 1.5


def test_warm_engines_at_night_show_in_infrared_alone(scenes):
    visible, infrared = contrasts(scenes["detection", True], "Motorcycle")
    assert infrared > 5
    assert visible < infrared / 3


@pytest.mark.parametrize(("task", "name"), [("detection", "Car"), ("segmentation", "car")])
def test_cars_by_day_show_in_both(scenes, task, name):
    visible, infrared = separations(scenes[task, False], name)
    assert visible > 0.5
    assert infrared > 0.5


def test_people_by_day_are_fainter_in_infrared_than_at_night(scenes):
    assert contrasts(scenes["detection", False], "People")[1] < contrasts(scenes["detection", True], "People")[1] / 4


def test_night_is_dark_except_for_lamps(scenes):
    for task in TASKS:
        nights, days = (np.stack([s.visible for s in scenes[task, night]]) for night in (True, False))
        assert np.median(nights) < 30 < 80 < np.median(days)
        assert np.percentile(nights, 99.9) > 200


def test_sky_is_cold_and_the_two_cameras_do_not_copy_each_other(scenes):
    for scene in scenes["detection", False]:
        sky = (scene.visible[:8, :, 2].astype(int) - scene.visible[:8, :, 0] > 20) & (scene.visible[:8, :, 2] > 180)
        if sky.sum() > 50:
            assert np.median(scene.infrared[:8][sky]) < 0.2 * np.median(scene.infrared[128:])
        correlation = np.corrcoef(scene.visible.mean(axis=2).ravel(), scene.infrared.ravel())[0, 1]
        assert correlation < 0.6


def test_visible_and_infrared_are_registered(scenes):
    """By scikit-image's phase correlation of edge strength, over all day scenes of a task."""
    for task in TASKS:
        shifts = []
        for scene in scenes[task, False]:
            grey = scene.visible.mean(axis=2).astype(np.float32)
            edges = [
                np.hypot(cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1))
                for image in (grey, scene.infrared.astype(np.float32))
            ]
            shifts.append(phase_cross_correlation(edges[0], edges[1], upsample_factor=4, normalization=None)[0])
        assert np.abs(np.median(shifts, axis=0)).max() <= 0.5


@settings(max_examples=25)
@given(
    width=st.integers(64, 200),
    height=st.integers(64, 200),
    index=st.integers(0, 10_000),
    night=st.booleans(),
    task=st.sampled_from(TASKS),
)
def test_boxes_and_mask_are_the_visible_pixels(width, height, index, night, task):
    scene = render(7, index, (width, height), night, task)
    assert scene.visible.shape == (height, width, 3)
    assert scene.infrared.shape == scene.mask.shape == scene.instances.shape == (height, width)
    assert scene.visible.dtype == scene.infrared.dtype == scene.mask.dtype == np.uint8
    names = ("background", *M3FD) if task == "detection" else MSRS
    assert set(np.unique(scene.instances)) - {0} == set(range(1, len(scene.boxes) + 1))
    for number, box in enumerate(scene.boxes, start=1):
        rows, columns = np.nonzero(scene.instances == number)
        assert (box.x, box.y) == (columns.min(), rows.min())
        assert (box.x + box.w, box.y + box.h) == (columns.max() + 1, rows.max() + 1)
        assert {names[i] for i in np.unique(scene.mask[rows, columns])} == {box.name}
    assert np.array_equal(scene.mask > 0, scene.instances > 0)


@pytest.mark.parametrize("task", TASKS)
def test_objects_are_large_enough_to_learn(scenes, task):
    boxes = [box for scene in scenes[task, True] for box in scene.boxes]
    assert min(max(box.w, box.h) for box in boxes) >= 14
    assert len(boxes) / len(scenes[task, True]) >= 3


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("task", TASKS)
def test_twelve_scenes_have_every_class_by_day_and_by_night(seed, task):
    wanted = set(M3FD) if task == "detection" else set(MSRS[1:])
    for night in (False, True):
        seen = {
            box.name for index in range(int(night), 12, 2) for box in render(seed, index, (160, 128), night, task).boxes
        }
        assert seen == wanted


def test_night_view_shows_the_street_of_the_day_view(scenes):
    for day, night in zip(scenes["detection", False], scenes["detection", True], strict=True):
        assert day.boxes == night.boxes
        assert np.array_equal(day.instances, night.instances)
        assert not np.array_equal(day.infrared, night.infrared)


def test_scene_depends_on_seed_and_number_alone():
    first = render(1, 5, (97, 75), True, "segmentation")
    render(2, 5, (97, 75), True, "segmentation")
    again = render(1, 5, (97, 75), True, "segmentation")
    for name in ("visible", "infrared", "instances", "mask"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    for other in (render(2, 5, (97, 75), True, "segmentation"), render(1, 6, (97, 75), True, "segmentation")):
        assert not np.array_equal(first.visible, other.visible)
        assert not np.array_equal(first.infrared, other.infrared)


@pytest.mark.parametrize("size", [(63, 100), (100, 63), (5000, 100)])
def test_sizes_out_of_range_are_refused(size):
    with pytest.raises(RequestError, match=f"{size[0]}x{size[1]}"):
        render(0, 0, size, False, "detection")
