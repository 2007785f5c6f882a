"""QM against plain NumPy, and what it does at the edges."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fuse2task.data.images import read_visible
from fusion.quality.definitions import matlab_gray
from fusion.quality.edges import haar_bands, qm


def numpy_bands(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal Haar transform of 2 x 2 pixels: the mean band, and the three details (3, h, w)."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    mean, details = np.zeros((height, width)), np.zeros((3, height, width))
    basis = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 2
    for y in range(height):
        for x in range(width):
            mean[y, x], *details[:, y, x] = basis @ image[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel()
    return mean, details


def numpy_qm(infrared: np.ndarray, visible: np.ndarray, fused: np.ndarray) -> float:
    """Wang & Wang (ICSP 2008): edges kept at each level, Q_1^(2/3) Q_2^(1/3), as Liu et al. (TPAMI 2012) 3.2.2."""
    score = 1.0
    for power in (2 / 3, 1 / 3):
        (infrared, a), (visible, b), (fused, f) = (numpy_bands(image) for image in (infrared, visible, fused))
        kept = [sum(np.exp(-np.abs(source[k] - f[k])) for k in range(3)) for source in (a, b)]
        weights = [(source**2).sum(axis=0) for source in (a, b)]
        score *= ((kept[0] * weights[0] + kept[1] * weights[1]).sum() / sum(w.sum() for w in weights)) ** power
    return score


def triple(size: tuple[int, int], count: int = 1) -> torch.Tensor:
    # Few grey levels: details of the fused image are often near the sources'.
    return torch.from_numpy(np.random.default_rng(size).integers(0, 6, (3, count, *size)).astype(np.float64))


@given(st.tuples(st.integers(4, 21), st.integers(4, 21)))
def test_random_images_of_any_size_equal_numpy(size):
    images = triple(size)
    np.testing.assert_allclose(qm(*images), numpy_qm(*images[:, 0].numpy()), rtol=1e-9)


@pytest.mark.parametrize("method", ["DenseFuse", "SeAFusion"])
def test_real_images_equal_numpy(shared_path, method):
    root = shared_path("data", "TNO_scores")
    files = [root / "ir" / "05.png", root / "vi" / "05.png", root / "fused" / method / "05.png"]
    images = np.stack([matlab_gray(read_visible(file))[60:191, 100:200] for file in files]).astype(np.float64)
    np.testing.assert_allclose(qm(*torch.from_numpy(images)[:, None]), numpy_qm(*images), rtol=1e-9)


def test_bands_keep_the_energy():
    image = triple((16, 24))[0]
    fine, coarse = haar_bands(image)
    means = image.unfold(1, 4, 4).unfold(2, 4, 4).mean(dim=(3, 4)) * 4
    energy = fine.square().sum() + coarse.square().sum() + means.square().sum()
    torch.testing.assert_close(energy, image.square().sum())


def test_batch_equals_one_by_one():
    images = triple((18, 21), count=3)
    one_by_one = [qm(*images[:, k : k + 1]).item() for k in range(3)]
    np.testing.assert_allclose(qm(*images), one_by_one, rtol=1e-12)


def test_three_bands_kept_make_three():
    image = triple((16, 16))[0]
    assert qm(image, image, image).item() == pytest.approx(3, rel=1e-12)
    assert 0 <= qm(image, image, image * 0 + 9).item() < 3


def test_nothing_to_keep_is_not_defined():
    image = triple((16, 16))[0]
    flat = torch.zeros_like(image)
    assert qm(flat, flat + 7, image).isnan().all()
    assert qm(flat, image, flat).isfinite().all()
    assert qm(*triple((3, 9))).isnan().all()
