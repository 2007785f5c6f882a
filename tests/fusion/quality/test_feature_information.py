"""FMI against a transcription of fast-FMI, its features against SciPy, NumPy and MATLAB's table."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dctn

from fusion.quality.feature_information import (
    CHUNK,
    cosine_transform,
    fmi_dct,
    fmi_edge,
    fmi_pixel,
    fmi_w,
    meyer_bands,
    meyer_filter,
    sobel_edges,
)

SCORES = {fmi_pixel: lambda image: image, fmi_dct: cosine_transform, fmi_w: meyer_bands, fmi_edge: sobel_edges}


def batch(images) -> list[torch.Tensor]:
    return [torch.from_numpy(np.asarray(image, dtype=np.float64))[None] for image in images]


def triple(seed: int, height: int, width: int, levels: int = 256) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, levels, (2, height, width)) * (255 // (levels - 1))
    return batch([a, b, np.where(rng.random((height, width)) < 0.5, a, (a + b) // 2)])


def bits(shares) -> float:
    return -sum(share * math.log2(abs(share)) for share in np.ravel(shares) if share != 0)


def numpy_window(a: np.ndarray, f: np.ndarray) -> float:
    """Haghighat and Razian 2014 (joint distribution: Haghighat et al. 2011, equations 8 to 14) of two windows."""
    if (a == f).all():
        return 1.0
    flat = a.max() == a.min() or f.max() == f.min()
    p, q = (np.ones(9) if x.max() == x.min() else (x - x.min()) / (x.max() - x.min()) for x in (a, f))
    p, q = p / p.sum(), q / q.sum()
    r = 0.0 if flat else np.corrcoef(p, q)[0, 1]
    places = np.arange(1, 10)
    sd_p, sd_q = (np.sqrt(max((places**2 * x).sum() - (places * x).sum() ** 2, 0)) for x in (p, q))
    bound = np.zeros((10, 10))
    for i, s in enumerate(np.cumsum(p), 1):
        for j, t in enumerate(np.cumsum(q), 1):
            bound[i, j] = min(s, t) if r >= 0 else max(s + t - 1, 0)
    covariance = (bound[1:, 1:] - np.outer(np.cumsum(p), np.cumsum(q))).sum()
    phi = 0.0 if r == 0 or sd_p * sd_q == 0 else r / (covariance / (sd_p * sd_q))
    both = phi * np.diff(np.diff(bound, axis=0), axis=1) + (1 - phi) * np.outer(p, q)
    information = bits(p) + bits(q) - bits(both)
    return 0.0 if information == 0 else 2 * information / (bits(p) + bits(q))


def numpy_fmi(a: np.ndarray, b: np.ndarray, f: np.ndarray) -> float:
    found = []
    for row in range(a.shape[0] - 2):
        for column in range(a.shape[1] - 2):
            wa, wb, wf = (x[row : row + 3, column : column + 3].ravel(order="F") for x in (a, b, f))
            found.append((numpy_window(wa, wf) + numpy_window(wb, wf)) / 2)
    return float(np.mean(found))


def check(images: list[torch.Tensor], *scores) -> None:
    for score in scores:
        features = [SCORES[score](image)[0].numpy() for image in images]
        np.testing.assert_allclose(score(*images), [numpy_fmi(*features)], rtol=1e-9, err_msg=str(score))


@settings(max_examples=15)
@given(st.integers(0, 999), st.integers(3, 9), st.integers(3, 9), st.sampled_from([2, 3, 256]))
def test_fmi_of_any_size_equals_the_transcription(seed, height, width, levels):
    check(triple(seed, height, width, levels), fmi_pixel, fmi_edge)


@pytest.mark.slow
def test_fmi_of_transforms_equals_the_transcription():
    check(triple(1, 16, 16), fmi_dct)
    check(triple(2, 4, 6), fmi_w)


def test_fmi_of_real_images_equals_the_transcription(shared_path):
    folders = [shared_path("data", "MSRS", "test", modality) for modality in ("ir", "vi")]
    name = sorted(file.name for file in folders[0].iterdir())[10]
    a, b = (np.array(Image.open(folder / name).convert("L"))[200:224, 300:330] for folder in folders)
    check(batch([a, b, (a.astype(int) + b) // 2]), fmi_pixel, fmi_dct, fmi_edge)


@pytest.mark.parametrize("shape", [(16, 16), (17, 30), (5, 1)])
def test_cosine_transform_equals_scipys(shape):
    image = np.random.default_rng(3).random(shape) * 255
    np.testing.assert_allclose(cosine_transform(batch([image])[0])[0], dctn(image, norm="ortho"), atol=6e-9)


def test_the_meyer_filter_is_matlabs():
    """Taps of the table that MATLAB and wavelib (src/wavefilt.c, `meyer`) have, from the middle outwards."""
    taps = meyer_filter().numpy()
    middle = [0.74375100, 0.44409503, -0.03504829, -0.13269662, 0.03062124, 0.06366730]
    assert taps.shape == (102,)
    assert taps[0] == 0
    np.testing.assert_allclose(taps[51:57], middle, rtol=0, atol=6e-9)
    np.testing.assert_allclose(taps[1:], taps[:0:-1], rtol=0, atol=1e-15)
    assert taps[-1] == pytest.approx(-1.509741e-06, rel=1e-4)


@pytest.mark.parametrize("shape", [(16, 16), (121, 40)])
def test_meyer_bands_equal_mirrored_convolutions(shape):
    """MATLAB's dwt: mirror by 101 samples, convolve, keep what has full support, every second from the second on."""
    image = np.random.default_rng(4).random(shape) * 255
    low = meyer_filter().numpy()
    high = low[::-1] * np.tile([-1.0, 1.0], 51)

    def filtered(values, taps, axis):
        def one(row):
            return np.convolve(np.pad(row, 101, mode="symmetric"), taps, mode="valid")[1::2]

        return np.apply_along_axis(one, axis, values)

    across_low, across_high = filtered(image, low, 1), filtered(image, high, 1)
    bands = np.block(
        [
            [filtered(across_low, low, 0), filtered(across_low, high, 0)],
            [filtered(across_high, low, 0), filtered(across_high, high, 0)],
        ]
    )
    expected = (bands - bands.min()) / (bands.max() - bands.min())
    np.testing.assert_allclose(meyer_bands(batch([image])[0])[0], expected, atol=6e-9)


