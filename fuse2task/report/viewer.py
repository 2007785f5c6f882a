"""The images where methods win and lose most, as data for the page's viewer."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from fuse2task.data.fused import open_fused
from fuse2task.data.images import image_size, read_visible
from fuse2task.report.contents import Contents
from fuse2task.report.overlays import Overlays, data_uri
from fuse2task.runtime.errors import Fuse2TaskError

SIDE, QUALITY = 640, 80  # longest side in pixels and JPEG quality of a picture
SCENES, BYTES = 16, 11_000_000  # at most; all pictures as base64 text, so that the whole page stays under 15 MB


def viewer_scenes(contents: Contents) -> list[dict[str, Any]]:
    """Scenes for the viewer, most telling first, wins and losses and data sets in turn.

    Each is {"dataset", "image", "task", "judge", "width", "height", "gain", "pair": [a, b], "notes": [text],
    "classes": [{"name", "colour"}], "truth": overlay, "pictures": [{"name", "uri"} | overlay]} with overlays as of
    `Overlays`. Scenes whose files are not there are left out: a report stands without its fused images.
    """
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    # Only the primary truth is drawn, so wins by another's boxes would not be seen.
    shown = [entry for entry in contents.extremes if contents.is_primary(str(entry.get("truth_hash", "")))]
    for entry in _in_turn(shown):
        keys = tuple(str(entry.get(key, "")) for key in ("dataset", "image", "judge"))
        if all(_stays_in_folder(key) for key in keys):
            found.setdefault(keys, []).append(entry)  # type: ignore[arg-type]
    album = _Album(contents.folder)
    scenes: list[dict[str, Any]] = []
    left = BYTES
    for keys, entries in found.items():
        try:
            scene = album.scene(*keys, entries)
        except (Fuse2TaskError, StopIteration):
            continue
        left -= sum(len(item["uri"]) + len(item.get("mask", "")) for item in scene["pictures"])
        if left < 0 or len(scenes) == SCENES:
            break
        scenes.append(scene)
    return scenes


class _Album:
    """Scenes of one bench folder; overlays of a dataset's split are read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._overlays: dict[tuple[str, str], Overlays] = {}

    def scene(self, dataset: str, image: str, judge: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
        root = self.folder / "fused" / dataset
        fused = open_fused(root / "visible")
        split = next(split for split in fused.splits if image in fused.ids(split))
        overlays = self._overlays.setdefault((dataset, split), Overlays(fused, split))
        pictures = []
        for method in _methods(root):
            path = root / method / "images" / split / f"{image}.png"
            if path.is_file():
                predictions = _place(self.folder / "predictions" / dataset / method, judge)
                pictures.append({"name": method, "uri": _jpeg(path), **overlays.predictions(predictions, image)})
        width, height = image_size(root / "visible" / "images" / split / f"{image}.png")
        return {
            "dataset": dataset, "image": image, "task": str(entries[0]["task"]), "judge": judge,
            "width": width, "height": height, "gain": float(entries[0]["difference"]),
            "pair": [entries[0]["a"], entries[0]["b"]],
            "notes": [_note(entry) for entry in entries], "classes": overlays.classes(),
            "truth": overlays.truth(image), "pictures": pictures,
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


def _methods(root: Path) -> list[str]:
    names = sorted(path.name for path in root.iterdir() if path.is_dir())
    return sorted(names, key=lambda name: {"infrared": 0, "visible": 1}.get(name, 2))


def _place(folder: Path, judge: str) -> Path:
    """Where a judge's predictions lie; of several seeds the first."""
    return next((path for path in (folder / judge, *sorted(folder.glob(f"{judge}-s*"))) if path.is_dir()), folder)


def _note(entry: dict[str, Any]) -> str:
    difference = float(entry["difference"])
    verb = "wins over" if difference > 0 else "loses to"
    return f"{entry['a']} {verb} {entry['b']} by {abs(difference):.2f} {entry['metric']} on this image"


def _jpeg(path: Path) -> str:
    picture = Image.fromarray(read_visible(path))
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "jpeg", quality=QUALITY, optimize=True)
    return data_uri("image/jpeg", buffer.getvalue())


def _stays_in_folder(name: str) -> bool:
    """A bench folder of others must not pull files from elsewhere into the page."""
    return bool(name) and Path(name).name == name and name != ".." and not set(name) & set("*?[")
