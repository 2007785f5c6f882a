"""Scores against scikit-image and scikit-learn-free NumPy."""

import numpy as np
import pytest
import torch
from skimage.measure import shannon_entropy
from skimage.metrics import structural_similarity

from fusion.quality import entropy, mutual_information, ssim


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (3, 40, 50)).astype(np.uint8)
    b = (a * 0.5 + rng.integers(0, 100, a.shape)).astype(np.uint8)
    return a, b


def test_entropy_equals_scikit_image(pair):
    expected = [shannon_entropy(image) for image in pair[0]]
    np.testing.assert_allclose(entropy(torch.from_numpy(pair[0]).float()), expected, rtol=1e-9)


def test_entropy_of_a_constant_image_is_zero():
    assert entropy(torch.full((1, 8, 8), 9.0)).item() == 0


def test_mutual_information_equals_numpys_joint_histogram(pair):
    for a, b, found in zip(*pair, mutual_information(*(torch.from_numpy(x).float() for x in pair)), strict=True):
        joint = np.histogram2d(a.ravel(), b.ravel(), bins=256, range=((0, 256), (0, 256)))[0] / a.size
        product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
        seen = joint > 0
        assert found.item() == pytest.approx((joint[seen] * np.log2(joint[seen] / product[seen])).sum(), rel=1e-9)


def test_mutual_information_with_itself_is_the_entropy(pair):
    image = torch.from_numpy(pair[0]).float()
    np.testing.assert_allclose(mutual_information(image, image), entropy(image), rtol=1e-9)


def test_ssim_equals_scikit_image(pair):
    expected = []
    for a, b in zip(*pair, strict=True):
        full = structural_similarity(
            a.astype(float), b.astype(float), data_range=255, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False, full=True, truncate=10 / 3,
        )[1]  # fmt: skip
        expected.append(full[5:-5, 5:-5].mean())
    found = ssim(*(torch.from_numpy(x).float() for x in pair))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
