"""A fused dataset with masks, small and easy: two coloured squares on a dark ground."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CLASSES = ("background", "car", "person")
COLOURS = {1: (210, 60, 50), 2: (50, 200, 70)}


def _scene(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    image = rng.integers(20, 60, (size, size, 3)).astype(np.uint8)
    mask = np.zeros((size, size), np.uint8)
    for index, colour in COLOURS.items():
        top, left = rng.integers(0, size - size // 3, 2)
        area = slice(top, top + size // 3), slice(left, left + size // 3)
        image[area], mask[area] = colour, index
    return image, mask


def write_fused(root: Path, size: int = 64, **counts: int) -> Path:
    """A fused dataset in `root` with counts[split] images of `size` squared."""
    files = []
    for number, (split, count) in enumerate(counts.items()):
        rng = np.random.default_rng(number)
        for index in range(count):
            name = f"{split}{index:03d}"
            for folder, pixels in zip(("images", "masks"), _scene(rng, size), strict=True):
                path = root / folder / split / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
            paths = [root / folder / split / f"{name}.png" for folder in ("images", "masks")]
            digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
            files.append({"id": name, "split": split, "image": digests[0], "label": digests[1]})
    manifest = {
        "format": "fuse2task.fused", "version": 1, "method": {"name": "average", "hash": "a" * 12},
        "truth": {"kind": "masks", "classes": list(CLASSES), "hash": "b" * 12},
        "split": {"name": "toy", "hash": "c" * 12}, "source": {"layout": "msrs", "hash": "d" * 12},
        "color": "rgb", "files": files,
    }  # fmt: skip
    (root / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return root


@pytest.fixture
def make_fused(tmp_path):
    """`make_fused(train=6, val=2)`: a fused dataset in a folder of its own."""
    return lambda size=64, **counts: write_fused(tmp_path / "fused", size, **counts)


@pytest.fixture
def make_recipe():
    """`make_recipe(data, epochs=2)`: a recipe of a network that trains in seconds."""

    def make(data: Path, **changes):
        from segmentation.recipe import SegmentationRecipe

        values = {
            "data": str(data), "architecture": "unet", "encoder": "tu-mobilenetv3_small_050", "epochs": 2, "batch": 2,
            "crop": [64, 64], "lr": 0.002, "device": "cpu", "precision": "fp32",
        }  # fmt: skip
        return SegmentationRecipe.model_validate(values | changes)

    return make
