"""Folders of fused images beside their sources: matched by id, checked, and decoded in batches by threads."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path

import numpy as np

from fuse2task.data.dataset import Pair, defects, files_by_id
from fuse2task.data.images import SUFFIXES, image_size, read_visible
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import file_digest
from fuse2task.runtime.overlap import SPARE, ahead, in_batches
from fusion.quality.definitions import Profile


@dataclass(frozen=True)
class Triple:
    """A pair with its fused images, by method."""

    pair: Pair
    fused: Mapping[str, Path]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of every image of it."""
        return self.pair.size


@dataclass(frozen=True)
class DecodedTriple:
    """The pixels of a triple as the profile prepares them, fused images by method, and the digests of the files."""

    id: str
    infrared: np.ndarray
    visible: np.ndarray
    fused: Mapping[str, np.ndarray]
    digests: Mapping[str, list[str]]


def match_folders(pairs: Sequence[Pair], folders: Mapping[str, Path]) -> list[Triple]:
    """Every pair with its file in every folder; nothing is left out or resized.

    Args:
        folders: method -> folder with one image a pair, named by its id.

    Raises:
        RequestError: no pairs or folders, a folder that is missing, ids that only one side has, two files for one
            id, sizes that differ from the pair's; all of them are listed.
    """
    if not pairs or not folders:
        raise RequestError("nothing to score: give at least one pair and one folder of fused images")
    found = {method: _files(folder) for method, folder in folders.items()}
    wanted = {pair.id for pair in pairs}
    problems = []
    for method, files in found.items():
        problems += [f"{folders[method]}: no fused image {name}" for name in sorted(wanted - files.keys())]
        problems += [f"{path}: there is no such pair" for name, path in sorted(files.items()) if name not in wanted]
    if not problems:
        for pair in pairs:
            for files in found.values():
                size = image_size(files[pair.id])
                if size != pair.size:
                    sizes = [f"{width}x{height}" for width, height in (size, pair.size)]
                    problems.append(f"{files[pair.id]}: {sizes[0]}, but the pair is {sizes[1]}")
    if problems:
        raise RequestError(f"{len(problems)} fused images do not fit the pairs\n{listing(problems)}")
    return [Triple(pair, {method: files[pair.id] for method, files in found.items()}) for pair in pairs]


def batches(triples: Sequence[Triple], profile: Profile, workers: int, pixels: int) -> Iterator[list[DecodedTriple]]:
    """Batches of one size whose sources have equal shapes: as many as `pixels` hold, at least one.

    `workers` threads decode ahead of their use: the next batch, or a little more.
    """
    groups = in_batches(triples, pixels)
    bound = max(workers + SPARE, *map(len, groups))
    with ThreadPoolExecutor(workers) as pool:
        decoded = ahead(chain.from_iterable(groups), lambda triple: _decode(triple, profile), pool, bound)
        for group in groups:
            batch = islice(decoded, len(group))
            # A profile that keeps colour has grey and colour files of one size in unlike shapes.
            for _, part in groupby(batch, key=lambda item: (item.infrared.shape, item.visible.shape)):
                yield list(part)


def _files(folder: Path) -> dict[str, Path]:
    if not Path(folder).is_dir():
        raise RequestError(f"{folder}: no such folder of fused images")
    files, findings = files_by_id(Path(folder), SUFFIXES)
    if bad := defects(findings):
        raise RequestError(f"{folder}: unusable names\n{listing(finding.message for finding in bad)}")
    return files


def _decode(triple: Triple, profile: Profile) -> DecodedTriple:
    sources = triple.pair.infrared, triple.pair.visible
    infrared, visible = (profile.prepare(read_visible(path)) for path in sources)
    known = [file_digest(path) for path in sources]
    return DecodedTriple(
        triple.pair.id, infrared, visible,
        fused={method: profile.prepare(read_visible(path)) for method, path in triple.fused.items()},
        digests={method: [*known, file_digest(path)] for method, path in triple.fused.items()},
    )  # fmt: skip
