"""Fusing loose folders of images: no labels, no manifest, just pictures."""

from pathlib import Path

from fuse2task.data.dataset import Dataset
from fuse2task.data.images import read_infrared, read_visible, write_image
from fuse2task.runtime.progress import Meter
from fusion.fused_plan import Colour
from fusion.methods.base import Method


def fuse_pairs(dataset: Dataset, method: Method, out: Path, color: Colour = "rgb") -> int:
    """Write `out/<id>.png` for every pair; returns how many. Existing files of those names are replaced.

    Raises:
        RequestError: the method cannot fuse a pair, or an image is unreadable.
    """
    method.check(dataset.pairs)
    with Meter(method.name, len(dataset.pairs), "pairs") as meter:
        for pair in dataset.pairs:
            fused = method.fuse(pair, read_infrared(pair.infrared), read_visible(pair.visible))
            write_image(Path(out) / f"{pair.id}.png", fused.rgb if color == "rgb" else fused.gray)
            meter.advance()
    return len(dataset.pairs)
