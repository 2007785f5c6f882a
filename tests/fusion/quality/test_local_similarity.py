"""QS and QY against scikit-image and plain NumPy, and what they do at the edges."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from fuse2task.data.images import read_visible
from fusion.quality.definitions import matlab_gray
from fusion.quality.similarity import qs, qy


def window(size: int) -> np.ndarray:
    axis = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * 1.5**2))
    return np.outer(axis, axis) / axis.sum() ** 2


def local_moments(a: np.ndarray, b: np.ndarray, size: int) -> tuple[np.ndarray, ...]:
    """Means, variances and covariance in every valid window, from differences to its first pixel: exact where flat."""
    views = [np.lib.stride_tricks.sliding_window_view(image, (size, size)) for image in (a, b)]
    first = [view[..., :1, :1] for view in views]
    differences = [view - pixel for view, pixel in zip(views, first, strict=True)]
    means = [np.einsum("hwij,ij->hw", difference, window(size)) for difference in differences]

    def moment(i: int, j: int) -> np.ndarray:
        return np.einsum("hwij,hwij,ij->hw", differences[i], differences[j], window(size)) - means[i] * means[j]

    mean_a, mean_b = (mean + pixel[..., 0, 0] for mean, pixel in zip(means, first, strict=True))
    return mean_a, mean_b, moment(0, 0), moment(1, 1), moment(0, 1)


def share_of_variance(a: np.ndarray, b: np.ndarray, size: int) -> np.ndarray:
    """Of the first image in every window; half where both are flat."""
    _, _, var_a, var_b, _ = local_moments(a, b, size)
    return np.where(var_a + var_b == 0, 0.5, var_a / np.where(var_a + var_b == 0, 1, var_a + var_b))


def numpy_qs(infrared: np.ndarray, visible: np.ndarray, fused: np.ndarray) -> float:
    """Piella & Heijmans (ICIP 2003), eq. 4, as Liu et al. (TPAMI 2012) take it: with SSIM in the place of Q_0."""
    ssim_a, ssim_b = (
        structural_similarity(
            source, fused, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True,
            truncate=10 / 3,
        )[1][5:-5, 5:-5]
        for source in (infrared, visible)
    )  # fmt: skip
    share = share_of_variance(infrared, visible, 11)
    return float((share * ssim_a + (1 - share) * ssim_b).mean())


def numpy_qy(infrared: np.ndarray, visible: np.ndarray, fused: np.ndarray) -> float:
    """Yang et al. (Information Fusion 2008): weighted where SSIM(A, B) >= .75, else the greater; C1 = C2 = 2e-16."""

    def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        mean_a, mean_b, var_a, var_b, covariance = local_moments(a, b, 7)
        luminance = (2 * mean_a * mean_b + 2e-16) / (mean_a**2 + mean_b**2 + 2e-16)
        return luminance * (2 * covariance + 2e-16) / (var_a + var_b + 2e-16)

    share = share_of_variance(infrared, visible, 7)
    to_a, to_b = ssim(infrared, fused), ssim(visible, fused)
    alike = ssim(infrared, visible) >= 0.75
    return float(np.where(alike, share * to_a + (1 - share) * to_b, np.maximum(to_a, to_b)).mean())


def triple(size: tuple[int, int], count: int = 1) -> torch.Tensor:
    """Sources that are alike in their left half only, so that both branches of QY are taken."""
    rng = np.random.default_rng(size)
    images = rng.integers(0, 256, (3, count, *size)).astype(np.float64)
    half = size[1] // 2
    images[1:, ..., :half] = 0.9 * images[:1, ..., :half] + 0.1 * images[1:, ..., :half]
    return torch.from_numpy(images).round()


@given(st.tuples(st.integers(11, 40), st.integers(11, 40)))
def test_random_images_of_any_size_equal_the_formula(size):
    images = triple(size)
    np.testing.assert_allclose(qs(*images), numpy_qs(*images[:, 0].numpy()), rtol=1e-6)
    np.testing.assert_allclose(qy(*images), numpy_qy(*images[:, 0].numpy()), rtol=1e-6)


REAL = [
    ("TNO_scores", "05.png", "SeAFusion", np.s_[60:191, 100:200]),
    # Overexposed infrared over dark ground: windows that are flat in both sources.
    ("VIFB_scores", "labMan.jpg", "ADF", np.s_[380:480, 520:640]),
]


@pytest.mark.parametrize(("data", "image", "method", "crop"), REAL)
def test_real_images_equal_the_formula(shared_path, data, image, method, crop):
    root = shared_path("data", data)
    files = [root / "ir" / image, root / "vi" / image, root / "fused" / method / image]
    images = np.stack([matlab_gray(read_visible(file))[crop] for file in files]).astype(np.float64)
    for score, expected in ((qs, numpy_qs), (qy, numpy_qy)):
        np.testing.assert_allclose(score(*torch.from_numpy(images)[:, None]), expected(*images), rtol=1e-6)


@pytest.mark.parametrize("score", [qs, qy])
def test_batch_equals_one_by_one(score):
    images = triple((20, 31), count=3)
    one_by_one = [score(*images[:, k : k + 1]).item() for k in range(3)]
    np.testing.assert_allclose(score(*images), one_by_one, rtol=1e-9)


@pytest.mark.parametrize("score", [qs, qy])
@pytest.mark.parametrize("level", [0.0, 16.0, 255.0])
def test_identical_images_are_perfect_flat_ones_too(score, level):
    image = triple((16, 16))[0]
    image[..., :9] = level
    flat = torch.full_like(image, level)
    assert score(image, image, image).item() == pytest.approx(1, rel=1e-9)
    assert score(flat, flat, flat).item() == 1
    assert score(flat, image, image).isfinite().all()
    assert score(image, image, flat).isfinite().all()


def test_windows_that_are_flat_in_both_sources_are_weighted_by_halves():
    black, bright = torch.zeros(1, 16, 16, dtype=torch.float64), torch.full((1, 16, 16), 100.0, dtype=torch.float64)
    luminance = (0.01 * 255) ** 2 / (100**2 + (0.01 * 255) ** 2)
    assert qs(black, bright, bright).item() == pytest.approx((1 + luminance) / 2)
    # To QY these sources are unlike, whatever their structure: the greater similarity counts.
    assert qy(black, bright, bright).item() == 1
    # Levels that are not whole numbers leave rounding errors in the moments, which the score must not compare.
    assert qy(bright + 0.1, bright + 0.2, bright).item() == pytest.approx(1, abs=1e-5)


def test_images_smaller_than_a_window_are_not_defined():
    assert qs(*triple((10, 30))).isnan().all()
    assert qy(*triple((30, 6))).isnan().all()