def test_sobel_edges_are_thinned_maxima():
    """MATLAB's edge, pixel by pixel: b > 4 mean(b), and a maximum along the stronger direction."""
    image = np.random.default_rng(5).integers(0, 4, (14, 17)).repeat(2, 0) * 60.0
    wide = np.pad(image, 1, mode="edge")
    height, width = image.shape
    across, down = np.zeros_like(image), np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            around = wide[row : row + 3, column : column + 3]
            across[row, column] = abs(np.array([1, 2, 1]) @ around @ np.array([-1, 0, 1])) / 8
            down[row, column] = abs(np.array([-1, 0, 1]) @ around @ np.array([1, 2, 1])) / 8
    b = across**2 + down**2
    beyond = np.pad(b, 1, constant_values=-1)
    expected = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            here = b[row, column]
            sideways = beyond[row + 1, column] <= here > beyond[row + 1, column + 2]
            upright = beyond[row, column + 1] <= here > beyond[row + 2, column + 1]
            peak = (across[row, column] >= down[row, column] - 1e-13 and sideways) or (
                down[row, column] >= across[row, column] - 1e-13 and upright
            )
            expected[row, column] = here > 4 * b.mean() and peak
    found = sobel_edges(batch([image])[0])[0].numpy()
    np.testing.assert_array_equal(found, expected)
    assert 0 < found.sum() < height * width / 4


def test_equal_flat_black_and_tiny_images():
    a, b, _ = triple(6, 16, 16)
    black, flat = torch.zeros_like(a), torch.full_like(a, 9)
    for score in SCORES:
        assert score(a, a, a).item() == 1
        assert score(black, black, black).item() == 1
        for images in ((black, black, a), (flat, black, a), (a, b, flat), (flat, black, flat)):
            assert score(*images).isfinite().all()
    assert fmi_pixel(black, black, flat).item() == 0
    for height, width in ((2, 9), (9, 2)):
        assert fmi_pixel(*triple(7, height, width)).isnan().all()


@pytest.mark.parametrize("score", SCORES)
def test_a_batch_in_several_chunks_equals_its_images_one_by_one(score, monkeypatch):
    first, second = triple(8, 20, 23), triple(9, 20, 23)
    alone = torch.cat([score(*first), score(*second)])
    monkeypatch.setitem(CHUNK, "cpu", 150)
    together = score(*(torch.cat(pair) for pair in zip(first, second, strict=True)))
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=0)
