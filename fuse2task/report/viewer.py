"""Data of the page's viewer: images where methods win and lose most, with boxes and masks to draw over them."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from fuse2task.data.fused import open_fused
from fuse2task.data.images import image_size, read_visible
from fuse2task.overlays import Overlays, data_uri
from fuse2task.report.contents import Contents
from fuse2task.runtime.errors import Fuse2TaskError
from fuse2task.tasks import find_task

SIDE, QUALITY = 640, 80  # longest side in pixels and WebP quality of a picture: half of JPEG's bytes
SCENES, BYTES = 16, 7_000_000  # at most; all pictures as base64 text, so that a page of 25 methods opens at once


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
    folder: Path, dataset: str, image: str, judge: str, entries: list[dict[str, Any]], known: dict[Any, Overlays]
) -> dict[str, Any]:
    root = folder / "fused" / dataset
    fused = open_fused(root / "visible")
    split = next(split for split in fused.splits if image in fused.ids(split))
    task = str(entries[0]["task"])
    if (dataset, split, task) not in known:
        known[dataset, split, task] = find_task(task).overlays(fused, split)
    overlays = known[dataset, split, task]
    pictures = []
    methods = sorted(path.name for path in root.iterdir() if path.is_dir())
    for method in sorted(methods, key=lambda name: {"infrared": 0, "visible": 1}.get(name, 2)):
        path = root / method / "images" / split / f"{image}.png"
        if path.is_file():
            place = folder / "predictions" / dataset / method
            own = [one for one in (place / judge, *sorted(place.glob(f"{judge}-s*"))) if one.is_dir()]
            found = overlays.predictions(own[0] if own else place, image)  # of several seeds the first
            pictures.append({"name": method, "uri": _picture(path), **found})
    notes = []
    for entry in entries:
        verb, by = "wins over" if entry["difference"] > 0 else "loses to", abs(entry["difference"])
        notes.append(f"{entry['a']} {verb} {entry['b']} by {by:.2f} {entry['metric']} on this image")
    width, height = image_size(root / "visible" / "images" / split / f"{image}.png")
    return {
        "dataset": dataset, "image": image, "task": task, "judge": judge,
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


def _picture(path: Path) -> str:
    picture = Image.fromarray(read_visible(path))
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "webp", quality=QUALITY, method=2)  # faster than the default, hardly larger
    return data_uri("image/webp", buffer.getvalue())
