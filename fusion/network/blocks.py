"""Convolutions and padding shared by the auto-encoders and the fusion decoder."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def pad_reflect(x: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
    """Pad (B, C, H, W) by reflection, or by replication where the map is too small to reflect."""
    height, width = x.shape[-2:]
    reflects = max(left, right) < width and max(top, bottom) < height
    return F.pad(x, (left, right, top, bottom), mode="reflect" if reflects else "replicate")


def pad_to(x: Tensor, height: int, width: int) -> Tensor:
    """Reflect-pad (B, C, h, w) to the given size: left and top get half of what is missing, rounded down."""
    dy, dx = height - x.shape[-2], width - x.shape[-1]
    if dx == 0 and dy == 0:
        return x
    return pad_reflect(x, dx // 2, dx - dx // 2, dy // 2, dy - dy // 2)


def upsample(x: Tensor) -> Tensor:
    """Nearest-neighbour x2."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def full_precision(x: Tensor) -> torch.autocast:
    """A context in which mixed precision is off: for what quantisation to bf16 would show in the image."""
    return torch.autocast(x.device.type, enabled=False)


class Conv(nn.Module):
    """Reflection padding and a stride-1 convolution with bias; no activation. `norm` adds batch normalisation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, norm: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel)
        self.norm = nn.BatchNorm2d(outputs) if norm else None
        self.pad = kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        if self.pad:
            x = pad_reflect(x, self.pad, self.pad, self.pad, self.pad)
        x = self.conv(x)
        return x if self.norm is None else self.norm(x)


class DenseBlock(nn.Module):
    """Three 3x3 convolutions of 64 channels, each fed with all maps before it, then one to `outputs` channels."""

    def __init__(self, inputs: int, growth: int = 64, layers: int = 3, outputs: int = 128):
        super().__init__()
        self.layers = nn.ModuleList(Conv(inputs + i * growth, growth, 3) for i in range(layers))
        self.adjust = Conv(inputs + layers * growth, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return self.adjust(x)
