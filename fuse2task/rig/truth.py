"""Truth of a recording: boxes and masks that were drawn on one camera's images move with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import model_validator

from fuse2task.config.recipes import Recipe
from fuse2task.data.classes import class_list, read_class_list
from fuse2task.data.dataset import BoxTruth, MaskTruth, Pair, path_id
from fuse2task.data.images import SUFFIXES, Camera, image_size, read_mask
from fuse2task.data.truth.conversion import read_boxes
from fuse2task.data.truth.masks import read_masks
from fuse2task.rig.geometry import Alignment
from fuse2task.rig.pairing import Frame
from fuse2task.runtime.errors import RequestError


class Truth(Recipe):
    """Where truth lies. boxes: a COCO file, or a folder of COCO, VOC or YOLO files. masks: a folder of class masks.
    Their files are named as the images of the camera that they were drawn `on`, or by the ids that the pairs get.
    palette, ignore: as for `load_dataset`."""

    boxes: str | None = None
    masks: str | None = None
    on: Camera = "visible"
    palette: str | None = None
    ignore: str | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Truth":
        if (self.boxes is None) == (self.masks is None):
            raise ValueError("give boxes or masks, one of them")
        return self


@dataclass(frozen=True)
class RecordedTruth:
    """Truth as it was drawn, by the ids of the pairs."""

    section: Truth
    found: BoxTruth | MaskTruth

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of their ids."""
        return self.found.classes

    def mask(self, name: str, alignment: Alignment | None) -> np.ndarray:
        """The mask of a pair as it is after the import: (H, W) uint8 class indices."""
        assert isinstance(self.found, MaskTruth)
        mask = read_mask(self.found.masks[name], self.found.palette)
        return mask if alignment is None else alignment.moved_mask(mask, self.section.on)

    def boxes(self, alignments: Mapping[str, Alignment | None]) -> BoxTruth:
        """The boxes of all pairs as they are after the import; alignments: by id."""
        assert isinstance(self.found, BoxTruth)
        truth, on = self.found, self.section.on
        boxes, ignored = (
            {
                name: tuple(found) if (way := alignments[name]) is None else way.moved(found, on)
                for name, found in group.items()
            }
            for group in (truth.boxes, truth.ignored)
        )
        return replace(truth, boxes=boxes, ignored=ignored)


def read_truth(section: Truth, frames: Sequence[Frame], folder: Path) -> RecordedTruth:
    """Truth of all frames; folder: of the camera that it was drawn on. RequestError: what is wrong with it, listed."""
    pairs = []
    for frame in frames:
        path = frame.file(section.on)
        own = path_id(path.relative_to(folder).as_posix(), SUFFIXES)
        aliases = () if own == frame.id else (own,)
        pairs.append(Pair(frame.id, "test", path, path, image_size(path), aliases=aliases))
    if section.boxes is not None:
        return RecordedTruth(section, read_boxes(Path(section.boxes), pairs, section.ignore))
    place = Path(str(section.masks))
    if not place.is_dir():
        raise RequestError(f"{place}: no such folder of masks")
    listed = class_list(place)
    truth, findings = read_masks([place], pairs, read_class_list(listed) if listed else (), section.palette)
    findings.refuse(place, "; fix the files, nothing was written")
    return RecordedTruth(section, truth)
