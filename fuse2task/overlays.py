"""What the report's viewer draws over an image: true boxes or masks, and those that a judge found."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fuse2task.data.classes import class_colours
from fuse2task.data.fused import FusedDataset
from fuse2task.data.images import IGNORED, read_mask
from fuse2task.runtime.files import read_json

SCORE, DETECTIONS = 0.1, 60  # detections below this confidence, or beyond this many an image, are not drawn
# Bright enough for night scenes, and distinct for most colour-blind readers; names stand beside the boxes.
BOX_COLOURS = ("#ffd400", "#4cc9ff", "#ff7ad9", "#7dff8a", "#ff9d4c", "#b9a6ff", "#ffffff", "#ff6b6b")


class Overlays:
    """Truth and predictions of one split of a fused dataset; every file is read once. This one draws nothing."""

    def __init__(self, dataset: FusedDataset, split: str) -> None:
        self.dataset, self.split = dataset, split

    def truth(self, image: str) -> dict[str, Any]:
        """{"boxes": rows} or {"mask": data URI} of an image by its id, or {} without truth.

        A row of boxes is [x, y, w, h, class index, score or None] in pixels of the full image.
        """
        return {}

    def predictions(self, folder: Path, image: str) -> dict[str, Any]:
        """The same of what a judge found, by the folder of its evaluation; {} where its files are not there."""
        return {}

    def classes(self) -> list[dict[str, str]]:
        """Name and colour of every class, in index order."""
        return [
            {"name": name, "colour": BOX_COLOURS[number % len(BOX_COLOURS)]}
            for number, name in enumerate(self.dataset.classes)
        ]


class BoxOverlays(Overlays):
    """Boxes."""

    def __init__(self, dataset: FusedDataset, split: str) -> None:
        super().__init__(dataset, split)
        truth = read_json(dataset.annotations(split), "annotations")
        self._numbers = {item["file_name"]: item["id"] for item in truth["images"]}
        self._index = {item["id"]: dataset.classes.index(item["name"]) for item in truth["categories"]}
        self._truth = _by_image(item for item in truth["annotations"] if not item.get("iscrowd"))
        self._found: dict[Path, dict[int, list[dict[str, Any]]]] = {}

    def truth(self, image: str) -> dict[str, Any]:
        return {"boxes": self._rows(self._truth, image)}

    def predictions(self, folder: Path, image: str) -> dict[str, Any]:
        path = folder / "dets.json"
        if not path.is_file():
            return {}
        if path not in self._found:
            kept = (item for item in read_json(path, "detections") if item["score"] >= SCORE)
            self._found[path] = _by_image(sorted(kept, key=lambda item: -item["score"]))
        return {"boxes": self._rows(self._found[path], image)[:DETECTIONS]}

    def _rows(self, boxes: dict[int, list[dict[str, Any]]], image: str) -> list[list[Any]]:
        rows = boxes.get(self._numbers.get(f"{image}.png", -1), [])
        return [
            [*(round(side, 1) for side in item["bbox"]), self._index[item["category_id"]],
             round(item["score"], 2) if "score" in item else None]
            for item in rows
        ]  # fmt: skip


class MaskOverlays(Overlays):
    """Class masks, in the colours of the data set."""

    def truth(self, image: str) -> dict[str, Any]:
        return {"mask": self._mask(self.dataset.root / "masks" / self.split / f"{image}.png")}

    def predictions(self, folder: Path, image: str) -> dict[str, Any]:
        mask = folder / "masks" / f"{image}.png"
        return {"mask": self._mask(mask)} if mask.is_file() else {}

    def classes(self) -> list[dict[str, str]]:
        names = self.dataset.classes
        colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in class_colours(names)]
        return [{"name": name, "colour": colour} for name, colour in zip(names, colours, strict=True)]

    def _mask(self, path: Path) -> str:
        """Class 0 and ignored pixels are transparent."""
        mask = read_mask(path)
        picture = Image.fromarray(np.where(mask == IGNORED, 0, mask).astype(np.uint8)).convert("P")
        picture.putpalette([channel for colour in class_colours(self.dataset.classes) for channel in colour])
        buffer = io.BytesIO()
        picture.save(buffer, "png", transparency=0, optimize=True)
        return data_uri("image/png", buffer.getvalue())


def data_uri(kind: str, data: bytes) -> str:
    """`data` as a URI that needs no request."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _by_image(items: Any) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for item in items:
        found.setdefault(item["image_id"], []).append(item)
    return found
