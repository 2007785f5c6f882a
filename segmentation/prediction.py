"""Masks of a fused dataset, predicted, and sheets of image, truth and prediction for the eye."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fuse2task.data.classes import class_colours
from fuse2task.data.fused import FusedDataset, verify_images
from fuse2task.data.images import read_ahead, read_mask, write_image
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import refuse_overlap
from fuse2task.runtime.locks import sole_writer
from fuse2task.runtime.progress import Meter
from segmentation.evaluation import IGNORE
from segmentation.model import Segmenter

Colour = tuple[int, int, int]
OPACITY = 0.7
IGNORED: Colour = (255, 255, 255)
ROW, SWATCH, LETTER = 16, 10, 7  # legend geometry in pixels


def predict(segmenter: Segmenter, data: FusedDataset, split: str, out: Path, overlays: Path | None = None) -> int:
    """Write the mask of every image of `split` to `out`/<id>.png, 8-bit indices of the image's size; returns how many.
    overlays: where sheets of image, truth (if the dataset has masks) and prediction go; None for none. RequestError: no
    such split, images that are not as the manifest says, or the dataset's classes are not the segmenter's."""
    if data.truth == "masks" and data.classes != segmenter.classes:
        raise RequestError(
            f"{data.root}: its classes are {', '.join(data.classes)}, but the segmenter knows "
            f"{', '.join(segmenter.classes)}; train one on this dataset"
        )
    if overlays is not None and Path(overlays).resolve() == Path(out).resolve():
        raise RequestError(f"{overlays}: overlays would replace the masks; give another folder")
    for folder in (out, *([] if overlays is None else [overlays])):
        refuse_overlap(folder, *data.parts)
    verify_images(data, [split])
    names, images = data.ids(split), data.images(split)
    truths = data.masks(split) if overlays is not None and data.truth == "masks" else [None] * len(names)
    lock = sole_writer(out, Path(out) / ".lock")
    with lock, Meter(f"segmenting {split}", len(names)) as meter, contextlib.closing(read_ahead(images)) as shown:
        for name, image, truth in zip(names, shown, truths, strict=True):
            mask = segmenter(image)
            write_image(Path(out) / f"{name}.png", mask)
            if overlays is not None:
                known = None if truth is None else read_mask(truth)
                write_image(Path(overlays) / f"{name}.png", sheet(image, mask, segmenter.classes, known))
            meter.advance()
    return len(names)


def overlay(image: np.ndarray, mask: np.ndarray, colours: Sequence[Colour]) -> np.ndarray:
    """`image` (H, W, 3) uint8 with `mask` (H, W) laid over it; class 0 stays bare, 255 is white."""
    table = np.zeros((256, 3), np.float32)
    table[: len(colours)] = colours
    table[IGNORE] = IGNORED
    opacity = np.where(mask == 0, 0.0, OPACITY)[..., None].astype(np.float32)
    return np.rint((1 - opacity) * image + opacity * table[mask]).astype(np.uint8)


def sheet(
    image: np.ndarray, prediction: np.ndarray, classes: Sequence[str], truth: np.ndarray | None = None
) -> np.ndarray:
    """image | truth | prediction (without truth: image | prediction) over a legend; (H', W', 3) uint8 RGB."""
    colours = class_colours(classes)
    masks = [prediction] if truth is None else [truth, prediction]
    panels = np.concatenate([image, *(overlay(image, mask, colours) for mask in masks)], axis=1)
    return np.concatenate([panels, _legend(panels.shape[1], classes, colours)], axis=0)


def _legend(width: int, classes: Sequence[str], colours: Sequence[Colour]) -> np.ndarray:
    cell = min(SWATCH + 12 + LETTER * max(len(name) for name in classes), width)
    columns = max(width // cell, 1)
    canvas = Image.new("RGB", (width, ROW * -(-len(classes) // columns)), (32, 32, 32))
    draw = ImageDraw.Draw(canvas)
    for index, (name, colour) in enumerate(zip(classes, colours, strict=True)):
        left, top = index % columns * cell + 3, index // columns * ROW + 3
        draw.rectangle((left, top, left + SWATCH, top + SWATCH), fill=colour, outline=(128, 128, 128))
        draw.text((left + SWATCH + 4, top - 1), name, fill=(255, 255, 255))
    return np.array(canvas)
