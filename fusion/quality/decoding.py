"""Decoded pairs with their fused images, in batches of one size, read ahead by threads."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, groupby, islice

import numpy as np

from fuse2task.data.images import read_visible
from fuse2task.runtime.files import file_digest
from fuse2task.runtime.overlap import SPARE, ahead, in_batches
from fusion.quality.definitions import Profile
from fusion.quality.fused_folders import Triple


@dataclass(frozen=True)
class Decoded:
    """A pair and its fused images, by method, as the profile prepares them, with the digests of the three files."""

    id: str
    infrared: np.ndarray
    visible: np.ndarray
    fused: Mapping[str, np.ndarray]
    digests: Mapping[str, list[str]]


def batches(triples: Sequence[Triple], profile: Profile, workers: int, pixels: int) -> Iterator[list[Decoded]]:
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


def _decode(triple: Triple, profile: Profile) -> Decoded:
    sources = triple.pair.infrared, triple.pair.visible
    infrared, visible = (profile.prepare(read_visible(path)) for path in sources)
    known = [file_digest(path) for path in sources]
    return Decoded(
        triple.pair.id, infrared, visible,
        fused={method: profile.prepare(read_visible(path)) for method, path in triple.fused.items()},
        digests={method: [*known, file_digest(path)] for method, path in triple.fused.items()},
    )  # fmt: skip
