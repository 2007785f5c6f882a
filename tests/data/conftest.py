"""Tiny images and trees on disk for the tests of the data layer."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def write_picture(path: Path, size: tuple[int, int] = (32, 24), seed: int = 0, channels: int = 1) -> Path:
    """A picture of noise, (width, height), other for every path; JPEG or PNG by its suffix."""
    rng = np.random.default_rng([seed, *str(path).encode()])
    shape = (size[1], size[0]) if channels == 1 else (size[1], size[0], channels)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
    return path


def write_mask(path: Path, values: tuple[int, ...], size: tuple[int, int] = (32, 24)) -> Path:
    """An index mask whose pixels go through `values`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.resize(np.array(values, dtype=np.uint8), (size[1], size[0]))
    Image.fromarray(pixels).save(path)
    return path


def write_pairs(infrared: Path, visible: Path, *names: str) -> None:
    """A pair of 32x24 for each file name, visible in colour."""
    for name in names:
        write_picture(infrared / name)
        write_picture(visible / name, channels=3)


@pytest.fixture
def picture():
    return write_picture


@pytest.fixture
def mask():
    return write_mask


@pytest.fixture
def pairs_in():
    return write_pairs


@pytest.fixture
def voc():
    """Writes a VOC file: voc(path, ("Car", 1, 2, 10, 20), ...)."""

    def write(path: Path, *objects: tuple, size: tuple[int, int] = (32, 24)) -> Path:
        items = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax>"
            "</bndbox></object>"
            for name, a, b, c, d in objects
        )
        frame = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<annotation>{frame}{items}</annotation>")
        return path

    return write
