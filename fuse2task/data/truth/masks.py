"""Class masks: reading, checking, counting pixels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fuse2task.data.classes import BINARY, find_palette
from fuse2task.data.dataset import Findings, MaskTruth, Pair
from fuse2task.data.images import IGNORED, SUFFIXES, read_mask
from fuse2task.data.truth.boxes import file_of, truth_files
from fuse2task.runtime.errors import RequestError

ONLY_255 = (
    f"the masks hold nothing but 0 and 255, and 255 is ignored: no class would be left; "
    f"where 255 is the object, say --palette {BINARY}, or write 1 for it"
)


GREY = (
    "values up to above 63, of which most never occur, and no classes.txt: grey levels, perhaps of softened edges, are "
    "no class indices; write indices, or name the classes"
)


def read_masks(
    folders: Sequence[Path], pairs: Sequence[Pair], classes: Sequence[str], palette: str | None = None
) -> tuple[MaskTruth, Findings]:
    """Masks of `pairs`; every file is decoded and checked.

    classes: names in index order; without any those of the palette, else `index_names`. palette: as of `read_mask`.
    Returns the truth, and findings: `missing-truth`, `bad-mask` (unreadable, lossy, not one channel, a colour that the
    palette lacks), `mask-size`, `mask-value` (neither a class index nor 255), `binary-mask` (all hold 0 and 255 alone);
    notes: `no-class-names`, `absent-class` (no pixel of a class, but some are 255).
    RequestError: no such palette, or one of other classes than are named.
    """
    own = palette_classes(palette, folders[0], classes)
    files, findings = truth_files(folders, SUFFIXES, pairs)
    masks: dict[str, Path] = {}
    values: dict[Path, set[int]] = {}
    coloured = False
    for pair in pairs:
        path = file_of(pair, files)
        if path is None:
            findings.add("missing-truth", f"{', '.join(map(str, folders))}: no mask for {pair.id}")
            continue
        masks[pair.id] = path
        try:
            mask = read_mask(path, palette)
        except RequestError as error:
            findings.add("bad-mask", error)
            continue
        if mask.shape != pair.size[::-1]:
            text = f"{path}: {mask.shape[1]}x{mask.shape[0]}, but the image is {pair.size[0]}x{pair.size[1]}"
            findings.add("mask-size", text)
        values[path] = set(np.unique(mask).tolist())
        coloured = coloured or (palette is not None and not _holds(path, mask))
    present: set[int] = set().union(*values.values())
    if not own:
        own = index_names(present)
        findings.add("no-class-names", f"{folders[0]}: {unnamed(own)}", note=True)
        if is_grey(present):
            findings.add("mask-value", f"{folders[0]}: {GREY}")
    for path, found in values.items():
        if unknown := sorted(found - {*range(len(own)), IGNORED}):
            text = f"{path}: values {unknown}; classes are 0 to {len(own) - 1}, and {IGNORED} is ignored"
            findings.add("mask-value", text)
    if present == {IGNORED}:
        findings.add(
            "binary-mask", f"{folders[0]}: every pixel is {IGNORED}, ignored; nothing is left to learn or count"
        )
    elif is_only_255(present, classes):
        findings.add("binary-mask", f"{folders[0]}: {ONLY_255}")
    elif IGNORED in present and (absent := [name for index, name in enumerate(own) if index not in present]):
        names = f"{', '.join(absent[:5])}{f' and {len(absent) - 5} more' if len(absent) > 5 else ''}"
        findings.add("absent-class", f"{folders[0]}: no pixel is {names}; some are {IGNORED}, ignored", note=True)
    # Index masks are the same truth with or without a palette, which then gives names alone.
    return MaskTruth(own, masks, palette if coloured else None), findings


def _holds(path: Path, indices: np.ndarray) -> bool:
    """Whether a mask has these indices without a palette."""
    try:
        return np.array_equal(read_mask(path), indices)
    except RequestError:
        return False


def palette_classes(palette: str | None, source: Path, named: Sequence[str] = ()) -> tuple[str, ...]:
    """Class names: `named` where there are any, else the palette's.

    RequestError: no such palette, or more or fewer names than it has colours.
    """
    if palette is None:
        return tuple(named)
    known = find_palette(palette)
    if named and len(named) != len(known.colours):
        raise RequestError(f"{source}: {len(named)} classes named, palette {palette} has {len(known.colours)} colours")
    return tuple(named) or known.classes or tuple(map(str, range(len(known.colours))))


def index_names(present: set[int]) -> tuple[str, ...]:
    """Names of classes that nothing names: "0", "1", ... up to the highest index among `present`."""
    return tuple(map(str, range(max(present - {IGNORED}, default=0) + 1)))


def unnamed(names: Sequence[str]) -> str:
    """What a report says of `index_names`."""
    return f"no classes.txt names the classes, so they are called by their index, 0 to {len(names) - 1}"


def is_only_255(present: set[int], classes: Sequence[str]) -> bool:
    """Whether a set of masks with these values leaves nothing but class 0, though several classes are meant."""
    return present == {0, IGNORED} and len(classes) != 1


def is_grey(present: set[int]) -> bool:
    """Whether the values of masks whose classes nothing names are grey levels: high, most of those below absent."""
    highest = max(present - {IGNORED}, default=0)
    return highest >= 64 and len(present - {IGNORED}) <= highest / 2


def pixel_counts(path: Path, palette: str | None = None) -> np.ndarray:
    """Pixels of each value of a mask: (256,) int64. RequestError: as `read_mask`."""
    return np.bincount(read_mask(path, palette).ravel(), minlength=256)
