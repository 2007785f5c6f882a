"""Synthetic scenes on disk, laid out as M3FD and MSRS are."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from fuse2task.data.images import write_image
from fuse2task.data.splits import write_split
from fuse2task.data.synthetic.scene import check_size, render
from fuse2task.data.truth.boxes import format_voc
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import filling, read_json, write_text
from fuse2task.runtime.progress import Meter


def write_m3fd(
    root: Path, count: int, seed: int, size: tuple[int, int] = (320, 256),
    val_share: float = 0.15, test_share: float = 0.25,
) -> None:  # fmt: skip
    """`count` pairs with boxes of the six classes, as M3FD: {Ir,Vis}/00000.png, Annotation/00000.xml.

    Every other scene is at night, as `scenes.tsv` lists (first frame, last frame, scene). Infrared files have three
    equal channels, as the real ones. VOC coordinates are edges. `split.txt`, written last, has train first, then val
    and test. RequestError: `root` is not empty, a split would have no scene, or `size` is out of range.
    """
    val, test = max(round(count * val_share), 1), max(round(count * test_share), 1)
    train = count - val - test
    if train < 1:
        raise RequestError(f"{count} scenes are too few for train, val and test; ask for at least 3")
    check_size(size)
    split, scenes = {}, []
    plan = {"layout": "m3fd", "count": count, "seed": seed, "size": list(size), "shares": [val_share, test_share]}
    with _filling(root, plan), Meter(f"synthetic scenes in {root}", count) as meter:
        for index in range(count):
            name = f"{index:05d}"
            scene = render(seed, index, size, night=index % 2 == 1, task="detection")
            write_image(root / "Vis" / f"{name}.png", scene.visible)
            write_image(root / "Ir" / f"{name}.png", np.repeat(scene.infrared[..., None], 3, axis=2))
            write_text(root / "Annotation" / f"{name}.xml", format_voc(f"{name}.png", scene.boxes, size, "M3FD"))
            scenes.append(f"{name}\t{name}\t{'night' if index % 2 else 'daytime'}\n")
            split[name] = "train" if index < train else "val" if index < train + val else "test"
            meter.advance()
        write_text(root / "scenes.tsv", "".join(scenes))
        write_split(root / "split.txt", split)


def write_msrs(root: Path, train: int, test: int, seed: int, size: tuple[int, int] = (320, 256)) -> None:
    """Pairs with masks of the nine classes, as MSRS: {train,test}/{vi,ir,Segmentation_labels}/00001D.png.

    Names count from 1 over both splits and end in D (day) or N (night), in turn. Infrared is one channel, a mask one
    channel of class indices. RequestError: `root` is not empty, a split has no scene, or `size` is out of range.
    """
    if min(train, test) < 1:
        raise RequestError(f"{train} train and {test} test scenes: each split needs at least one")
    check_size(size)
    plan = {"layout": "msrs", "train": train, "test": test, "seed": seed, "size": list(size)}
    with _filling(root, plan), Meter(f"synthetic scenes in {root}", train + test) as meter:
        for index in range(train + test):
            scene = render(seed, index, size, night=index % 2 == 1, task="segmentation")
            folder, name = root / ("train" if index < train else "test"), f"{index + 1:05d}{'DN'[index % 2]}.png"
            write_image(folder / "vi" / name, scene.visible)
            write_image(folder / "ir" / name, scene.infrared)
            write_image(folder / "Segmentation_labels" / name, scene.mask)
            meter.advance()


def _filling(root: Path, plan: dict[str, Any]) -> AbstractContextManager[None]:
    # An interrupted call has left its plan and starts over: equal plans give equal files.
    def refuse_used() -> None:
        kept = root / ".fuse2task" / "plan.json"
        begun = kept.is_file() and read_json(kept, "plan of scenes") == plan
        if root.exists() and not begun and not (root.is_dir() and set(root.iterdir()) <= {kept.parent}):
            raise RequestError(f"{root}: not an empty folder; name a new one for the synthetic scenes, or empty it")

    return filling(root, plan, refuse_used)
