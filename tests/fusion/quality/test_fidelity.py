"""VIF against torchmetrics, and what it does where there is nothing to see."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import visual_information_fidelity

from fuse2task.data.images import read_visible
from fusion.quality.definitions import matlab_gray
from fusion.quality.fidelity import vif


def gray(path):
    return torch.from_numpy(matlab_gray(read_visible(path))).double()[None]


@pytest.mark.parametrize("method", ["DenseFuse", "SeAFusion", "U2Fusion"])
def test_each_source_of_real_pairs_agrees_with_torchmetrics(shared_path, method):
    root = shared_path("data", "TNO_scores")
    fused = gray(root / "fused" / method / "05.png")
    for modality in ("ir", "vi"):
        source = gray(root / modality / "05.png")
        expected = visual_information_fidelity(fused[:, None], source[:, None])
        assert vif(source, fused).item() == pytest.approx(expected.item(), rel=1e-5)


def test_batch_equals_one_by_one():
    a, b = torch.rand(2, 3, 60, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 255
    one_by_one = [vif(x[None], y[None]).item() for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(vif(a, b), one_by_one, rtol=1e-12)


def test_the_source_itself_keeps_all_and_a_flat_fused_image_nothing():
    image = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 255
    assert vif(image, image).item() == pytest.approx(1, rel=1e-9)
    assert vif(image, torch.full_like(image, 90.0)).item() == 0
    assert vif(image, (image - 128) * 1.5 + 128).item() > 1


def test_flat_sources_and_small_images_are_not_defined():
    flat = torch.zeros(1, 64, 64, dtype=torch.float64)
    assert vif(flat, flat + 3).isnan().all()
    small = torch.rand(2, 40, 64, dtype=torch.float64)
    assert vif(small, small).isnan().all()
