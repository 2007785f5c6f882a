"""Images in and out: 8 bits, nothing converted in silence."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fuse2task.data import images
from fuse2task.data.images import (
    as_rgb,
    encode_png,
    image_size,
    luma,
    read_infrared,
    read_mask,
    read_visible,
    with_chroma_of,
    write_image,
)
from fuse2task.runtime.errors import RequestError

RGB = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)


@settings(max_examples=25)
@given(height=st.integers(1, 40), width=st.integers(1, 40), colour=st.booleans(), seed=st.integers(0, 99))
def test_png_is_lossless_at_every_size(height, width, colour, seed):
    shape = (height, width, 3) if colour else (height, width)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(encode_png(pixels)))), pixels)


def test_channels_are_red_green_blue_for_other_readers(tmp_path):
    write_image(tmp_path / "a.png", RGB)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "a.png")), RGB)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png"))[..., ::-1], RGB)
    assert image_size(tmp_path / "a.png") == (7, 9)


def test_palette_images_are_expanded_and_palette_masks_are_not(tmp_path):
    indices = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = Image.fromarray(indices, "P")
    image.putpalette([value for i in range(256) for value in (i, 255 - i, 7)])
    image.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "p.png"), indices)
    visible = read_visible(tmp_path / "p.png")
    assert visible.shape == (3, 4, 3)
    assert tuple(visible[1, 2]) == (6, 249, 7)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((4, 5), 40_000, np.uint16), "more than 8 bits"),
        (np.full((4, 5, 3), 40_000, np.uint16), "more than 8 bits"),
        (np.full((4, 5, 4), 128, np.uint8), "fourth channel"),
    ],
)
def test_16_bit_and_4_channel_images_are_refused(tmp_path, pixels, message):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), pixels)
    with pytest.raises(RequestError, match=message):
        read_visible(path)
    with pytest.raises(RequestError, match=message):
        read_infrared(path)
    with pytest.raises(RequestError):
        read_mask(path)


@pytest.mark.parametrize("kept", [0, 20, 60, 0.5, 0.9])
def test_damaged_files_are_refused(tmp_path, kept):
    data = encode_png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    path = tmp_path / "cut.png"
    path.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    with pytest.raises(RequestError, match=r"cut\.png"):
        read_visible(path)


def test_what_is_missing_or_no_image_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    for path in (tmp_path / "a.png", tmp_path / "none.png", tmp_path):
        with pytest.raises(RequestError, match=str(path)):
            image_size(path)


def test_bombs_are_refused_from_their_header(tmp_path, monkeypatch):
    write_image(tmp_path / "a.png", np.zeros((40, 40), np.uint8))
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    with pytest.raises(RequestError, match="bomb"):
        read_visible(tmp_path / "a.png")


def test_three_channel_infrared_with_black_borders(tmp_path):
    plane = np.zeros((8, 10), np.uint8)
    plane[2:6, 3:9] = 200
    write_image(tmp_path / "ir.png", as_rgb(plane))
    np.testing.assert_array_equal(read_infrared(tmp_path / "ir.png"), plane)
    write_image(tmp_path / "false.png", RGB)
    np.testing.assert_array_equal(read_infrared(tmp_path / "false.png"), luma(RGB))


def test_exif_orientation_is_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert read_visible(tmp_path / "a.jpg").shape == RGB.shape


def test_luma_is_bt601_and_grey_stays_grey():
    expected = RGB @ np.array([0.299, 0.587, 0.114])
    assert np.abs(luma(RGB) - expected).max() <= 0.51
    grey = RGB[..., 0]
    assert luma(grey) is grey
    np.testing.assert_array_equal(with_chroma_of(grey, grey), as_rgb(grey))


def test_images_of_other_types_are_not_written(tmp_path):
    with pytest.raises(TypeError, match="uint8"):
        write_image(tmp_path / "a.png", RGB.astype(np.float32))
