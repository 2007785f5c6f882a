"""Reading and writing 8-bit images; BT.601 luma and chroma."""

import contextlib
import io
import os
import warnings
from collections.abc import Generator, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Literal

import cv2
import numpy as np
from PIL import ExifTags, Image

from fuse2task.data.classes import BINARY, find_palette
from fuse2task.data.dataset import Pair
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import write_bytes
from fuse2task.runtime.reading import check_regular, one_line

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
# Pillow's other readers (one calls Ghostscript) are not asked.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")


def _most_pixels() -> int:
    given = os.environ.get("FUSE2TASK_MAX_PIXELS", "40_000_000")
    try:
        return int(given)
    except ValueError:
        raise RequestError(f"FUSE2TASK_MAX_PIXELS={given}: not a whole number of pixels") from None


MAX_PIXELS = _most_pixels()
"""Pixels from which a file is taken for a decompression bomb; the environment variable sets another limit."""
MAX_FILE = 512 * 2**20  # bytes
JPEG_PIXELS = 1024  # a byte; every block of 64 takes at least a bit, and what is missing libjpeg makes up
WHITE = 250  # grey level from which a border is one
Camera = Literal["infrared", "visible"]
CAMERAS: tuple[Camera, ...] = ("infrared", "visible")
OTHER: dict[Camera, Camera] = {"infrared": "visible", "visible": "infrared"}
"""Each camera's partner."""
MAX_SCANS = 100  # of a progressive JPEG; encoders write about ten, and each costs as much as decoding the image
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""What makes an image upright, by EXIF orientation."""
Image.MAX_IMAGE_PIXELS = None  # our own limit is checked from the header, before any decoding


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) of the upright image, from the file's header. RequestError: as `image_header`."""
    return image_header(path)[0]


def image_header(path: Path) -> tuple[tuple[int, int], int]:
    """As `image_size`, and the number of pictures in the file: a JPEG may hold others beside its own (MPO).

    RequestError: missing, not an image, several frames, more than `MAX_PIXELS` pixels, or another kind of bomb.
    """
    with _opened(path) as image:
        upright = image.size[::-1] if _orientation(image) >= 5 else image.size
        return upright, getattr(image, "n_frames", 1) if image.format == "MPO" else 1


def exif_time(path: Path) -> datetime | None:
    """When an image was recorded, as its EXIF data say, with fractions of a second; None where they do not.

    RequestError: as `image_header`.
    """
    with _opened(path) as image:
        try:
            exif = Image.Image.getexif(image)
            details = exif.get_ifd(ExifTags.IFD.Exif)
            text = details.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
            fraction = str(details.get(ExifTags.Base.SubsecTimeOriginal) or "").strip("\0 ")
            whole = datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S")
            return whole + timedelta(seconds=float(f"0.{fraction}") if fraction.isdecimal() else 0.0)
        except Exception:  # EXIF of strangers: damaged, of another form, not there
            return None


def read_counts(path: Path) -> np.ndarray:
    """Infrared as its camera recorded it: (H, W) uint16 where the file has one channel of 16 bits, else what
    `read_infrared` gives. RequestError: as `read_visible`."""
    with _opened(path) as image:
        raw = _raw(image)
        # Pillow opens PGM of 16 bits as 32-bit numbers; a brightest value other than 65535 it stretches to that.
        if image.mode.startswith("I") and "I;16" in raw and "I;16S" not in raw:
            return np.array(_upright(path, image)).astype(np.uint16)
    return read_infrared(path)


def read_visible(path: Path) -> np.ndarray:
    """A visible image, upright as EXIF says: (H, W, 3) uint8 RGB, or (H, W) uint8 where the file is grey.

    What loses nothing is done: palettes become their colours, an opaque alpha channel goes. RequestError: unreadable or
    truncated, several frames, more or less than 8 bits, another colour space, an alpha or fourth channel.
    """
    with _opened(path) as image:
        mode = image.mode
        if _is_deep(image):
            fix = "convert it to 8 bits with a range you choose"
            raise RequestError(f"{path}: {mode} with more than 8 bits a channel; {fix}")
        if mode == "1":
            raise RequestError(f"{path}: a 1-bit image; a camera image has 8 bits a channel")
        if mode not in ("L", "RGB", "P", "LA", "PA", "RGBA"):
            fix = "convert it to RGB or grey yourself"
            raise RequestError(f"{path}: colours as {mode}, which lose something in RGB; {fix}")
        image = _upright(path, image)
        flat = (image.getpalette("RGB") or []) if mode == "P" else []
        grey = mode in ("L", "LA", "P") and flat[0::3] == flat[1::3] == flat[2::3]
        if mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
            image = image.convert("RGBA")
            if image.getchannel("A").getextrema() != (255, 255):
                where = "a palette with transparent colours" if mode == "P" else "an alpha or fourth channel"
                parts = "a 3-channel visible image and a 1-channel infrared image"
                raise RequestError(f"{path}: {mode} with {where}; split it into {parts}")
        return np.array(image if image.mode in ("L", "RGB") else image.convert("L" if grey else "RGB"))


