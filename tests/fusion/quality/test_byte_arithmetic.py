"""SD, MI and VIF in 8-bit arithmetic against NumPy's own uint8 and SciPy's convolution."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import convolve2d

from fusion.quality.fidelity import byte_vif, vif
from fusion.quality.information import byte_mutual_information, mutual_information
from fusion.quality.pixels import byte_deviation


def tensor(image):
    return torch.from_numpy(image.astype(np.float64))[None]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 255))
def test_deviation_saturates(height, width, top):
    image = np.random.default_rng(top).integers(0, top + 1, (height, width))
    # Decimal-free rounding half away from zero, as MATLAB's uint8 rounds.
    differences = [int(value - image.mean() + 0.5) if value > image.mean() else 0 for value in image.ravel()]
    expected = np.sqrt(np.mean([min(difference**2, 255) for difference in differences]))
    assert byte_deviation(tensor(image)).item() == pytest.approx(expected, rel=1e-12)


def test_mutual_information_merges_the_two_brightest_levels_in_the_joint_histogram():
    rng = np.random.default_rng(0)
    a, f = rng.integers(250, 256, (2, 40, 40))

    def bits(*levels):
        shares = np.unique(np.stack([level.ravel() for level in levels]), axis=1, return_counts=True)[1] / 1600
        return -(shares * np.log2(shares)).sum()

    expected = bits(a) + bits(f) - bits(np.minimum(a, 254), np.minimum(f, 254))
    assert byte_mutual_information(tensor(a), tensor(f)).item() == pytest.approx(expected, rel=1e-12)
    dark = tensor(a - 10), tensor(f - 10)
    assert byte_mutual_information(*dark).item() == pytest.approx(mutual_information(*dark).item(), rel=1e-12)


def vif_in_bytes(ref, dist):
    """vifp_mscale of Sheikh and Bovik on uint8 arrays, whose products saturate while they are uint8."""
    num = den = 0.0
    top = 255.0
    for n in (17, 9, 5, 3):
        line = np.exp(-((np.arange(n) - n // 2) ** 2) / (2 * (n / 5) ** 2))
        window = np.outer(line, line) / line.sum() ** 2

        def mean(image, window=window):
            return convolve2d(image, window, mode="valid")

        if n < 17:
            ref, dist, top = mean(ref)[::2, ::2], mean(dist)[::2, ::2], np.inf
        m1, m2 = mean(ref), mean(dist)
        v1 = np.maximum(mean(np.minimum(ref * ref, top)) - m1 * m1, 0)
        v2 = np.maximum(mean(np.minimum(dist * dist, top)) - m2 * m2, 0)
        c = mean(np.minimum(ref * dist, top)) - m1 * m2
        g = c / (v1 + 1e-10)
        rest = v2 - g * c
        g[v1 < 1e-10], rest[v1 < 1e-10] = 0, v2[v1 < 1e-10]
        v1[v1 < 1e-10] = 0
        g[v2 < 1e-10], rest[v2 < 1e-10] = 0, 0
        rest[g < 0], g[g < 0] = v2[g < 0], 0
        rest = np.maximum(rest, 1e-10)
        num += np.log10(1 + g * g * v1 / (rest + 2)).sum()
        den += np.log10(1 + v1 / 2).sum()
    return num / den


@pytest.mark.parametrize("top", [15, 255])
def test_vif_cuts_products_of_the_first_scale(top):
    rng = np.random.default_rng(top)
    sources = rng.integers(0, top + 1, (2, 64, 52)).astype(np.float64)
    fused = np.round(0.7 * sources + rng.integers(0, 5, sources.shape)).clip(0, top)
    values = byte_vif(torch.from_numpy(sources), torch.from_numpy(fused))
    expected = [vif_in_bytes(source, image) for source, image in zip(sources, fused, strict=True)]
    np.testing.assert_allclose(values, expected, rtol=1e-7)
    if top == 15:  # 15 * 15 fits
        np.testing.assert_allclose(values, vif(torch.from_numpy(sources), torch.from_numpy(fused)), rtol=1e-12)


def test_flat_and_small_images():
    flat = torch.full((2, 64, 64), 9.0, dtype=torch.float64)
    varied = torch.rand(2, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 255
    assert byte_deviation(flat).tolist() == [0, 0]
    assert byte_mutual_information(flat, flat).tolist() == [0, 0]
    assert byte_vif(flat * 0, varied).isnan().all()
    assert byte_vif(varied, flat).tolist() == [0, 0]
    assert byte_vif(varied[:, :40], varied[:, :40]).isnan().all()
