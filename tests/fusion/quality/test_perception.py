"""QCB and QCV against plain NumPy, and what they do at the edges. VIFB's published values: test_vifb.py."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate2d

from fuse2task.data.images import read_visible
from fusion.quality.definitions import matlab_gray
from fusion.quality.perception import qcb, qcv

sizes = st.tuples(st.integers(5, 40), st.integers(5, 40))


def stretched(image: np.ndarray) -> np.ndarray:
    return np.floor((image - image.min()) / (image.max() - image.min()) * 255 + 0.5)


def frequencies(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """MATLAB's freqspace: -1 to 1 with zero at index floor(n / 2), across and down."""
    across, down = (2 / n * (np.arange(n) - n // 2) for n in (width, height))
    return np.meshgrid(across, down)


def filtered(image: np.ndarray, gain: np.ndarray) -> np.ndarray:
    return np.fft.ifft2(np.fft.ifftshift(np.fft.fftshift(np.fft.fft2(image)) * gain)).real


def numpy_qcb(infrared: np.ndarray, visible: np.ndarray, fused: np.ndarray) -> float:
    """Chen & Blum (Image and Vision Computing 2009), section 4, with the constants of Liu et al. (TPAMI 2012)."""

    def masked(image: np.ndarray) -> np.ndarray:
        height, width = image.shape
        u, v = frequencies(height, width)
        r = np.sqrt((u * width / 30) ** 2 + (v * height / 30) ** 2)
        seen = filtered(stretched(image), np.exp(-((r / 15.387) ** 2)) - 0.7622 * np.exp(-((r / 1.3456) ** 2)))
        x, y = np.meshgrid(np.arange(-15, 16), np.arange(-15, 16))
        narrow, wide = (np.exp(-(x**2 + y**2) / (2 * s**2)) / (2 * np.pi * s**2) for s in (2, 4))
        inner, outer = (correlate2d(np.pad(seen, 15), window, "valid") for window in (narrow, wide))
        contrast = np.abs(inner / outer - 1)
        return contrast**3 / (contrast**2 + 1e-4)

    a, b, f = masked(infrared), masked(visible), masked(fused)
    kept_a, kept_b = (np.where(s < f, s / f, f / s) for s in (a, b))
    share = a**2 / (a**2 + b**2)
    return float((share * kept_a + (1 - share) * kept_b).mean())


def numpy_qcv(infrared: np.ndarray, visible: np.ndarray, fused: np.ndarray) -> float:
    """Chen & Varshney (Information Fusion 2007), section 3, alpha 5, regions of 16, Mannos & Sakrison's filter."""
    a, b, f = (stretched(image) for image in (infrared, visible, fused))
    height, width = f.shape
    u, v = frequencies(height, width)
    r = np.sqrt((u * width / 8) ** 2 + (v * height / 8) ** 2)
    gain = 2.6 * (0.0192 + 0.144 * r) * np.exp(-((0.144 * r) ** 1.1))
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    above = below = 0.0
    for source in (a, b):
        edges = np.hypot(correlate2d(source, sobel, "same"), correlate2d(source, sobel.T, "same"))
        seen = filtered(source - f, gain)
        for top in range(0, height, 16):
            for left in range(0, width, 16):
                region = np.s_[top : top + 16, left : left + 16]
                salient = (edges[region] ** 5).sum()
                above += salient * (seen[region] ** 2).sum() / 256
                below += salient
    return above / below


def triple(size: tuple[int, int], count: int = 1) -> np.ndarray:
    return np.random.default_rng(size).integers(0, 256, (3, count, *size)).astype(np.float64)


def tensors(images: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(image) for image in images]


@given(sizes)
def test_random_images_of_any_size_equal_numpy(size):
    images = triple(size)
    np.testing.assert_allclose(qcb(*tensors(images)), numpy_qcb(*images[:, 0]), rtol=1e-6)
    np.testing.assert_allclose(qcv(*tensors(images)), numpy_qcv(*images[:, 0]), rtol=1e-6)


@pytest.mark.parametrize("method", ["DenseFuse", "SeAFusion"])
def test_real_images_equal_numpy(shared_path, method):
    root = shared_path("data", "TNO_scores")
    files = [root / "ir" / "05.png", root / "vi" / "05.png", root / "fused" / method / "05.png"]
    images = np.stack([matlab_gray(read_visible(file))[60:191, 100:300] for file in files]).astype(np.float64)[:, None]
    np.testing.assert_allclose(qcb(*tensors(images)), numpy_qcb(*images[:, 0]), rtol=1e-6)
    np.testing.assert_allclose(qcv(*tensors(images)), numpy_qcv(*images[:, 0]), rtol=1e-6)


@pytest.mark.parametrize("score", [qcb, qcv])
def test_batch_equals_one_by_one(score):
    images = triple((33, 50), count=3)
    one_by_one = [score(*tensors(images[:, k : k + 1])).item() for k in range(3)]
    np.testing.assert_allclose(score(*tensors(images)), one_by_one, rtol=1e-10)


def test_identical_images_are_perfect():
    image = tensors(triple((48, 40)))[0]
    assert qcb(image, image, image).item() == 1
    assert qcv(image, image, image).item() == 0


def test_noise_is_worse_for_both():
    smooth = torch.linspace(0, 255, 64, dtype=torch.float64).expand(1, 48, 64) + 20 * torch.eye(48, 64)
    noisy = smooth + torch.from_numpy(np.random.default_rng(0).normal(0, 15, (1, 48, 64)))
    assert qcb(smooth, smooth, noisy).item() < 0.9
    assert qcv(smooth, smooth, noisy).item() > 10


def test_flat_images():
    a, b, f = tensors(triple((16, 16)))
    black, grey = torch.zeros_like(f), torch.full_like(f, 90.0)
    for flat in (black, grey):
        assert qcb(flat, b, f).isnan().all()
        assert qcb(a, b, flat).isnan().all()
        # A source without edges has no say.
        torch.testing.assert_close(qcv(flat, b, f), qcv(b, b, f))
        assert qcv(a, b, flat).isfinite().all()
        assert qcv(flat, flat, f).isnan().all()


def test_images_with_a_black_half_are_finite():
    images = triple((64, 400))
    images[..., :200] = 0
    for score in (qcb, qcv):
        assert score(*tensors(images)).isfinite().all()
