"""Misregistration: pixels, masks and boxes go to the same place, to the pixel under a shift."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from fuse2task.data.dataset import Box
from fuse2task.data.degradation.geometry import SHIFT, TURN, Motion, motion_of, move_box, move_image, move_mask

SIZE = (64, 48)
shifts = st.integers(-8, 8)


def square(x: int, y: int, w: int, h: int) -> np.ndarray:
    pixels = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    pixels[y : y + h, x : x + w] = 200
    return pixels


@settings(max_examples=60)
@given(shifts, shifts, st.integers(9, 40), st.integers(9, 25), st.integers(1, 14), st.integers(1, 13))
def test_a_shifted_square_fills_its_shifted_box(dx, dy, x, y, w, h):
    motion = Motion(dx, dy, 0)
    assert move_box(Box("a", x, y, w, h), motion, SIZE) == Box("a", x + dx, y + dy, w, h)
    expected = square(x + dx, y + dy, w, h)
    assert np.array_equal(move_image(square(x, y, w, h), motion), expected)
    assert np.array_equal(move_mask(square(x, y, w, h), motion)[8:-8, 8:-8], expected[8:-8, 8:-8])


def test_a_whole_shift_is_scipys_and_unknown_mask_pixels_are_ignored():
    mask = np.random.default_rng(0).integers(0, 9, (48, 64), dtype=np.uint8)
    moved = move_mask(mask, Motion(3, -2, 0))
    assert np.array_equal(moved, ndimage.shift(mask, (-2, 3), order=0, cval=255))
    assert (moved[:, :3] == 255).all()
    assert (moved[-2:] == 255).all()


@pytest.mark.parametrize("motion", [Motion(0, 0, 2), Motion(5.3, -2.7, -2), Motion(0.5, 0.25, 0)])
def test_a_turned_square_is_where_its_box_says(motion):
    box = Box("a", 40, 12, 12, 16)
    moved = move_image(square(40, 12, 12, 16), motion).astype(float)
    y, x = ndimage.center_of_mass(moved)
    went = move_box(box, motion, SIZE)
    assert (x + 0.5, y + 0.5) == pytest.approx((went.x + went.w / 2, went.y + went.h / 2), abs=0.02)
    # The same by complex numbers: a turn about the middle of the image, then the shift.
    turned = (46 - 32 + 1j * (20 - 24)) * np.exp(1j * math.radians(motion.degrees))
    expected = (turned.real + 32 + motion.dx, turned.imag + 24 + motion.dy)
    assert (went.x + went.w / 2, went.y + went.h / 2) == pytest.approx(expected)


def test_a_turned_box_encloses_the_turned_ellipse():
    motion, box = Motion(0, 0, 1.5), Box("a", 10, 8, 8, 30)
    angles = np.linspace(0, 2 * np.pi, 3601)
    points = [motion.point(14 + 4 * np.cos(a), 23 + 15 * np.sin(a), SIZE) for a in angles]
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    went = move_box(box, motion, SIZE)
    assert (went.x, went.y, went.x + went.w, went.y + went.h) == pytest.approx((*low, *high), abs=1e-4)


def test_boxes_at_the_border_are_clipped_and_then_gone():
    assert move_box(Box("a", 60, 10, 4, 5), Motion(2, 0, 0), SIZE) == Box("a", 62, 10, 2, 5)
    assert move_box(Box("a", 60, 10, 4, 5), Motion(3.5, 0, 0), SIZE) is None
    assert move_box(Box("a", 10, 10, 0.5, 5), Motion(1, 0, 0), SIZE) == Box("a", 11, 10, 0.5, 5)


def test_levels_go_further_in_the_same_direction():
    for name in ("a", "b"):
        motions = [motion_of(3, name, level) for level in (1, 2, 3, 4, 5)]
        assert [math.hypot(m.dx, m.dy) for m in motions] == pytest.approx(SHIFT)
        assert [abs(m.degrees) for m in motions] == pytest.approx(TURN)
        assert len({round(math.atan2(m.dy, m.dx), 9) for m in motions}) == 1
        assert len({m.degrees > 0 for m in motions}) == 1
    assert motion_of(3, "a", 5) != motion_of(3, "b", 5)
    assert motion_of(3, "a", 5) != motion_of(4, "a", 5)
