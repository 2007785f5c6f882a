"""Convolutions, padding and the auto-encoders of stage 1, one per modality."""

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
    return pad_reflect(x, dx // 2, dx - dx // 2, dy // 2, dy - dy // 2) if dx or dy else x


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
        x = self.conv(x) if self.norm is None else self.norm(self.conv(x))
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


class Encoder(nn.Module):
    """Shallow features at full resolution and deep features at an eighth of it.

    shallow: channels of the shallow features. growth, outputs, leaky: of both dense blocks; the last outputs are the
    deep features' channels.
    """

    def __init__(
        self, shallow: int = 32, growth: tuple[int, int] = (64, 64), outputs: tuple[int, int] = (128, 128),
        leaky: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.shallow = Conv(1, shallow)
        self.dense1 = DenseBlock(shallow, growth[0], outputs=outputs[0], leaky=leaky)
        self.dense2 = DenseBlock(outputs[0], growth[1], outputs=outputs[1], leaky=leaky)

    def shallow_features(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 1] to (B, shallow, H, W) fp32."""
        with full_precision(image):
            return self.shallow(image.float())

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, H, W) in [0, 1] to shallow (B, shallow, H, W) and deep (B, outputs[1], H//8, W//8) features."""
        shallow = self.shallow_features(image)
        return shallow, self.deep_features(self.middle_features(shallow))

    def middle_features(self, shallow: Tensor) -> Tensor:
        """Shallow features to (B, outputs[0], H//4, W//4)."""
        return F.max_pool2d(self.dense1(F.max_pool2d(shallow, 2)), 2)

    def deep_features(self, middle: Tensor) -> Tensor:
        """Middle features to deep ones."""
        return F.max_pool2d(self.dense2(middle), 2)


class ReconstructionDecoder(nn.Module):
    """Rebuilds the image from both feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3, self.last = Conv(128, 64), Conv(64, 64), Conv(64, 32), Conv(32, 1, 1)

    def forward(self, shallow: Tensor, deep: Tensor) -> Tensor:
        """Features of `Encoder` to (B, 1, H, W), nominally in [0, 1] but not clipped."""
        x = upsample(self.conv3(upsample(self.conv2(upsample(self.conv1(deep))))))
        with full_precision(x):
            return self.last(pad_to(x.float(), *shallow.shape[-2:]) + shallow)


class AutoEncoder(nn.Module):
    """Encoder and reconstruction decoder of one modality (1.25 M parameters)."""

    parts: tuple[type[Encoder], type[nn.Module]] = Encoder, ReconstructionDecoder

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = (part() for part in self.parts)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 255] to its reconstruction in the same range, not clipped."""
        return self.decoder(*self.encoder(image / 255)) * 255
