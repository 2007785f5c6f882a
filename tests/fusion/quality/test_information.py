"""EN, MI, CE, NMI, QNCIE, TE against scikit-image, VIFB's published numbers and transcriptions of the papers."""

import csv
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.measure import shannon_entropy
from skimage.metrics import normalized_mutual_information

from fusion.quality.filters import sharing
from fusion.quality.information import (
    cross_entropy,
    entropy,
    mutual_information,
    nonlinear_correlation,
    normalised_mutual_information,
    stretched,
    stretched_mutual_information,
    tsallis_information,
    tsallis_information_of_kit,
)

OF_TRIPLES = (normalised_mutual_information, nonlinear_correlation, tsallis_information, tsallis_information_of_kit)
ORDER = 0.43137


def triple(seed: int, height: int = 40, width: int = 50) -> np.ndarray:
    """Two sources that share something, and their mean: (3, H, W) whole levels."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 256, (height, width)) * (rng.random((height, width)) < 0.8)
    b = np.clip(a // 2 + rng.integers(0, 120, (height, width)), 0, 255)
    return np.stack([a, b, (a + b) // 2]).astype(np.float64)


def real(shared_path) -> np.ndarray:
    files = [shared_path("data", "TNO_CrossFuse", folder) for folder in ("ir", "vi", "fused")]
    name = sorted(file.name for file in files[0].iterdir())[0]
    images = [np.array(Image.open(next(folder.glob(name.split(".")[0] + ".*"))).convert("L")) for folder in files]
    return np.stack([image[40:200, 60:300] for image in images]).astype(np.float64)


def tensors(images: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(image)[None] for image in images]


def joint(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.histogram2d(a.ravel(), b.ravel(), bins=256, range=((0, 256), (0, 256)))[0] / a.size


def bits(shares: np.ndarray) -> float:
    return -sum(share * math.log2(share) for share in shares.ravel() if share > 0)


def numpy_nmi(a, b, f):
    """Liu et al. 2012, Q_MI: 2 [MI(A, F) / (H(A) + H(F)) + MI(B, F) / (H(B) + H(F))]."""
    parts = []
    for source in (a, b):
        table = joint(source, f)
        own, fused = bits(table.sum(1)), bits(table.sum(0))
        parts.append((own + fused - bits(table)) / (own + fused))
    return 2 * sum(parts)


def numpy_qncie(a, b, f):
    """Liu et al. 2012, Q_NCIE = 1 + sum lambda_i / 3 log256(lambda_i / 3), NCC with entropies to the base 256."""
    matrix = np.eye(3)
    for (i, x), (j, y) in (((0, a), (1, b)), ((0, a), (2, f)), ((1, b), (2, f))):
        table = joint(x, y)
        matrix[i, j] = matrix[j, i] = (bits(table.sum(1)) + bits(table.sum(0)) - bits(table)) / 8
    return 1 + sum(value / 3 * math.log(value / 3, 256) for value in np.linalg.eigvalsh(matrix))


def tsallis_mutual(x, y, swapped=False):
    """Cvejic et al. 2006: (1 - sum p_xy^q / (p_x p_y)^(q - 1)) / (1 - q)."""
    table = joint(x, y)
    rows, columns = (table.sum(0), table.sum(1)) if swapped else (table.sum(1), table.sum(0))
    total = 0.0
    for i, j in np.argwhere(table > 0):
        if rows[i] * columns[j] != 0:
            total += table[i, j] ** ORDER / (rows[i] * columns[j]) ** (ORDER - 1)
    return (1 - total) / (1 - ORDER)


def numpy_te(a, b, f):
    """Liu et al. 2012, Q_TE: [I(A, F) + I(B, F)] / [H(A) + H(B) - I(A, B)], Tsallis entropies, Nava's order."""
    a_entropy, b_entropy = (
        (1 - sum(share**ORDER for share in joint(x, x).sum(1) if share > 0)) / (ORDER - 1) for x in (a, b)
    )
    return (tsallis_mutual(a, f) + tsallis_mutual(b, f)) / (a_entropy + b_entropy - tsallis_mutual(a, b))


def numpy_kit_te(a, b, f):
    """metricMI.m, switch 3: [I(A, F) + I(B, F)] / [H(A)^q + H(B)^q + I(A, B)], Shannon's H, marginals swapped."""
    a, b, f = (np.floor((x - x.min()) / (x.max() - x.min()) * 255 + 0.5) for x in (a, b, f))
    shannon = sum(bits(joint(x, x).sum(1)) ** ORDER for x in (a, b))
    return (tsallis_mutual(a, f, True) + tsallis_mutual(b, f, True)) / (shannon + tsallis_mutual(a, b, True))


@given(st.integers(0, 99), st.integers(1, 40), st.integers(1, 40))
def test_entropy_and_mutual_information_of_any_size_equal_scikit_images(seed, height, width):
    a, _, f = triple(seed, height, width)
    np.testing.assert_allclose(entropy(tensors([f])[0]), [shannon_entropy(f)], rtol=1e-12, atol=1e-12)
    table = joint(a, f)
    expected = bits(table.sum(1)) + bits(table.sum(0)) - bits(table)
    np.testing.assert_allclose(mutual_information(*tensors([a, f])), [expected], rtol=1e-9, atol=1e-12)