def read_camera(pair: Pair, camera: Camera) -> np.ndarray:
    """The pixels of one camera of a pair, without its border: as `read_visible`, (H, W, 3) or (H, W) uint8.

    RequestError: as `read_visible`; of a packed pair, another mode than RGBA.
    """
    path = pair.infrared if camera == "infrared" else pair.visible
    if pair.packed:
        with _opened(path) as image:
            if image.mode != "RGBA" or _is_deep(image):
                raise RequestError(f"{path}: {image.mode}, but a pair in one file has four channels of 8 bits")
            four = np.array(_upright(path, image))
        pixels = four[..., 3] if camera == "infrared" else four[..., :3]
    else:
        pixels = read_visible(path)
    height, width = pixels.shape[:2]
    inner = slice(pair.border, height - pair.border), slice(pair.border, width - pair.border)
    return np.ascontiguousarray(pixels[inner])


def read_pair(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Infrared (H, W), as `read_infrared`, and visible (H, W, 3) or (H, W), both uint8, of a pair."""
    return one_channel(read_camera(pair, "infrared")), read_camera(pair, "visible")


def has_border(path: Path, width: int) -> bool:
    """Whether the outermost `width` pixels of an image are white; those next to its content may be blurred by JPEG."""
    pixels, sure = luma(read_visible(path)), width - 8
    strips = pixels[:sure], pixels[-sure:], pixels[:, :sure], pixels[:, -sure:]
    return min(pixels.shape) > 2 * width and all(bool(strip.mean() > WHITE) for strip in strips)


def read_infrared(path: Path) -> np.ndarray:
    """An infrared image as (H, W) uint8.

    Three-channel files (M3FD stores them so) give their common channel, or the BT.601 luma where the channels differ
    (JPEG chroma, false colour: `data check` reports the latter). RequestError: as `read_visible`.
    """
    return one_channel(read_visible(path))


def one_channel(pixels: np.ndarray) -> np.ndarray:
    """(H, W) from (H, W) or (H, W, 3) uint8: the common channel, or the luma where the channels differ."""
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        return np.ascontiguousarray(pixels[..., 0])
    return luma(pixels)


IGNORED = 255  # value of a mask's pixels that are not counted


def read_mask(path: Path, palette: str | None = None) -> np.ndarray:
    """A label mask as (H, W) uint8 class indices; a palette PNG gives its indices, not its colours.

    palette: a name in `classes.PALETTES`. Colours, those of a palette PNG too, then become the indices that they stand
    for and 255 for void; one grey channel holds indices already. Of `binary`, 255 (or 1) is class 1 in any form.

    RequestError: unreadable, of a format that changes values (JPEG, lossy WebP), not one 8-bit channel without a
    palette, a colour that is not in it, or no such palette.
    """
    known = find_palette(palette) if palette else None
    with _opened(path) as image:
        if lossy := _lossy(path, image):
            raise RequestError(f"{path}: a label mask as {lossy}, which changes class indices; save masks as PNG")
        modes = ("L", "P", "RGB", "1") if palette == BINARY else ("L", "P", "RGB")
        if image.mode in modes and not _is_deep(image):
            upright = _upright(path, image)
            if image.mode == "1" or (known and image.mode == "P"):
                upright = upright.convert("L" if image.mode == "1" else "RGB")
            pixels = np.array(upright)
            same = pixels.ndim == 2 or bool((pixels == pixels[..., :1]).all())
            if palette == BINARY and same:
                return _from_binary(path, pixels if pixels.ndim == 2 else pixels[..., 0])
            if known and pixels.ndim == 3:
                return _from_colours(path, pixels, str(palette))
            if same:
                return pixels if pixels.ndim == 2 else pixels[..., 0].copy()
        raise RequestError(
            f"{path}: a label mask is one 8-bit channel of class indices, this one is {image.mode}; "
            "name the palette of its colours (--palette), or convert them to indices first"
        )


def _lossy(path: Path, image: Image.Image) -> str:
    """The name of the lossy compression of an opened image, or nothing."""
    if image.format in ("JPEG", "MPO"):
        return "JPEG"
    if image.format == "TIFF" and str(image.info.get("compression")) in ("jpeg", "tiff_jpeg", "webp"):
        return "TIFF with lossy compression"
    if image.format == "WEBP":
        return "" if _has_chunk(path, b"VP8L") else "lossy WebP"
    return ""


def _has_chunk(path: Path, wanted: bytes) -> bool:
    """Whether a RIFF file has a chunk of this name; each is name, length, content, and padding to an even length."""
    with path.open("rb") as handle:
        handle.seek(12)
        while len(name := handle.read(4)) == 4:
            if name == wanted:
                return True
            length = int.from_bytes(handle.read(4), "little")
            handle.seek(length + length % 2, os.SEEK_CUR)
    return False


def _from_binary(path: Path, pixels: np.ndarray) -> np.ndarray:
    values = set(np.unique(pixels).tolist())
    if not values <= {0, 1} and not values <= {0, IGNORED}:
        raise RequestError(f"{path}: values {sorted(values)[:10]}; palette {BINARY} is of 0 and 255, or of 0 and 1")
    return (pixels > 0).astype(np.uint8)


def _from_colours(path: Path, pixels: np.ndarray, name: str) -> np.ndarray:
    palette = find_palette(name)
    codes = pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    numbers = [*range(len(palette.colours)), *(IGNORED for _ in palette.void)]
    table = dict(zip([r << 16 | g << 8 | b for r, g, b in palette.colours + palette.void], numbers, strict=True))
    found, inverse = np.unique(codes, return_inverse=True)
    if strange := [code for code in found.tolist() if code not in table]:
        shown = ", ".join(str((code >> 16, code >> 8 & 255, code & 255)) for code in strange[:5])
        more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
        raise RequestError(f"{path}: colours {shown}{more} are not in palette {name}; name another, or redraw them")
    return np.array([table[code] for code in found.tolist()], np.uint8)[inverse.reshape(codes.shape)]


def encode_png(pixels: np.ndarray) -> bytes:
    """Lossless PNG bytes of (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA uint8; equal pixels give equal bytes."""
    if pixels.dtype != np.uint8:
        raise TypeError(f"images are written as uint8, not {pixels.dtype}")
    four = pixels.ndim == 3 and pixels.shape[2] == 4
    ordered = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA if four else cv2.COLOR_RGB2BGR)
    done, buffer = cv2.imencode(".png", ordered)  # default level: 9x faster than Pillow's, a few percent larger
    if not done:
        raise RuntimeError(f"OpenCV could not encode an image of shape {pixels.shape}")
    return buffer.tobytes()


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write (H, W) grey or (H, W, 3) RGB uint8 as a PNG, atomically."""
    write_bytes(path, encode_png(pixels))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The image behind a path or an upload in memory, opened once; its header has been checked, its pixels not."""
    if not isinstance(path, io.BytesIO):  # an upload is in memory
        check_regular(path, "image", MAX_FILE)
    with contextlib.ExitStack() as stack:
        try:
            handle = path if isinstance(path, io.BytesIO) else stack.enter_context(Path(path).open("rb"))
        except OSError as error:
            raise RequestError(f"{path}: cannot be read ({error.strerror}); replace the file") from None
        handle.seek(0)
        head = handle.read(30)
        handle.seek(0)
        # Pillow's reader of WebP makes room for the whole canvas before it reports the size.
        if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) == 30:
            _refuse_bomb(path, *(1 + int.from_bytes(head[at : at + 3], "little") for at in (24, 27)))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image = Image.open(handle, formats=FORMATS)
            several = image.format != "MPO" and _has_frames(image)
        except Exception:  # Pillow's readers raise whatever they stumble on in a damaged file
            raise RequestError(f"{path}: not a readable image; replace the file") from None
        with image:
            _refuse_bomb(path, *image.size)
            if several:
                raise RequestError(f"{path}: holds several frames; save each as an image of its own")
            if image.format in ("JPEG", "MPO"):
                _refuse_jpeg_bomb(path, image, handle)
            yield image


def _refuse_jpeg_bomb(path: Path, image: Image.Image, handle: BinaryIO) -> None:
    place = handle.tell()
    if image.width * image.height > JPEG_PIXELS * handle.seek(0, os.SEEK_END):
        raise RequestError(f"{path}: too short for a JPEG of {image.width}x{image.height}; replace the file")
    handle.seek(0)
    if image.info.get("progressive") and handle.read().count(b"\xff\xda") > MAX_SCANS:
        raise RequestError(f"{path}: a JPEG of more than {MAX_SCANS} scans; refused as a bomb")
    handle.seek(place)


def _refuse_bomb(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise RequestError(
            f"{path}: {width}x{height} is more than {MAX_PIXELS} pixels; refused as a bomb "
            "(FUSE2TASK_MAX_PIXELS sets another limit)"
        )


def _has_frames(image: Image.Image) -> bool:
    if image.format != "TIFF":
        return bool(getattr(image, "is_animated", False))
    try:
        image.seek(1)
    except EOFError:
        return False
    preview = image.tag_v2.get(254, 0) & 1  # type: ignore[attr-defined]  # NewSubfileType: a reduced image
    image.seek(0)
    return not preview


def _orientation(image: Image.Image) -> int:
    """EXIF or XMP orientation in the header, 1 to 8; 1 for TIFF, which Pillow turns itself."""
    if image.format == "TIFF":
        return 1
    try:
        value = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:  # EXIF that cannot be read turns nothing, here as in viewers
        return 1
    return value if value in _TURNS else 1


def _upright(path: Path, image: Image.Image) -> Image.Image:
    """The image with its pixels, turned as EXIF says."""
    try:
        exif = image.info.get("exif")
        orientation = _orientation(image)
        image.load()
        late = Image.Exif()
        if image.info.get("exif") != exif and image.format == "PNG":
            late.load(image.info["exif"])
    except Exception as error:  # as in `_opened`
        raise RequestError(f"{path}: damaged image ({one_line(error)}); replace the file") from None
    if late.get(ExifTags.Base.Orientation, 1) != 1:
        raise RequestError(f"{path}: its EXIF orientation comes after the pixels; save the image again, upright")
    return image.transpose(_TURNS[orientation]) if orientation > 1 else image


def _is_deep(image: Image.Image) -> bool:
    # Pillow silently reduces 16-bit colour PNG to 8 bits; only the decoder's arguments show it.
    return ";16" in _raw(image) or image.mode.startswith("I") or image.mode == "F"


def _raw(image: Image.Image) -> str:
    """Forms of the pixels in an opened file, in Pillow's words."""
    return " ".join(str(tile[3]) for tile in getattr(image, "tile", []))


def luma(visible: np.ndarray) -> np.ndarray:
    """Y of OpenCV's 8-bit YCrCb: (H, W) uint8 from (H, W, 3) RGB or (H, W) grey uint8."""
    return visible if visible.ndim == 2 else cv2.cvtColor(visible, cv2.COLOR_RGB2YCrCb)[..., 0]


def with_chroma_of(fused: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """(H, W, 3) RGB uint8 with the luma of `fused` (H, W) and the Cr, Cb of `visible`; grey stays grey."""
    if visible.ndim == 2:
        return as_rgb(fused)
    ycrcb = cv2.cvtColor(visible, cv2.COLOR_RGB2YCrCb)
    ycrcb[..., 0] = fused
    return cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2RGB)


def as_rgb(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) from (H, W) by repetition; (H, W, 3) is returned as it is."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def read_ahead(paths: Sequence[Path]) -> Generator[np.ndarray, None, None]:
    """Each image in turn, (H, W, 3) uint8 RGB of three equal channels where the file is grey; a thread decodes the next
    ones meanwhile. RequestError: as `read_visible`, when the image is due."""
    from concurrent.futures import ThreadPoolExecutor

    from fuse2task.runtime.overlap import SPARE, ahead

    with ThreadPoolExecutor(1, "images") as reader:
        yield from ahead(paths, lambda path: as_rgb(read_visible(path)), reader, 1 + SPARE)
