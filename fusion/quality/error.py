"""Squared error between sources and fused image."""

import torch
from torch import Tensor


def squared_error(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference of (B, H, W) images in their own units; lower is better."""
    return (a - b).square().mean(dim=(1, 2))


def mse(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """MSE: mean of the squared errors to both sources, on [0, 1] as papers print it; [0, 1], lower is better."""
    return (squared_error(infrared, fused) + squared_error(visible, fused)) / 2 / 255**2


def rmse(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """RMSE: mean of the root mean squared errors to both sources, on [0, 1]; [0, 1], lower is better."""
    return (squared_error(infrared, fused).sqrt() + squared_error(visible, fused).sqrt()) / 2 / 255


def psnr(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """PSNR in dB of `mse`: 10 log10(1 / MSE); higher is better. NaN where all three images are equal (no error)."""
    error = mse(infrared, visible, fused)
    return -10 * error.where(error > 0, torch.nan).log10()
