from importlib import metadata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuse2task.runtime.errors import Fuse2TaskError
from segmentation.recipe import Augmentation
from segmentation.samples import Augment

RNG = np.random.default_rng(3)
MASK = RNG.integers(0, 5, (50, 60)).astype(np.uint8)
IMAGE = np.repeat(MASK[..., None] * 40, 3, axis=2)
PLAIN = {"scale": [1, 1], "colour": 0}


def make(crop=(32, 32), fill=(9, 8, 7), **recipe):
    return Augment(Augmentation.model_validate(recipe), crop, fill)


def test_equal_keys_draw_equally_whatever_was_drawn_before():
    augment = make()
    first = augment(IMAGE, MASK, 0, 1, "id")
    others = [augment(IMAGE, MASK, *key) for key in ((0, 2, "id"), (1, 1, "id"), (0, 1, "other"))]
    again = make()(IMAGE, MASK, 0, 1, "id")
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert all((first[0] != other[0]).any() for other in others)


@given(st.integers(0, 10**6))
@settings(max_examples=25)
def test_mask_follows_image_and_crop_is_part_of_the_source(key):
    image, mask = make(**PLAIN)(IMAGE, MASK, key)
    assert image.shape == (32, 32, 3)
    np.testing.assert_array_equal(image[..., 0], mask * 40)
    windows = np.lib.stride_tricks.sliding_window_view(MASK, (32, 32))
    assert ((windows == mask).all((2, 3)) | (windows == mask[:, ::-1]).all((2, 3))).any()


def test_flips_happen_with_their_probability():
    def flipped(p):
        full = {"crop": MASK.shape, "flip": p} | PLAIN
        return [bool((make(**full)(IMAGE, MASK, key)[1] != MASK).any()) for key in range(40)]

    assert not any(flipped(0))
    assert all(flipped(1))
    assert 8 <= sum(flipped(0.5)) <= 32


def test_padding_is_ignored_and_gets_the_fill_colour():
    image, mask = make(crop=(64, 96), flip=0, **PLAIN)(IMAGE, MASK, 0)
    outside = mask == 255
    assert outside.sum() == 64 * 96 - MASK.size
    assert (image[outside] == (9, 8, 7)).all()
    np.testing.assert_array_equal(mask[~outside].reshape(MASK.shape), MASK)


def test_scaling_changes_object_size_and_invents_no_class():
    square = np.zeros((64, 64), np.uint8)
    square[16:48, 16:48] = 4
    image = np.repeat(square[..., None], 3, axis=2)
    areas = set()
    for key in range(12):
        _, mask = make(crop=(160, 160), scale=[0.5, 2.0], colour=0)(image, square, key)
        assert set(np.unique(mask)) <= {0, 4, 255}
        areas.add(int((mask == 4).sum()))
    assert min(areas) < 32 * 32 / 1.5
    assert max(areas) > 32 * 32 * 1.5


@pytest.mark.parametrize(
    ("installed", "told"),
    [({"albumentationsx": "2.5.1"}, "albumentationsx is installed"), ({"albumentations": "1.4.0"}, "1.4.0")],
)
def test_another_albumentations_is_refused(monkeypatch, installed, told):
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: installed.get(name) or real(name))
    with pytest.raises(Fuse2TaskError, match=told):
        make()
