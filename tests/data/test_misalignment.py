"""The misalignment probe recovers shifts that were put in, and says nothing where there is nothing to see."""

import cv2
import numpy as np
import pytest

from fuse2task.data.check import MISALIGNED, check_dataset, edge_shift
from fuse2task.data.images import write_image
from fuse2task.data.loading import scan_dataset


def scene(size, seed=0):
    """Blurred blocks: a picture with edges, (height, width) uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (size[0] // 12 + 1, size[1] // 12 + 1), dtype=np.uint8)
    return cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, -2), (-5, 0), (0, 6), (7, 7)])
@pytest.mark.parametrize("size", [(120, 161), (979, 1040)])
def test_shifts_are_recovered_across_modalities(size, dx, dy):
    large = scene((size[0] + 16, size[1] + 16))
    infrared = 255 - large[8 : 8 + size[0], 8 : 8 + size[1]]  # inverted: the edges agree, the grey does not
    visible = large[8 - dy : 8 - dy + size[0], 8 - dx : 8 - dx + size[1]]
    found = edge_shift(infrared, np.ascontiguousarray(visible))
    assert found == pytest.approx((dx, dy), abs=0.3)


def test_shifts_beyond_reach_stay_within_it():
    large = scene((160, 160))
    found = edge_shift(large[20:140, 20:140], large[0:120, 0:120])
    assert max(abs(value) for value in found) <= 8


@pytest.mark.parametrize("size", [(3, 3), (20, 200), (100, 100)])
def test_nothing_to_see(size):
    assert edge_shift(np.full(size, 9, np.uint8), np.full(size, 7, np.uint8)) is None


def test_a_set_that_is_typically_further_apart_than_the_limit_is_a_finding(tmp_path):
    for number, shift in enumerate((7, 6, 0)):
        large = scene((116, 136), number)
        write_image(tmp_path / "ir" / f"{number}.png", 255 - large[8:108, 8:128])
        write_image(tmp_path / "vi" / f"{number}.png", np.ascontiguousarray(large[8:108, 8 - shift : 128 - shift]))
    report = check_dataset(*scan_dataset(tmp_path, "folder"))
    assert MISALIGNED < report.counts["misalignment"]["median"] == pytest.approx(6, abs=0.3)
    (finding,) = report.findings
    assert finding.kind == "misaligned"
    assert f"{tmp_path}: edges of both cameras are 6.0 px apart in half of 3 pairs" in finding.message
    assert check_dataset(*scan_dataset(tmp_path, "folder"), max_misalignment=6.5).findings == []
