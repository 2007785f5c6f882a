"""Folders of fused images beside their sources: matched by id, checked before any work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuse2task.data.dataset import Pair, defects, files_by_id
from fuse2task.data.images import SUFFIXES, image_size
from fuse2task.runtime.errors import RequestError, listing


@dataclass(frozen=True)
class Triple:
    """A pair with its fused images, by method."""

    pair: Pair
    fused: Mapping[str, Path]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of every image of it."""
        return self.pair.size


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


def _files(folder: Path) -> dict[str, Path]:
    if not Path(folder).is_dir():
        raise RequestError(f"{folder}: no such folder of fused images")
    files, findings = files_by_id(Path(folder), SUFFIXES)
    if bad := defects(findings):
        raise RequestError(f"{folder}: unusable names\n{listing(finding.message for finding in bad)}")
    return files
