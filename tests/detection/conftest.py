"""Tiny fused datasets with boxes, written by the contract of the fused folder."""

import contextlib
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fuse2task.data.images import write_image
from fuse2task.runtime.files import value_hash

Boxes = Sequence[tuple[str, float, float, float, float]]  # class, x, y, w, h
Image = tuple[np.ndarray, Boxes]


@pytest.fixture(scope="session")
def pycocotools_run() -> Callable[[Path], COCOeval]:
    """`pycocotools_run(folder)`: COCOeval of truth.json and results.json there, evaluated and summarised."""

    def run(folder: Path) -> COCOeval:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(str(folder / "truth.json"))
            evaluation = COCOeval(truth, truth.loadRes(str(folder / "results.json")), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return evaluation

    return run


def _write_fused(root: Path, classes: Sequence[str], splits: Mapping[str, Mapping[str, Image]]) -> Path:
    """A fused folder: splits maps split -> id -> (uint8 pixels, boxes in pixels)."""
    rows, content, first_id = [], {}, 100
    for split, images in splits.items():
        coco = {
            "images": [],
            "annotations": [],
            "categories": [{"id": number, "name": name} for number, name in enumerate(classes, start=1)],
        }
        for name, (pixels, boxes) in sorted(images.items()):
            first_id += 1
            height, width = pixels.shape[:2]
            file = root / "images" / split / f"{name}.png"
            write_image(file, pixels)
            coco["images"].append({"id": first_id, "file_name": f"{name}.png", "width": width, "height": height})
            lines = []
            for kind, x, y, w, h in boxes:
                number = classes.index(kind)
                lines.append(f"{number} {(x + w / 2) / width} {(y + h / 2) / height} {w / width} {h / height}\n")
                coco["annotations"].append(
                    {
                        "id": len(coco["annotations"]) + 1,
                        "image_id": first_id,
                        "category_id": number + 1,
                        "bbox": [x, y, w, h],
                        "area": w * h,
                        "iscrowd": 0,
                    }
                )
            label = root / "labels" / split / f"{name}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("".join(lines))
            digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (file, label)]
            rows.append({"id": name, "split": split, "image": digests[0], "label": digests[1]})
        truth = root / "annotations" / f"{split}.json"
        truth.parent.mkdir(parents=True, exist_ok=True)
        truth.write_text(json.dumps(coco))
        if images:
            content[split] = coco
    data = {name: f"images/{name}" for name in splits}
    data.setdefault("val", "images/test" if "test" in splits else "images/train")
    (root / "data.yaml").write_text(yaml.safe_dump({**data, "names": dict(enumerate(classes))}))
    manifest = {
        "format": "fuse2task.fused",
        "version": 1,
        "method": {"name": "visible", "hash": "0" * 12},
        "truth": {"kind": "boxes", "classes": list(classes), "hash": value_hash(content)},
        "split": {"name": "toy", "hash": value_hash(rows)},
        "source": {"layout": "folder", "hash": "0" * 12},
        "color": "rgb",
        "files": rows,
    }
    (root / "manifest.json").write_text(json.dumps(manifest))
    return root


def toy_image(seed: int, size: int = 64) -> Image:
    """A dark noisy image with one or two bright rectangles (`bar` wide, `pole` tall), not at its border."""
    draw = np.random.default_rng(seed)
    pixels = draw.integers(0, 60, (size, size, 3), dtype=np.uint8)
    boxes = []
    for kind in ("bar", "pole")[: 1 + seed % 2]:
        w, h = (24, 12) if kind == "bar" else (12, 24)
        x, y = (int(draw.integers(2, size - side - 2)) for side in (w, h))
        pixels[y : y + h, x : x + w] = (230, 60, 60) if kind == "bar" else (60, 230, 230)
        boxes.append((kind, x, y, w, h))
    return pixels, boxes


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The .pt files of these tests are our own."""
    monkeypatch.setenv("FUSE2TASK_TRUST_PICKLE", "1")


@pytest.fixture
def write_fused() -> Callable[..., Path]:
    """`write_fused(root, classes, splits)`."""
    return _write_fused


@pytest.fixture
def toy_fused(tmp_path: Path) -> Callable[..., Path]:
    """`toy_fused(train=8, val=4, ...)`: a toy dataset with that many images in each split."""

    def build(**splits: int) -> Path:
        images = {
            split: {f"{split}{number:02d}": toy_image(1000 * order + number) for number in range(count)}
            for order, (split, count) in enumerate(splits.items())
        }
        return _write_fused(tmp_path / "fused", ("bar", "pole"), images)

    return build
