"""SD, SF, AG, CC, SCD, MSE, RMSE, PSNR against NumPy, SciPy and scikit-image."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr
from skimage.metrics import peak_signal_noise_ratio

from fusion.quality.definitions import averaged
from fusion.quality.pixels import (
    average_gradient,
    correlation_of_differences,
    mse,
    pearson,
    psnr,
    rmse,
    spatial_frequency,
    standard_deviation,
)

correlation = averaged(pearson)

sizes = st.tuples(st.integers(2, 20), st.integers(2, 20))


def triple(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(size).integers(0, 256, (3, 1, *size)).astype(np.float64)


@given(sizes)
def test_contrast_of_any_size_equals_numpy(size):
    fused = triple(size)[2]
    down, across = np.gradient(fused[0])
    tensor = torch.from_numpy(fused)
    height, width = size
    length = np.sqrt((down**2 + across**2) / 2)
    squares = (np.diff(fused[0], axis=0) ** 2).mean() + (np.diff(fused[0], axis=1) ** 2).mean()
    np.testing.assert_allclose(standard_deviation(tensor), [fused.std()], rtol=1e-12)
    np.testing.assert_allclose(spatial_frequency(tensor), [np.sqrt(squares)], rtol=1e-12)
    np.testing.assert_allclose(average_gradient(tensor), [length.sum() / (height - 1) / (width - 1)], rtol=1e-12)
    np.testing.assert_allclose(average_gradient(tensor, trimmed=False), [length.mean()], rtol=1e-12)


@given(st.tuples(st.integers(3, 20), st.integers(3, 20)))
def test_correlations_of_any_size_equal_scipys(size):
    a, b, f = triple(size)
    tensors = [torch.from_numpy(image) for image in (a, b, f)]

    def r(x, y):
        return pearsonr(x.ravel(), y.ravel()).statistic

    np.testing.assert_allclose(correlation(*tensors), [(r(a, f) + r(b, f)) / 2], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(correlation_of_differences(*tensors), [r(f - b, a) + r(f - a, b)], rtol=1e-9, atol=1e-12)


def test_errors_are_on_the_unit_range():
    a, b, f = triple((30, 40))
    tensors = [torch.from_numpy(image) for image in (a, b, f)]
    squared = [((image - f) ** 2).mean() / 255**2 for image in (a, b)]
    np.testing.assert_allclose(mse(*tensors), [np.mean(squared)], rtol=1e-12)
    np.testing.assert_allclose(rmse(*tensors), [np.sqrt(squared).mean()], rtol=1e-12)
    np.testing.assert_allclose(psnr(tensors[0], tensors[0], tensors[2]), peak_signal_noise_ratio(a, f, data_range=255))


def test_what_is_not_defined_is_nan():
    flat = torch.full((1, 16, 16), 9.0, dtype=torch.float64)
    varied = torch.from_numpy(triple((16, 16))[0])
    assert correlation(flat, varied, varied).isnan().all()
    assert correlation_of_differences(varied, flat, varied * 0).isnan().all()
    assert psnr(varied, varied, varied).isnan().all()
    assert mse(varied, varied, varied).item() == 0
    assert [score(flat).item() for score in (standard_deviation, spatial_frequency, average_gradient)] == [0, 0, 0]


def test_a_batch_equals_its_images_one_by_one():
    a, b, f = (torch.from_numpy(np.concatenate([triple((12, 9))[i], triple((12, 9))[(i + 1) % 3]])) for i in range(3))
    for score in (correlation, correlation_of_differences, mse, rmse, psnr):
        both = score(a, b, f)
        assert both.shape == (2,)
        for number in range(2):
            one = (image[number : number + 1] for image in (a, b, f))
            assert both[number].item() == pytest.approx(score(*one).item(), rel=1e-12)
