"""SSIM with the wrong range against scikit-image told the same wrong range, and SciPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import correlate1d
from scipy.signal import fftconvolve
from skimage.metrics import structural_similarity

from fuse2task.data.images import read_visible
from fusion.quality.definitions import matlab_gray
from fusion.quality.similarity import matlab_unit_ssim, uniform_ssim, unit_ms_ssim, unit_ssim


def pair(height, width):
    rng = np.random.default_rng((height, width))
    source = rng.integers(0, 256, (height, width)).astype(np.float64)
    return source, np.round(0.5 * source + rng.integers(0, 100, source.shape))


def tensors(*images):
    return [torch.from_numpy(image.astype(np.float64))[None] for image in images]


def matlab_ssim(a, b):
    """Wang et al. 2004, eq. 13, over all pixels, borders repeated: imgaussfilt of sigma 1.5 and radius 5."""
    taps = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    taps /= taps.sum()

    def mean(image):
        return correlate1d(correlate1d(image, taps, 0, mode="nearest"), taps, 1, mode="nearest")

    ma, mb = mean(a), mean(b)
    va, vb, c = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    return ((2 * ma * mb + 1e-4) * (2 * c + 9e-4) / (ma**2 + mb**2 + 1e-4) / (va + vb + 9e-4)).mean()


@given(st.tuples(st.integers(11, 40), st.integers(11, 40)))
@settings(max_examples=20)
def test_any_size(size):
    a, b = pair(*size)
    expected = structural_similarity(a, b, data_range=2)
    assert uniform_ssim(*tensors(a, b)).item() == pytest.approx(expected, rel=1e-9)
    gaussian = {"gaussian_weights": True, "use_sample_covariance": False, "sigma": 1.5, "truncate": 3.5}
    expected = structural_similarity(a, b, data_range=1, **gaussian)
    assert unit_ssim(*tensors(a, b)).item() == pytest.approx(expected, rel=1e-9)
    assert matlab_unit_ssim(*tensors(a, b)).item() == pytest.approx(matlab_ssim(a, b), rel=1e-9)


def test_real_pairs(shared_path):
    root = shared_path("data", "TNO_scores")
    visible, fused = (matlab_gray(read_visible(root / folder / "05.png")) for folder in ("vi", "fused/SeAFusion"))
    visible, fused = visible.astype(np.float64), fused.astype(np.float64)
    expected = structural_similarity(visible, fused, data_range=2)
    assert uniform_ssim(*tensors(visible, fused)).item() == pytest.approx(expected, rel=1e-6)
    assert matlab_unit_ssim(*tensors(visible, fused)).item() == pytest.approx(matlab_ssim(visible, fused), rel=1e-6)


def five_levels(a, b):
    """Wang, Simoncelli and Bovik 2003, eq. 7; between levels torch's avg_pool2d(2, padding=side % 2)."""
    taps = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    window = np.outer(taps, taps) / taps.sum() ** 2
    product = 1.0
    for level, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        ma, mb, aa, bb, ab = (fftconvolve(x, window, mode="valid") for x in (a, b, a * a, b * b, a * b))
        contrast = (2 * (ab - ma * mb) + 9e-4) / (aa - ma**2 + bb - mb**2 + 9e-4)
        values = contrast if level < 4 else contrast * (2 * ma * mb + 1e-4) / (ma**2 + mb**2 + 1e-4)
        product *= max(values.mean(), 0) ** weight
        a, b = (np.pad(image, [(side % 2, 0) for side in image.shape]) for image in (a, b))
        a, b = (np.pad(image, [(0, side % 2) for side in image.shape]) for image in (a, b))
        a, b = ((x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4 for x in (a, b))
    return product


@pytest.mark.parametrize("size", [(192, 208), (177, 181), (190, 163)])
def test_multiscale_follows_the_definition(size):
    a, b = pair(*size)
    assert unit_ms_ssim(*tensors(a, b)).item() == pytest.approx(five_levels(a, b), rel=1e-8)
    assert unit_ms_ssim(*tensors(a[:160], b[:160])).isnan().item()


def test_equal_flat_black_and_small_images():
    black, flat = (torch.full((2, 176, 176), level, dtype=torch.float64) for level in (0.0, 90.0))
    varied = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 176, 176)).astype(np.float64))
    for score in (unit_ssim, matlab_unit_ssim, uniform_ssim, unit_ms_ssim):
        for image in (black, flat, varied):
            np.testing.assert_allclose(score(image, image), 1, atol=1e-9)
        assert score(black, varied).abs().max() < 0.1
        one_by_one = [score(varied[i : i + 1], varied.flip(0)[i : i + 1]).item() for i in (0, 1)]
        np.testing.assert_allclose(score(varied, varied.flip(0)), one_by_one, rtol=1e-12)
    tiny = varied[:, :6, :6]
    assert unit_ssim(tiny, tiny).isnan().all()
    assert uniform_ssim(tiny, tiny).isnan().all()
    np.testing.assert_allclose(matlab_unit_ssim(tiny, tiny), 1, atol=1e-9)
