"""Data of the page's viewer: images where methods win and lose most, with boxes and masks to draw over them."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fuse2task.data.classes import FMB, FMB_PALETTE, MSRS, MSRS_PALETTE
from fuse2task.data.fused import FusedDataset, open_fused
from fuse2task.data.images import IGNORED, image_size, read_mask, read_visible
from fuse2task.report.contents import Contents
from fuse2task.runtime.errors import Fuse2TaskError
from fuse2task.runtime.files import read_json

SIDE, QUALITY = 640, 80  # longest side in pixels and JPEG quality of a picture
SCENES, BYTES = 16, 11_000_000  # at most; all pictures as base64 text, so that the whole page stays under 15 MB
SCORE, DETECTIONS = 0.1, 60  # detections below this confidence, or beyond this many an image, are not drawn
# Bright enough for night scenes, and distinct for most colour-blind readers; names stand beside the boxes.
BOX_COLOURS = ("#ffd400", "#4cc9ff", "#ff7ad9", "#7dff8a", "#ff9d4c", "#b9a6ff", "#ffffff", "#ff6b6b")


def viewer_scenes(contents: Contents) -> list[dict[str, Any]]:
    """Scenes for the viewer, most telling first, wins and losses and data sets in turn.

    Each is {"dataset", "image", "task", "judge", "width", "height", "gain", "pair": [a, b], "notes": [text],
    "classes": [{"name", "colour"}], "truth": overlay, "pictures": [{"name", "uri"} | overlay]} with overlays as of
    `Overlays`. Scenes whose files are not there are left out: a report stands without its fused images.
    """
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    # Only the primary truth is drawn, so wins by another's boxes would not be seen.
    others = {truth_hash for truth_hash, about in contents.truths.items() if not about["primary"]}
    shown = [entry for entry in contents.extremes if entry.get("truth_hash") not in others]
    for entry in _in_turn(shown):
        keys = tuple(str(entry.get(key, "")) for key in ("dataset", "image", "judge"))
        # A bench folder of others must not pull files from elsewhere into the page.
        if all(key and Path(key).name == key != ".." and not set(key) & set("*?[") for key in keys):
            found.setdefault(keys, []).append(entry)  # type: ignore[arg-type]
    scenes: list[dict[str, Any]] = []
    overlays: dict[Any, Overlays] = {}
    left = BYTES
    for keys, entries in found.items():
        try:
            scene = _scene(contents.folder, *keys, entries, overlays)
        except (Fuse2TaskError, StopIteration):
            continue
        left -= sum(len(item["uri"]) + len(item.get("mask", "")) for item in scene["pictures"])
        if left < 0 or len(scenes) == SCENES:
            break
        scenes.append(scene)
    return scenes


def _scene(
    folder: Path, dataset: str, image: str, judge: str, entries: list[dict[str, Any]], known: dict[Any, "Overlays"]
) -> dict[str, Any]:
    root = folder / "fused" / dataset
    fused = open_fused(root / "visible")
    split = next(split for split in fused.splits if image in fused.ids(split))
    overlays = known[dataset, split] = known.get((dataset, split)) or Overlays(fused, split)
    pictures = []
    methods = sorted(path.name for path in root.iterdir() if path.is_dir())
    for method in sorted(methods, key=lambda name: {"infrared": 0, "visible": 1}.get(name, 2)):
        path = root / method / "images" / split / f"{image}.png"
        if path.is_file():
            place = folder / "predictions" / dataset / method
            own = [one for one in (place / judge, *sorted(place.glob(f"{judge}-s*"))) if one.is_dir()]
            found = overlays.predictions(own[0] if own else place, image)  # of several seeds the first
            pictures.append({"name": method, "uri": _jpeg(path), **found})
    notes = []
    for entry in entries:
        verb, by = "wins over" if entry["difference"] > 0 else "loses to", abs(entry["difference"])
        notes.append(f"{entry['a']} {verb} {entry['b']} by {by:.2f} {entry['metric']} on this image")
    width, height = image_size(root / "visible" / "images" / split / f"{image}.png")
    return {
        "dataset": dataset, "image": image, "task": str(entries[0]["task"]), "judge": judge,
        "width": width, "height": height, "gain": float(entries[0]["difference"]),
        "pair": [entries[0]["a"], entries[0]["b"]],
        "notes": notes, "classes": overlays.classes(), "truth": overlays.truth(image), "pictures": pictures,
    }  # fmt: skip


def _in_turn(extremes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The largest win of each table, the largest loss of each, then the second largest, and so on."""
    queues: dict[tuple[bool, tuple[str, ...]], list[dict[str, Any]]] = {}
    for entry in sorted(extremes, key=lambda entry: -abs(float(entry["difference"]))):
        table = tuple(str(entry.get(name, "")) for name in ("dataset", "task", "judge", "metric"))
        queues.setdefault((float(entry["difference"]) < 0, table), []).append(entry)
    order = [queues[key] for key in sorted(queues)]
    for turn in range(max(map(len, order), default=0)):
        for queue in order:
            yield from queue[turn : turn + 1]


