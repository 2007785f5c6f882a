"""What a fused dataset will be, fixed before any work: two runs of one plan may share an output folder."""

from typing import Any, Literal

from fuse2task.data.dataset import Dataset
from fuse2task.data.fused import FORMAT
from fuse2task.data.truth.coco import coco_truth
from fuse2task.runtime.hashing import file_digest, value_hash
from fuse2task.runtime.provenance import versions
from fusion.methods.base import Method

Colour = Literal["rgb", "gray"]


def make_plan(dataset: Dataset, method: Method, color: Colour) -> dict[str, Any]:
    """The manifest without its file rows: JSON values, nothing of time, host or absolute paths."""
    identity = method.identity()
    return {
        "format": FORMAT,
        "version": 1,
        "method": {**identity, "hash": value_hash(identity)},
        "color": color,
        "source": {"layout": dataset.layout, "pairs": len(dataset.pairs)},
        "truth": _truth(dataset),
        "split": {"name": dataset.split_name, "hash": dataset.split_hash},
        "versions": versions("opencv-python-headless", "pillow", "numpy", "torch"),
    }


def _truth(dataset: Dataset) -> dict[str, Any]:
    if dataset.boxes is not None:
        content = {split: coco_truth(dataset.part(split), dataset.boxes) for split in dataset.splits}
        return {"kind": "boxes", "classes": list(dataset.boxes.classes), "hash": value_hash(content)}
    if dataset.masks is not None:
        files = {pair.id: file_digest(dataset.masks.masks[pair.id]) for pair in dataset.pairs}
        return {"kind": "masks", "classes": list(dataset.masks.classes), "hash": value_hash(files)}
    return {"kind": "none", "classes": [], "hash": ""}
