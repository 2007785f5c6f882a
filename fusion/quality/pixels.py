"""Pixel statistics: contrast of the fused image, correlation and squared error between it and its sources."""

import math

import torch
from torch import Tensor

from fusion.quality.definitions import averaged


def standard_deviation(fused: Tensor) -> Tensor:
    """SD: population standard deviation of grey levels; [0, 127.5], higher is better."""
    return fused.flatten(1).std(dim=1, correction=0)


def byte_deviation(fused: Tensor) -> Tensor:
    """SD in MATLAB's uint8: rounded differences, none below the mean, squares cut off at 255; [0, 16)."""
    mean = fused.mean(dim=(1, 2), keepdim=True)
    above = (fused - mean).add_(0.5).floor_().clamp_(min=0)
    return above.square_().clamp_(max=255).mean(dim=(1, 2)).sqrt()


def spatial_frequency(fused: Tensor) -> Tensor:
    """SF of Eskicioglu & Fisher (IEEE Trans. Comm. 1995), eq. 5: root of the mean squared row and column differences.

    Each mean is over its own count of differences; [0, 360.6], higher is better.
    """
    across, down = fused.diff(dim=2), fused.diff(dim=1)
    return (across.square().mean(dim=(1, 2)) + down.square().mean(dim=(1, 2))).sqrt()


def frequency_side_by_side(fused: Tensor) -> Tensor:
    """SF of (B, H, W), or of (B, 3, H, W) as one wide grey image, as MATLAB's [m, n] = size(image) reads it.

    Both sums over all H W pixels; higher is better.
    """
    wide = fused if fused.ndim == 3 else fused.movedim(1, 2).flatten(2)
    squares = wide.diff(dim=2).square().sum(dim=(1, 2)) + wide.diff(dim=1).square().sum(dim=(1, 2))
    return (squares / wide[0].numel()).sqrt()


def average_gradient(fused: Tensor, trimmed: bool = True) -> Tensor:
    """AG (Cui et al., Optics Comm. 2015, eq. 10): mean length of the gradient over root 2; [0, 255], higher is better.

    Central differences, one-sided at the border, as MATLAB's `gradient`. The sum over all H * W pixels is divided by
    (H - 1)(W - 1), as the formula's sum has it, or by H * W where `trimmed` is false (other kits do).
    """
    gy, gx = torch.gradient(fused, dim=(1, 2))
    height, width = fused.shape[1:]
    count = (height - 1) * (width - 1) if trimmed else height * width
    return ((gx.square() + gy.square()) / 2).sqrt_().sum(dim=(1, 2)) / count


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's r over the pixels of (B, H, W) images; [-1, 1]. NaN where one of them is constant."""
    a, b = (flat - flat.mean(dim=1, keepdim=True) for flat in (a.flatten(1), b.flatten(1)))
    spread = (a.square().sum(dim=1) * b.square().sum(dim=1)).sqrt()
    return (a * b).sum(dim=1) / spread.where(spread > 0, torch.nan)


def correlation_of_differences(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """SCD of Aslantas & Bendes (AEU 2015), eqs. 2-4: r(fused - visible, infrared) + r(fused - infrared, visible).

    [-2, 2], higher is better. NaN where a difference or a source is constant (a fused image equal to a source).
    """
    return pearson(fused - visible, infrared) + pearson(fused - infrared, visible)


def squared_error(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference of (B, H, W) images in their own units; lower is better."""
    return (a - b).square().mean(dim=(1, 2))


def mse(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """MSE: mean of the squared errors to both sources, on [0, 1] as papers print it; [0, 1], lower is better."""
    return averaged(squared_error)(infrared, visible, fused) / 255**2


def rmse(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """RMSE: mean of the root mean squared errors to both sources, on [0, 1]; [0, 1], lower is better."""
    return (squared_error(infrared, fused).sqrt() + squared_error(visible, fused).sqrt()) / 2 / 255


def root_over_pixels(source: Tensor, fused: Tensor) -> Tensor:
    """VIFB's `mse`: root of the summed squared differences over H W, neither MSE nor RMSE; lower is better."""
    return (squared_error(source, fused) / fused[0].numel()).sqrt()


def psnr(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """PSNR in dB of `mse`: 10 log10(1 / MSE); higher is better. NaN where all three images are equal (no error)."""
    return -_decibels(mse(infrared, visible, fused))


def grey_level_psnr(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """PSNR in dB with a peak of 255 over an error on [0, 1]: 48.13 too many; NaN as `psnr`."""
    return psnr(infrared, visible, fused) + 20 * math.log10(255)


def psnr_of_roots(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """PSNR in dB with the mean of `root_over_pixels` as the error; higher is better. NaN as `psnr`."""
    return 20 * math.log10(255) - _decibels(averaged(root_over_pixels)(infrared, visible, fused))


def peak_psnr(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """PSNR in dB with the fused image's maximum as the peak; higher is better. NaN as `psnr`, and for black ones."""
    ratio = fused.amax(dim=(1, 2)).square() / averaged(squared_error)(infrared, visible, fused)
    return _decibels(ratio.where(ratio.isfinite(), torch.nan))


def _decibels(ratio: Tensor) -> Tensor:
    return 10 * ratio.where(ratio > 0, torch.nan).log10()
