"""Fusing loose folders of images: no labels, no manifest, just pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fuse2task.data.dataset import Dataset, Pair
from fuse2task.data.images import read_infrared, read_visible, write_image
from fuse2task.runtime.allocation import keep_freed_memory
from fuse2task.runtime.locks import sole_writer
from fuse2task.runtime.overlap import overlapped
from fuse2task.runtime.progress import Meter, say
from fuse2task.runtime.stopwatch import Stopwatch
from fusion.batching import in_batches
from fusion.fused_plan import Colour
from fusion.methods.base import Method


def fuse_pairs(dataset: Dataset, method: Method, out: Path, color: Colour = "rgb") -> int:
    """Write `out/<id>.png` for every pair; returns how many. Existing files of those names are replaced.

    Files are read and written by threads while the method fuses in this one.

    Raises:
        RequestError: the method cannot fuse a pair, or an image is unreadable.
    """
    method.check(dataset.pairs)
    keep_freed_memory()
    stopwatch = Stopwatch()

    def load(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        with stopwatch.timing("decode"):
            return read_infrared(pair.infrared), read_visible(pair.visible)

    def fuse(group: Sequence[Pair], images: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
        with stopwatch.timing("fuse"):
            made = method.fuse_batch(group, images)
        return [fused.rgb if color == "rgb" else fused.gray for fused in made]

    def store(pair: Pair, pixels: np.ndarray) -> None:
        with stopwatch.timing("encode and write"):
            write_image(Path(out) / f"{pair.id}.png", pixels)

    lock = sole_writer(out, Path(out) / ".lock")
    with lock, Meter(method.name, len(dataset.pairs), "pairs") as meter:
        groups = in_batches(dataset.pairs, method.batch_pixels)
        overlapped(groups, load, fuse, store, meter.advance, stopwatch)
    say(f"{method.name}: {stopwatch.summary(len(dataset.pairs), 'pairs')}")
    return len(dataset.pairs)
