"""What a copy of a dataset holds: its images, the truth of its layout, and its lists."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fuse2task.data.dataset import Dataset, Pair
from fuse2task.data.images import SUFFIXES
from fuse2task.data.layouts import LAYOUTS
from fuse2task.data.truth.boxes import file_of, truth_files

Role = Literal["visible", "infrared", "voc", "yolo", "masks", "list"]
_TRUTH_SUFFIXES = {"voc": (".xml",), "yolo": (".txt",), "masks": SUFFIXES}


@dataclass(frozen=True)
class Part:
    """A file of a dataset. pair: whose it is, None for a list."""

    path: Path
    role: Role
    pair: Pair | None = None


def parts_of(dataset: Dataset) -> list[Part]:
    """Every file that belongs to `dataset`, sorted by path.

    Images of the pairs, the clean references that AWMM keeps beside them, truth inside the layout, class
    names, split lists and `scenes.tsv`. Truth that was given apart is no part of it, nor is anything else below
    the root.
    """
    root, pairs = dataset.root, dataset.pairs
    found = [Part(pair.visible, "visible", pair) for pair in pairs]
    found += [Part(pair.infrared, "infrared", pair) for pair in pairs]
    if dataset.layout == "awmm":
        references = (path.parent.with_name(f"gt_{path.parent.name}") / path.name for path in [p.path for p in found])
        found += [Part(path, "list") for path in references if path.is_file()]
    lists = [*root.glob("*.txt"), *root.glob("*.tsv"), *root.glob("meta/*.txt")]
    for own in LAYOUTS[dataset.layout].truth:
        folders = [root / name for name in own.folders if (root / name).is_dir()]
        files, _ = truth_files(folders, _TRUTH_SUFFIXES[own.kind])
        for pair in pairs:
            path = file_of(pair, files)
            if path is not None:
                found.append(Part(path, own.kind, pair))
        lists += [folder / "classes.txt" for folder in folders if (folder / "classes.txt").is_file()]
    found += [Part(path, "list") for path in lists if not path.name.startswith(".")]
    return sorted(found, key=lambda part: part.path.relative_to(root).as_posix())
