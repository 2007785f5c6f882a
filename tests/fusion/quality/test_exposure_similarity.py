"""MEF-SSIM against a transcription that walks from window to window."""

import math

import numpy as np
import pytest
import torch

from fuse2task.data.images import read_visible
from fusion.quality.definitions import matlab_gray
from fusion.quality.similarity import mef_ms_ssim, mef_ssim

LINE = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
GAUSSIAN = np.outer(LINE, LINE) / LINE.sum() ** 2


def one_level(sources, fused):
    """Ma, Zeng and Wang, IEEE TIP 2015, section III, one scale, with the guards of the authors' code."""
    values = []
    for top in range(fused.shape[0] - 10):
        for left in range(fused.shape[1] - 10):
            patches = [image[top : top + 11, left : left + 11] for image in (*sources, fused)]
            centred = [patch - patch.mean() for patch in patches]
            norms = [np.linalg.norm(patch) for patch in centred[:2]]
            consistency = (np.linalg.norm(centred[0] + centred[1]) + 1e-16) / (sum(norms) + 1e-16)
            power = min(math.tan(math.pi / 2 * min(consistency, 1 - 2.2e-16)), 10)
            guarded = [norm + 0.001 for norm in norms]
            weights = [(norm / 11) ** power for norm in guarded]
            desired = sum(
                w / sum(weights) * patch / norm for w, patch, norm in zip(weights, centred, guarded, strict=False)
            )
            if np.linalg.norm(desired) > 0:
                desired = desired / np.linalg.norm(desired) * max(guarded)
            desired = desired - (GAUSSIAN * desired).sum()
            other = patches[2] - (GAUSSIAN * patches[2]).sum()
            c = (0.03 * 255) ** 2
            moments = [(GAUSSIAN * product).sum() for product in (desired * other, desired**2, other**2)]
            values.append((2 * moments[0] + c) / (moments[1] + moments[2] + c))
    return np.mean(values)


def halved(image):
    padded = np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2)), mode="symmetric")
    return (padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]) / 4


def three_levels(a, b, f):
    product, weights = 1.0, np.array([0.0448, 0.2856, 0.3001])
    for weight in weights / weights.sum():
        product *= one_level((a, b), f) ** weight
        a, b, f = halved(a), halved(b), halved(f)
    return product


def tensors(*images):
    return [torch.from_numpy(np.ascontiguousarray(image, dtype=np.float64))[None] for image in images]


def test_random_images_follow_the_definition():
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 256, (2, 45, 47)).astype(np.float64)
    b[:, :20] = np.round(0.2 * a[:, :20] + 100)
    fused = np.round((a + b) / 2 + rng.normal(0, 10, a.shape))
    assert mef_ms_ssim(*tensors(a, b, fused)).item() == pytest.approx(three_levels(a, b, fused), rel=1e-6)


def test_a_real_pair_follows_the_definition(shared_path):
    root = shared_path("data", "TNO_scores")
    folders = ("ir", "vi", "fused/U2Fusion")
    images = [matlab_gray(read_visible(root / folder / "05.png"))[60:106, 80:125] for folder in folders]
    expected = three_levels(*(image.astype(np.float64) for image in images))
    assert mef_ms_ssim(*tensors(*images)).item() == pytest.approx(expected, rel=1e-6)


def test_equal_flat_black_and_small_images():
    varied = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 48, 48)).astype(np.float64))
    flat, black = torch.full_like(varied, 90.3), torch.zeros_like(varied)
    np.testing.assert_allclose(mef_ms_ssim(varied, varied, varied), 1, atol=1e-4)
    np.testing.assert_allclose(mef_ms_ssim(flat, black, flat), 1, atol=1e-9)
    np.testing.assert_allclose(mef_ms_ssim(flat, varied, varied), 1, atol=1e-3)
    assert (mef_ssim(black, flat, varied) < 0.05).all()
    assert mef_ssim(varied, 255 - varied, varied).isfinite().all()
    assert mef_ms_ssim(*(image[:, :43] for image in (varied, varied, varied))).isnan().all()
    both = mef_ms_ssim(varied, flat, varied.flip(0) / 2 + varied / 2)
    one = mef_ms_ssim(varied[1:], flat[1:], varied[:1] / 2 + varied[1:] / 2)
    assert both[1].item() == pytest.approx(one.item(), rel=1e-12)
