"""Contrast and sharpness of the fused image alone."""

import torch
from torch import Tensor


def standard_deviation(fused: Tensor) -> Tensor:
    """SD: population standard deviation of grey levels; [0, 127.5], higher is better."""
    return fused.flatten(1).std(dim=1, correction=0)


def spatial_frequency(fused: Tensor) -> Tensor:
    """SF of Eskicioglu & Fisher (IEEE Trans. Comm. 1995), eq. 5: root of the mean squared row and column differences.

    Each mean is over its own count of differences; [0, 360.6], higher is better.
    """
    across, down = fused.diff(dim=2), fused.diff(dim=1)
    return (_mean_square(across) + _mean_square(down)).sqrt()


def average_gradient(fused: Tensor, trimmed: bool = True) -> Tensor:
    """AG (Cui et al., Optics Comm. 2015, eq. 10): mean length of the gradient over root 2; [0, 255], higher is better.

    Central differences, one-sided at the border, as MATLAB's `gradient`. The sum over all H * W pixels is divided by
    (H - 1)(W - 1), as the formula's sum has it, or by H * W where `trimmed` is false (other kits do).
    """
    gy, gx = torch.gradient(fused, dim=(1, 2))
    height, width = fused.shape[1:]
    count = (height - 1) * (width - 1) if trimmed else height * width
    return ((gx.square() + gy.square()) / 2).sqrt_().sum(dim=(1, 2)) / count


def _mean_square(values: Tensor) -> Tensor:
    return values.square().mean(dim=(1, 2))
