"""Predicting the masks of a fused dataset."""

from pathlib import Path

from fuse2task.data.fused import FusedDataset, verify_images
from fuse2task.data.images import as_rgb, read_mask, read_visible, write_image
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.locks import sole_writer
from fuse2task.runtime.progress import Meter
from segmentation.model import Segmenter
from segmentation.overlay import sheet


def predict(segmenter: Segmenter, data: FusedDataset, split: str, out: Path, overlays: Path | None = None) -> int:
    """Write the mask of every image of `split` to `out`/<id>.png, 8-bit indices of the image's size.

    Args:
        overlays: where sheets of image, truth (if the dataset has masks) and prediction go; None for none.

    Returns:
        How many images there were.

    Raises:
        RequestError: no such split, images that are not as the manifest says, or the dataset's classes are not the
            segmenter's.
    """
    if data.truth == "masks" and data.classes != segmenter.classes:
        raise RequestError(
            f"{data.root}: its classes are {', '.join(data.classes)}, but the segmenter knows "
            f"{', '.join(segmenter.classes)}; train one on this dataset"
        )
    if overlays is not None and Path(overlays).resolve() == Path(out).resolve():
        raise RequestError(f"{overlays}: overlays would replace the masks; give another folder")
    verify_images(data, [split])
    names, images = data.ids(split), data.images(split)
    truths = data.masks(split) if overlays is not None and data.truth == "masks" else [None] * len(names)
    lock = sole_writer(out, Path(out) / ".lock")
    with lock, Meter(f"segmenting {split}", len(names)) as meter:
        for name, path, truth in zip(names, images, truths, strict=True):
            image = as_rgb(read_visible(path))
            mask = segmenter(image)
            write_image(Path(out) / f"{name}.png", mask)
            if overlays is not None:
                known = None if truth is None else read_mask(truth)
                write_image(Path(overlays) / f"{name}.png", sheet(image, mask, segmenter.classes, known))
            meter.advance()
    return len(names)