def _jpeg(path: Path) -> str:
    picture = Image.fromarray(read_visible(path))
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "jpeg", quality=QUALITY, optimize=True)
    return data_uri("image/jpeg", buffer.getvalue())


class Overlays:
    """Truth and predictions of one split of a fused dataset; every file is read once.

    A row of boxes is [x, y, w, h, class index, score or None] in pixels of the full image.
    """

    def __init__(self, dataset: FusedDataset, split: str) -> None:
        self.dataset, self.split = dataset, split
        self._found: dict[Path, dict[int, list[dict[str, Any]]]] = {}
        self._truth: dict[int, list[dict[str, Any]]] = {}
        if dataset.truth == "boxes":
            truth = read_json(dataset.annotations(split), "annotations")
            self._numbers = {item["file_name"]: item["id"] for item in truth["images"]}
            self._index = {item["id"]: dataset.classes.index(item["name"]) for item in truth["categories"]}
            self._truth = _by_image(item for item in truth["annotations"] if not item.get("iscrowd"))

    def truth(self, image: str) -> dict[str, Any]:
        """{"boxes": rows}, {"mask": data URI}, or {} without truth."""
        if self.dataset.truth == "masks":
            return {"mask": self._mask(self.dataset.root / "masks" / self.split / f"{image}.png")}
        return {"boxes": self._rows(self._truth, image)} if self.dataset.truth == "boxes" else {}

    def predictions(self, folder: Path, image: str) -> dict[str, Any]:
        """The same of what a judge found; {} where its files are not there."""
        if self.dataset.truth == "masks":
            mask = folder / "masks" / f"{image}.png"
            return {"mask": self._mask(mask)} if mask.is_file() else {}
        path = folder / "dets.json"
        if self.dataset.truth == "none" or not path.is_file():
            return {}
        if path not in self._found:
            kept = (item for item in read_json(path, "detections") if item["score"] >= SCORE)
            self._found[path] = _by_image(sorted(kept, key=lambda item: -item["score"]))
        return {"boxes": self._rows(self._found[path], image)[:DETECTIONS]}

    def classes(self) -> list[dict[str, str]]:
        """Name and colour of every class, in index order."""
        names = self.dataset.classes
        colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in palette(names)]
        if self.dataset.truth != "masks":
            colours = [BOX_COLOURS[number % len(BOX_COLOURS)] for number in range(len(names))]
        return [{"name": name, "colour": colour} for name, colour in zip(names, colours, strict=True)]

    def _rows(self, boxes: dict[int, list[dict[str, Any]]], image: str) -> list[list[Any]]:
        rows = boxes.get(self._numbers.get(f"{image}.png", -1), [])
        return [
            [*(round(side, 1) for side in item["bbox"]), self._index[item["category_id"]],
             round(item["score"], 2) if "score" in item else None]
            for item in rows
        ]  # fmt: skip

    def _mask(self, path: Path) -> str:
        """Class 0 and ignored pixels are transparent."""
        mask = read_mask(path)
        picture = Image.fromarray(np.where(mask == IGNORED, 0, mask).astype(np.uint8)).convert("P")
        picture.putpalette([channel for colour in palette(self.dataset.classes) for channel in colour])
        buffer = io.BytesIO()
        picture.save(buffer, "png", transparency=0, optimize=True)
        return data_uri("image/png", buffer.getvalue())


def palette(classes: tuple[str, ...]) -> tuple[tuple[int, int, int], ...]:
    """The data set's own colours where it has some, else Pascal VOC's: RGB, 0 to 255.

    VOC's rule: the bits of the index go to red, green and blue in turn, the lowest to the highest bits.
    """
    known = {MSRS: MSRS_PALETTE, FMB: FMB_PALETTE}
    if classes in known:
        return known[classes]
    bits = [[(number >> bit & 1) << (7 - bit // 3) for bit in range(24)] for number in range(len(classes))]
    return tuple((sum(row[0::3]), sum(row[1::3]), sum(row[2::3])) for row in bits)


def data_uri(kind: str, data: bytes) -> str:
    """`data` as a URI that needs no request."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _by_image(items: Any) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for item in items:
        found.setdefault(item["image_id"], []).append(item)
    return found
