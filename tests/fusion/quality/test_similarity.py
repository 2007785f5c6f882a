"""SSIM and MS-SSIM against scikit-image and torchmetrics."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from fuse2task.data.images import read_visible
from fusion.quality.definitions import matlab_gray
from fusion.quality.similarity import ms_ssim, ssim


def smooth_pair(height: int, width: int, count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    coarse = torch.rand(count, 2, 12, 14, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    fine = torch.rand(count, 2, height, width, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    images = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1) * 200 + fine * 55
    mixed = 0.6 * images[:, 0] + 0.4 * images[:, 1]
    return images[:, 0].round(), mixed.round()


def test_ssim_equals_scikit_image():
    a, b = smooth_pair(40, 57)
    expected = []
    for x, y in zip(a.numpy(), b.numpy(), strict=True):
        full = structural_similarity(
            x, y, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True,
            truncate=10 / 3,
        )[1]  # fmt: skip
        expected.append(full[5:-5, 5:-5].mean())
    np.testing.assert_allclose(ssim(a, b), expected, rtol=1e-9)


def torchmetrics_ms_ssim(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """MS-SSIM from torchmetrics' maps on valid windows.

    Its own MS-SSIM takes the last level's SSIM over a padded image (though not the other levels' parts).
    """
    product = torch.ones(len(a), dtype=torch.float64)
    for level, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        options = {"data_range": 255.0, "reduction": "none"}
        if level < 4:
            term = structural_similarity_index_measure(a, b, return_contrast_sensitivity=True, **options)[1]
            a, b = (torch.nn.functional.avg_pool2d(image, 2) for image in (a, b))
        else:
            term = structural_similarity_index_measure(a, b, return_full_image=True, **options)[1]
            term = term[..., 5:-5, 5:-5].mean(dim=(1, 2, 3))
        product *= term**weight
    return product


def test_ms_ssim_equals_torchmetrics_on_valid_windows():
    a, b = smooth_pair(193, 260)
    np.testing.assert_allclose(ms_ssim(a, b), torchmetrics_ms_ssim(b[:, None], a[:, None]), rtol=1e-9)


@pytest.mark.slow
def test_real_pair_agrees_with_torchmetrics(shared_path):
    ir = matlab_gray(read_visible(shared_path("data", "TNO_scores", "ir", "14.png")))
    fused = matlab_gray(read_visible(shared_path("data", "TNO_scores", "fused", "U2Fusion", "14.png")))
    a, b = (torch.from_numpy(image).double()[None] for image in (ir, fused))
    full = structural_similarity_index_measure(b[:, None], a[:, None], data_range=255.0, return_full_image=True)[1]
    assert ssim(a, b).item() == pytest.approx(full[..., 5:-5, 5:-5].mean().item(), rel=1e-9)
    assert ms_ssim(a, b).item() == pytest.approx(torchmetrics_ms_ssim(b[:, None], a[:, None]).item(), rel=1e-9)


def test_an_image_is_like_itself_and_small_ones_are_not_defined():
    a, _ = smooth_pair(180, 180, count=1)
    assert ssim(a, a).item() == pytest.approx(1)
    assert ms_ssim(a, a).item() == pytest.approx(1)
    assert ms_ssim(a[:, :175], a[:, :175]).isnan().all()
    assert ssim(a[:, :10], a[:, :10]).isnan().all()
    constant = torch.full((1, 16, 16), 7.0, dtype=torch.float64)
    assert ssim(constant, constant).item() == 1
