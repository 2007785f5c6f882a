"""The example judge ESPNetv2: loads the released weights strictly, and gives the class maps of its authors' code."""

import sys
from pathlib import Path

import numpy as np
import pytest

from fuse2task.data.images import read_infrared, read_mask, read_visible
from fuse2task.runtime.errors import RequestError

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "espnetv2-judge"
WEIGHTS = {"city": "espnetv2_s_2.0_city_1024x512.pth", "voc": "espnetv2_s_2.0_pascal_384x384.pth"}


@pytest.fixture
def package(monkeypatch):
    """The example's package."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield pytest.importorskip("espnetv2_judge")
    for name in [name for name in sys.modules if name.startswith("espnetv2_judge")]:
        del sys.modules[name]


def judge(package, kind, weights):
    return {"city": package.cityscapes, "voc": package.voc}[kind](weights)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["city", "voc"])
def test_class_maps_equal_those_of_the_authors_code(package, shared_path, kind):
    made = judge(package, kind, shared_path("weights", "espnetv2", WEIGHTS[kind]))
    pairs, golden = shared_path("data", "MSRS", "test"), shared_path("golden", "espnetv2")
    for key in ("00055D", "00762N"):
        visible, infrared = read_visible(pairs / "vi" / f"{key}.png"), read_infrared(pairs / "ir" / f"{key}.png")
        average = ((visible.astype(np.int64) + infrared[..., None]) // 2).astype(np.uint8)
        for name, image in {"visible": visible, "average": average}.items():
            found = made.segment(image).argmax(axis=0)
            assert (found == read_mask(golden / f"{key}_{name}_{kind}.png")).mean() >= 0.999


def test_what_decides_is_in_the_identity(package, tmp_path):
    import torch

    for kind, classes in {"city": 20, "voc": 21}.items():
        path = tmp_path / f"{kind}.pth"
        torch.save(package.network.ESPNetv2(classes).state_dict(), path)
        made = judge(package, kind, path)
        assert len(made.classes) == classes
        assert made.identity()["size"] == list(map(int, made.image_size.split("x")))
        assert made.segment(np.zeros((30, 40, 3), np.uint8)).shape == (classes, 30, 40)
    with pytest.raises(RequestError, match=r"city\.pth: not ESPNetv2 .* with 21 classes"):
        judge(package, "voc", tmp_path / "city.pth")
