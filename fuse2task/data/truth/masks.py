"""Class masks: reading, checking, counting pixels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fuse2task.data.dataset import Findings, MaskTruth, Pair
from fuse2task.data.images import SUFFIXES, read_mask
from fuse2task.data.truth.boxes import file_of, truth_files
from fuse2task.runtime.errors import RequestError

IGNORED = 255


def read_masks(folders: Sequence[Path], pairs: Sequence[Pair], classes: Sequence[str]) -> tuple[MaskTruth, Findings]:
    """Masks of `pairs`; every file is decoded and checked.

    Returns the truth, and findings: `missing-truth`, `bad-mask` (unreadable, not one channel), `mask-size`,
    `mask-value` (neither a class index nor 255).
    """
    files, findings = truth_files(folders, SUFFIXES, pairs)
    masks: dict[str, Path] = {}
    for pair in pairs:
        path = file_of(pair, files)
        if path is None:
            findings.add("missing-truth", f"{', '.join(map(str, folders))}: no mask for {pair.id}")
            continue
        masks[pair.id] = path
        try:
            mask = read_mask(path)
        except RequestError as error:
            findings.add("bad-mask", error)
            continue
        if mask.shape != pair.size[::-1]:
            text = f"{path}: {mask.shape[1]}x{mask.shape[0]}, but the image is {pair.size[0]}x{pair.size[1]}"
            findings.add("mask-size", text)
        unknown = sorted(set(np.unique(mask).tolist()) - {*range(len(classes)), IGNORED})
        if unknown:
            text = f"{path}: values {unknown}; classes are 0 to {len(classes) - 1}, and {IGNORED} is ignored"
            findings.add("mask-value", text)
    return MaskTruth(tuple(classes), masks), findings


def pixel_counts(path: Path) -> np.ndarray:
    """Pixels of each value of a mask: (256,) int64."""
    return np.bincount(read_mask(path).ravel(), minlength=256)
