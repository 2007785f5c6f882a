"""Losses against torchmetrics and their own definitions."""

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve, uniform_filter
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from fusion.losses import (
    contrast_target,
    fusion_loss,
    intensity_target,
    positive_laplacian,
    reconstruction_loss,
    release_ms_ssim,
    standard_ms_ssim,
)


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(3)
    smooth = torch.nn.functional.interpolate(torch.rand(2, 1, 24, 24, generator=generator), (192, 200), mode="bicubic")
    clean = smooth.clamp(0, 1) * 255
    return clean, (clean + 12 * torch.randn(clean.shape, generator=generator)).clamp(0, 255)


def test_standard_ms_ssim_equals_torchmetrics(images):
    expected = multiscale_structural_similarity_index_measure(
        images[1].double(), images[0].double(), data_range=255.0, kernel_size=11, sigma=1.5
    )
    assert standard_ms_ssim(images[1].double(), images[0].double()).item() == pytest.approx(expected.item(), abs=1e-5)


def test_standard_ms_ssim_refuses_images_without_five_levels():
    with pytest.raises(ValueError, match="176"):
        standard_ms_ssim(torch.zeros(1, 1, 128, 256), torch.zeros(1, 1, 128, 256))


def test_release_ms_ssim_is_one_for_equal_images_and_smaller_otherwise(images):
    assert release_ms_ssim(images[0], images[0]).item() == pytest.approx(1, abs=1e-5)
    noisier = images[1] + 3 * (images[1] - images[0])
    assert 1 > release_ms_ssim(images[1], images[0]) > release_ms_ssim(noisier, images[0])


def test_release_ms_ssim_works_where_the_window_must_shrink():
    assert torch.isfinite(release_ms_ssim(torch.rand(1, 1, 32, 32) * 255, torch.rand(1, 1, 32, 32) * 255))


@pytest.mark.parametrize(("seed", "value"), [(1, 120.0), (4, 100.0), (4, 120.0)])
def test_release_ms_ssim_is_finite_on_flat_dark_images(seed, value):
    # Below 129 its dynamic range is 1, and the rounding of squares outweighs the constants.
    flat = torch.full((2, 1, 128, 128), value)
    noise = torch.randn(flat.shape, generator=torch.Generator().manual_seed(seed))
    out = (flat + 0.3 * noise + 0.37 * seed).clamp(max=127).requires_grad_()
    similarity = release_ms_ssim(out, flat)
    similarity.backward()
    assert 0 <= similarity.item() <= 1
    assert torch.isfinite(out.grad).all()


def test_reconstruction_loss_adds_up(images):
    losses = reconstruction_loss(images[1], images[0], "standard")
    assert losses["mse"].item() == pytest.approx(((images[1] - images[0]) ** 2).mean().item())
    assert losses["total"].item() == pytest.approx((losses["mse"] + losses["ms_ssim"]).item())


def test_laplacian_and_box_mean_equal_scipy():
    image = torch.rand(1, 1, 20, 23) * 255
    kernel = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    expected = np.maximum(convolve(image[0, 0].numpy().astype(np.float64), kernel, mode="constant"), 0)
    np.testing.assert_allclose(positive_laplacian(image)[0, 0], expected, atol=1e-3)
    other = torch.rand(1, 1, 20, 23) * 255
    means = [uniform_filter(x[0, 0].numpy().astype(np.float64), 11, mode="constant") for x in (image, other)]
    expected = np.where(means[0] > means[1], image[0, 0], other[0, 0])
    np.testing.assert_allclose(intensity_target(image, other)[0, 0], expected)


def test_fusion_loss_is_zero_only_for_the_target():
    infrared, visible = torch.full((1, 1, 24, 24), 200.0), torch.full((1, 1, 24, 24), 50.0)
    assert fusion_loss(infrared, infrared, visible)["total"].item() == 0
    assert fusion_loss(visible, infrared, visible)["pixel"].item() == pytest.approx(150.0**2)


def test_the_contrast_target_equals_one_by_scipy():
    infrared, visible = (torch.rand(1, 1, 70, 75) * 255 for _ in range(2))
    images = [image[0, 0].numpy().astype(np.float64) for image in (infrared, visible)]
    means = [uniform_filter(image, 31) for image in images]
    details = [image - mean for image, mean in zip(images, means, strict=True)]
    ir, vi = (uniform_filter(detail**2, 31) + 1 for detail in details)
    expected = np.clip(sum(means) / 2 + (ir * details[0] + vi * details[1]) / (ir + vi), 0, 255)
    inside = slice(30, 40)  # away from the borders, which scipy fills otherwise
    np.testing.assert_allclose(
        contrast_target(infrared, visible)[0, 0, inside, inside], expected[inside, inside], atol=0.01
    )


def test_the_contrast_target_asks_which_camera_has_contrast_not_which_is_bright():
    textured = torch.rand(1, 1, 64, 64) * 60 + 100
    for level in (20.0, 230.0):
        flat = torch.full((1, 1, 64, 64), level)
        target = contrast_target(flat, textured)
        spread = (target.std() / textured.std()).item()
        assert spread == pytest.approx(1, abs=0.05)
        assert contrast_target(textured, flat).sub(target).abs().max() < 1e-3
    assert contrast_target(textured, textured).sub(textured).abs().max() < 1e-3


def test_black_pairs_give_finite_losses():
    black = torch.zeros(1, 1, 32, 32)
    out = torch.rand(1, 1, 32, 32, requires_grad=True)
    fusion_loss(out * 255, black, black)["total"].backward()
    assert torch.isfinite(out.grad).all()
