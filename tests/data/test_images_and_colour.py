"""Images in and out: 8 bits, nothing converted in silence."""

import io
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, TiffImagePlugin

from fuse2task.data import images
from fuse2task.data.images import (
    as_rgb,
    encode_png,
    image_size,
    luma,
    read_ahead,
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
    with pytest.raises(RequestError, match=r"a\.png: a label mask is one 8-bit channel"):
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


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright_as_exif_says_in_every_format(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGB).save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    expected = np.array(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    np.testing.assert_array_equal(read_visible(path), expected)
    assert image_size(path) == expected.shape[1::-1]
    assert expected.shape == (RGB.shape if orientation < 5 else (7, 9, 3))
    assert read_infrared(path).shape == expected.shape[:2]


def test_masks_are_upright_as_their_images(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(mask).save(tmp_path / "m.png", exif=exif)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), np.rot90(mask, -1))
    Image.fromarray(as_rgb(mask)).save(tmp_path / "equal.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "equal.png"), mask)


def test_orientation_after_the_pixels_is_refused(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    write_image(tmp_path / "a.png", RGB)
    data, body = (tmp_path / "a.png").read_bytes(), exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = len(body).to_bytes(4, "big") + b"eXIf" + body + zlib.crc32(b"eXIf" + body).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(data[:-12] + chunk + data[-12:])
    with pytest.raises(RequestError, match="orientation comes after the pixels"):
        read_visible(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("mode", "suffix", "message"),
    [
        ("CMYK", "tif", "colours as CMYK"), ("CMYK", "jpg", "colours as CMYK"), ("LAB", "tif", "colours as LAB"),
        ("YCbCr", "tif", "colours as YCbCr"), ("1", "png", "1-bit"), ("F", "tif", "more than 8 bits"),
    ],
)  # fmt: skip
def test_other_colour_spaces_are_refused_by_their_name(tmp_path, mode, suffix, message):
    image = Image.fromarray(RGB).convert("L").convert("F") if mode == "F" else Image.fromarray(RGB).convert(mode)
    image.save(tmp_path / f"a.{suffix}")
    with pytest.raises(RequestError, match=message):
        read_visible(tmp_path / f"a.{suffix}")


def test_what_loses_nothing_is_read(tmp_path):
    Image.fromarray(RGB).convert("RGBA").save(tmp_path / "opaque.png")
    np.testing.assert_array_equal(read_visible(tmp_path / "opaque.png"), RGB)
    Image.fromarray(luma(RGB)).convert("LA").save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_visible(tmp_path / "grey.png"), luma(RGB))
    palette = Image.fromarray(np.array([[0, 1], [1, 1]], np.uint8), "P")
    palette.putpalette([1, 2, 3, 40, 50, 60, 7, 8, 9])
    palette.save(tmp_path / "unused.png", transparency=2)
    assert read_visible(tmp_path / "unused.png")[0].tolist() == [[1, 2, 3], [40, 50, 60]]
    palette.save(tmp_path / "used.png", transparency=1)
    with pytest.raises(RequestError, match="a palette with transparent colours"):
        read_visible(tmp_path / "used.png")
    Image.fromarray(luma(RGB)).save(tmp_path / "a.pgm")
    np.testing.assert_array_equal(read_infrared(tmp_path / "a.pgm"), luma(RGB))


@pytest.mark.parametrize("suffix", ["tif", "png", "webp"])
def test_files_of_several_frames_are_refused(tmp_path, suffix):
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    for read in (image_size, read_visible, read_infrared):
        with pytest.raises(RequestError, match="several frames"):
            read(tmp_path / f"a.{suffix}")


def test_a_preview_in_a_tiff_is_no_frame(tmp_path):
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    directory[254] = 1
    small = Image.fromarray(RGB[::2, ::2].copy())
    small.encoderinfo = {"tiffinfo": directory}
    Image.fromarray(RGB).save(tmp_path / "a.tif", save_all=True, append_images=[small])
    np.testing.assert_array_equal(read_visible(tmp_path / "a.tif"), RGB)


def test_luma_is_bt601_and_grey_stays_grey():
    expected = RGB @ np.array([0.299, 0.587, 0.114])
    assert np.abs(luma(RGB) - expected).max() <= 0.51
    grey = RGB[..., 0]
    assert luma(grey) is grey
    np.testing.assert_array_equal(with_chroma_of(grey, grey), as_rgb(grey))


def test_images_of_other_types_are_not_written(tmp_path):
    with pytest.raises(TypeError, match="uint8"):
        write_image(tmp_path / "a.png", RGB.astype(np.float32))


def test_images_read_ahead_are_those_read_one_by_one(tmp_path):
    files = [tmp_path / f"{number}.png" for number in range(6)]
    for number, file in enumerate(files):
        shape = (4, 6) if number == 2 else (4, 6, 3)
        write_image(file, np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8))
    for file, image in zip(files, read_ahead(files), strict=True):
        np.testing.assert_array_equal(image, as_rgb(read_visible(file)))
    files[3].write_bytes(b"damaged")
    images = read_ahead(files)
    assert [next(images).shape for _ in range(3)] == [(4, 6, 3)] * 3
    with pytest.raises(RequestError, match=r"3\.png"):
        next(images)
