"""Scores of IVIF_ZOO against plain NumPy and SciPy transcriptions of its formulas."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import correlate
from scipy.special import expit

from fuse2task.data.images import read_visible
from fusion.quality import fidelity, information, perception, similarity
from fusion.quality.definitions import pil_gray


def triple(height, width, top=256):
    rng = np.random.default_rng((height, width, top))
    a, b = rng.integers(0, top, (2, height, width)).astype(np.float64)
    return a, b, np.round((a + 2 * b) / 3 + rng.integers(0, 3, a.shape)).clip(0, 255)


def bits(*images, guard=0.0):
    shares = np.unique(np.stack([image.ravel() for image in images]), axis=1, return_counts=True)[1] / images[0].size
    return -(shares * np.log2(shares + guard)).sum()


def mutual(a, b):
    return bits(a) + bits(b) - bits(a, b)


def entropy(_a, _b, f):
    return bits(f, guard=1e-7)


def cross_entropy(a, b, f):
    def levels(values):
        return np.clip(values.astype(np.float32), np.float32(1e-7), np.float32(1 - 1e-7)).astype(np.float64)

    # In 32 bits sigmoid is 1 from 17 on.
    truth = levels((expit(a.astype(np.float32)) + expit(b.astype(np.float32))) / 2)
    guess = levels(expit(f.astype(np.float32)))
    return -(truth * np.log(guess) + (1 - truth) * np.log(1 - guess)).mean()


def normalised_information(a, b, f):
    return 2 * (mutual(a, f) + mutual(b, f)) / (bits(a) + bits(b) + 1e-10)


def correlation_information(a, b, f):
    shares = np.linalg.eigvalsh(np.corrcoef([a.ravel(), b.ravel(), f.ravel()])) / 3
    return 1 + (shares * np.log2(shares)).sum() / 8


def entropy_excess(a, b, f):
    return bits(a) + bits(b) - bits(f)


def vif(a, b, f):
    total = 0.0
    for ref in (a, b):
        dist, num, den = f, 0.0, 0.0
        for n in (17, 9, 5, 3):
            line = np.exp(-(np.linspace(-n // 2, n // 2, n) ** 2) / (2 * (n / 5) ** 2))
            window = np.outer(line, line) / line.sum() ** 2

            def mean(image, window=window):
                return correlate(image, window, mode="constant")

            if n < 17:
                ref, dist = mean(ref)[::2, ::2], mean(dist)[::2, ::2]
            m1, m2 = mean(ref), mean(dist)
            v1, v2 = np.maximum(mean(ref * ref) - m1 * m1, 0), np.maximum(mean(dist * dist) - m2 * m2, 0)
            c = mean(ref * dist) - m1 * m2
            g = c / (v1 + 1e-10)
            rest = v2 - g * c
            rest[g < 0], g[g < 0] = v2[g < 0], 0
            num += np.log10(1 + g * g * v1 / (np.maximum(rest, 1e-10) + 2)).sum()
            den += np.log10(1 + v1 / 2).sum()
        total += num / den
    return total


def qy(a, b, f):
    line = np.exp(-(np.arange(-3, 4) ** 2) / 4.5)
    window = np.tile(line / line.sum(), (7, 1))

    def moments(x, y):
        mx, my, xx, yy, xy = (correlate(z, window, mode="constant") for z in (x, y, x * x, y * y, x * y))
        vx, vy, c = xx - mx**2, yy - my**2, xy - mx * my
        return (2 * mx * my + 1e-4) * (2 * c + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)), vx, vy

    sources, va, vb = moments(a, b)
    first, second = moments(a, f)[0], moments(b, f)[0]
    share = va / (va + vb + 1e-10)
    return np.where(sources >= 0.75, share * first + (1 - share) * second, np.maximum(first, second)).mean()


def qcb(a, b, f):
    height, width = f.shape
    v, u = np.meshgrid(np.fft.fftfreq(height) * height / 30, np.fft.fftfreq(width) * width / 30, indexing="ij")
    radius = np.sqrt(u**2 + v**2)
    filtering = np.exp(-((radius / 15.3870) ** 2)) - 0.7622 * np.exp(-((radius / 1.3456) ** 2))
    x, y = np.mgrid[-15:16, -15:16]

    def masked(image):
        seen = np.fft.ifft2(np.fft.fft2((image - image.min()) / np.ptp(image)) * filtering).real
        blurs = []
        for sigma in (2, 4):
            window = np.exp(-(x**2 + y**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
            blurs.append(correlate(seen, window, mode="constant"))
        contrast = np.abs(blurs[0] / (blurs[1] + 1e-10) - 1)
        return contrast**3 / (contrast**2 + 1e-4)

    ca, cb, cf = masked(a), masked(b), masked(f)
    first, second = (np.where(c < cf, c / cf, cf / c) for c in (ca, cb))
    return ((ca**2 * first + cb**2 * second) / (ca**2 + cb**2 + 1e-10)).mean()


def summed_vif(infrared, visible, fused):
    return fidelity.padded_vif(infrared, fused) + fidelity.padded_vif(visible, fused)


def of_fused(_infrared, _visible, fused):
    return information.zoo_entropy(fused)


PAIRS = [
    (of_fused, entropy),
    (information.sigmoid_cross_entropy, cross_entropy),
    (information.zoo_normalised_information, normalised_information),
    (information.linear_correlation_information, correlation_information),
    (information.entropy_excess, entropy_excess),
    (summed_vif, vif),
    (similarity.unnormalised_qy, qy),
    (perception.zoo_qcb, qcb),
]


def tensors(*images):
    return [torch.from_numpy(np.ascontiguousarray(image, dtype=np.float64))[None] for image in images]


@pytest.mark.parametrize(("score", "definition"), PAIRS)
@given(size=st.tuples(st.integers(8, 40), st.integers(8, 40)), top=st.sampled_from([20, 256]))
@settings(max_examples=8)
def test_images_of_any_size_follow_the_definition(score, definition, size, top):
    images = triple(*size, top)
    rel = 1e-4 if definition is cross_entropy else 1e-6
    assert score(*tensors(*images)).item() == pytest.approx(definition(*images), rel=rel)


@pytest.mark.parametrize(("score", "definition"), PAIRS)
def test_a_real_pair_follows_the_definition(shared_path, score, definition):
    root = shared_path("data", "TNO_scores")
    folders = ("ir", "vi", "fused/SeAFusion")
    images = [pil_gray(read_visible(root / folder / "05.png"))[:101, :120].astype(np.float64) for folder in folders]
    assert score(*tensors(*images)).item() == pytest.approx(definition(*images), rel=1e-6)


def test_a_batch_equals_its_images_one_by_one():
    triples = [tensors(*triple(18, 22)), tensors(*triple(18, 22, 90))]
    batch = [torch.cat(images) for images in zip(*triples, strict=True)]
    for score, _ in PAIRS:
        np.testing.assert_allclose(score(*batch), [score(*images).item() for images in triples], rtol=1e-12)


def test_flat_and_black_images():
    black, flat = (torch.full((1, 16, 16), level, dtype=torch.float64) for level in (0.0, 90.0))
    varied = tensors(triple(16, 16)[0])[0]
    undefined = {
        information.linear_correlation_information: [(flat, varied, varied), (varied, varied, flat)],
        summed_vif: [(black, varied, varied)],
        perception.zoo_qcb: [(flat, varied, varied), (varied, varied, black)],
    }
    for score, cases in undefined.items():
        assert all(score(*case).isnan().item() for case in cases)
    for score in (
        information.sigmoid_cross_entropy,
        information.zoo_normalised_information,
        information.entropy_excess,
        similarity.unnormalised_qy,
    ):
        for case in ((black, black, black), (flat, black, varied), (varied, varied, varied), (flat, flat, flat)):
            assert score(*case).isfinite().item()
    assert information.linear_correlation_information(varied, varied, varied).item() == pytest.approx(1, abs=1e-6)
    assert fidelity.padded_vif(flat, flat).item() == pytest.approx(1, rel=1e-6)
    assert perception.zoo_qcb(varied, varied, varied).item() == pytest.approx(1, abs=1e-3)
    assert math.isclose(information.zoo_entropy(flat).item(), 0, abs_tol=1e-6)