def test_mutual_information_equals_scikit_images():
    """Its normalised one is (H(A) + H(F)) / H(A, F); with 256 bins over 0-255 the bins are the levels."""
    a, _, f = triple(1)
    a.flat[:2] = f.flat[:2] = 0, 255
    ratio = normalized_mutual_information(a, f, bins=256)
    marginals = shannon_entropy(a) + shannon_entropy(f)
    np.testing.assert_allclose(mutual_information(*tensors([a, f])), [marginals - marginals / ratio], rtol=1e-9)


def test_mutual_information_with_itself_is_the_entropy():
    image = tensors(triple(2))[2]
    torch.testing.assert_close(mutual_information(image, image), entropy(image), rtol=1e-12, atol=0)


@pytest.mark.parametrize("seed", [3, 4])
def test_scores_equal_the_papers_formulas(seed):
    check(triple(seed))


def test_scores_of_real_images_equal_the_papers_formulas(shared_path):
    check(real(shared_path))


def check(images: np.ndarray) -> None:
    for score, expected in zip(OF_TRIPLES, (numpy_nmi, numpy_qncie, numpy_te, numpy_kit_te), strict=True):
        np.testing.assert_allclose(score(*tensors(images)), [expected(*images)], rtol=1e-9, err_msg=score.__name__)


def test_cross_entropy_leaves_out_levels_of_one_image_alone():
    a, f = np.array([[0, 0, 1, 2.0]]), np.array([[0, 1, 1, 3.0]])
    expected = 0.5 * math.log2(0.5 / 0.25) + 0.25 * math.log2(0.25 / 0.5)
    assert cross_entropy(*tensors([a, f])).item() == pytest.approx(expected)
    assert cross_entropy(*tensors([a, a])).item() == 0
    assert cross_entropy(*tensors([a, a + 9])).item() == 0


def test_vifbs_published_numbers(shared_path):
    """All printed digits of EN, CE and MI: channel by channel, then the mean."""
    folder = shared_path("data", "VIFB_scores")
    published = list(csv.DictReader((folder / "scores.csv").open()))
    for method, image in sorted({(row["method"], row["image"]) for row in published}):
        files = folder / "ir" / image, folder / "vi" / image, folder / "fused" / method / image
        a, b, f = (
            torch.from_numpy(np.array(Image.open(file).convert("RGB"))).double().permute(2, 0, 1) for file in files
        )
        found = {
            "EN": entropy(f),
            "CE": (cross_entropy(a, f) + cross_entropy(b, f)) / 2,
            "MI": stretched_mutual_information(a, f) + stretched_mutual_information(b, f),
        }
        for row in published:
            if (row["method"], row["image"]) == (method, image) and row["metric"] in found:
                assert float(f"{found[row['metric']].mean():.5g}") == float(row["value"]), row


def test_bounds():
    ramp = torch.arange(256, dtype=torch.float64).view(1, 16, 16)
    flat = torch.full_like(ramp, 7)
    assert normalised_mutual_information(ramp, ramp, ramp).item() == pytest.approx(2)
    assert nonlinear_correlation(ramp, ramp, ramp).item() == pytest.approx(1)
    assert nonlinear_correlation(flat, ramp, flat).item() == pytest.approx(1 - math.log(3, 256))
    assert normalised_mutual_information(ramp, ramp, flat).item() == 0


def test_what_is_not_defined_is_nan_and_nothing_is_infinite():
    black, flat = torch.zeros(1, 16, 16, dtype=torch.float64), torch.full((1, 16, 16), 9.0, dtype=torch.float64)
    varied = tensors(triple(5, 16, 16))[0]
    assert normalised_mutual_information(flat, varied, black).isnan().all()
    assert tsallis_information(flat, black, varied).isnan().all()
    assert tsallis_information_of_kit(flat, black, varied).isnan().all()
    for score in OF_TRIPLES:
        for images in ((varied, black, varied), (varied, varied, varied), (black, varied, varied)):
            assert score(*images).isfinite().all()
        assert not score(black, black, black).isinf().any()
    for score in (mutual_information, stretched_mutual_information, cross_entropy):
        assert score(black, flat).item() == 0


def test_stretching_fills_the_range_and_blackens_constant_images():
    image = torch.tensor([[[10.0, 12.0, 14.0]], [[3.0, 3.0, 3.0]]], dtype=torch.float64)
    assert stretched(image).tolist() == [[[0, 128, 255]], [[0, 0, 0]]]


def test_a_batch_equals_its_images_one_by_one_with_and_without_sharing():
    batch = [torch.from_numpy(np.stack(planes)) for planes in zip(triple(6), triple(7), strict=True)]
    for score in OF_TRIPLES:
        alone = torch.cat([score(*(plane[i : i + 1] for plane in batch)) for i in range(2)])
        with sharing():
            torch.testing.assert_close(score(*batch), alone, rtol=1e-12, atol=0)
