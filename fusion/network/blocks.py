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


def pad_one(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, C, H + 2, W + 2): what a 3x3 convolution takes at the border."""
    return pad_reflect(x, 1, 1, 1, 1)


class Conv(nn.Module):
    """Reflection padding and a stride-1 convolution of 3x3 or 1x1 with bias.

    norm adds batch normalisation behind it, leaky a leaky ReLU (0.1); without them there is no activation.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, norm: bool = False, leaky: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel)
        self.norm = nn.BatchNorm2d(outputs) if norm else None
        self.pads, self.leaky = kernel == 3, leaky

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        return self.on_padded(pad_one(x) if self.pads else x)

    def on_padded(self, x: Tensor) -> Tensor:
        """As `forward`, of what is padded already: maps that are joined are padded one by one, which is less work."""
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return F.leaky_relu(x, 0.1) if self.leaky else x


class DenseBlock(nn.Module):
    """Three 3x3 convolutions of `growth` channels, each fed with all maps before it, then one to `outputs` channels."""

    def __init__(self, inputs: int, growth: int = 64, layers: int = 3, outputs: int = 128, leaky: bool = False):
        super().__init__()
        self.layers = nn.ModuleList(Conv(inputs + i * growth, growth, leaky=leaky) for i in range(layers))
        self.adjust = Conv(inputs + layers * growth, outputs, leaky=leaky)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        x = pad_one(x)
        for layer in self.layers:
            x = torch.cat([x, pad_one(layer.on_padded(x))], dim=1)  # type: ignore[operator, union-attr]
        return self.adjust.on_padded(x)
