"""CrossFuse-plus: the same plan in a fifth of the arithmetic, without seams, token grid or min-max stretch.

What differs from `fusion.network.crossfuse`, and why:

- narrower dense blocks with leaky ReLU: the faithful encoders are linear between their max-pools;
- tokens are projected to 128 channels, and tiles overlap by half and are blended: no border every 256 pixels;
- learned convolutions instead of ratios of box sums, whose denominators may be near zero;
- bilinear upsampling, which hides the 16-pixel grid of the tokens;
- the decoder gives a share of each image and a bounded rest instead of grey values, so that the output needs no
  min-max stretch: one hot pixel cannot grey the whole image, and infrared is never faint by construction.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusion.network.attention import CrossBlock, SelfBlock
from fusion.network.blocks import full_precision, pad_reflect, pad_to
from fusion.network.crossfuse import check_pair
from fusion.network.overlapping_tiles import from_overlapping_tiles, to_overlapping_tiles

SHALLOW, DEEP, TOKEN, HEADS, PATCH = 16, 64, 128, 8, 2
REST = 64.0  # grey levels that the decoder may add to or take from the weighted sum


class Conv3(nn.Module):
    """Reflection padding, a 3x3 convolution, leaky ReLU (0.1) unless it is the last."""

    def __init__(self, inputs: int, outputs: int, last: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        x = self.conv(pad_reflect(x, 1, 1, 1, 1))
        return x if self.last else F.leaky_relu(x, 0.1)


class PlusDenseBlock(nn.Module):
    """Three 3x3 convolutions of `growth` channels, each fed with all before it, then one to `outputs` channels."""

    def __init__(self, inputs: int, growth: int, outputs: int):
        super().__init__()
        self.layers = nn.ModuleList(Conv3(inputs + i * growth, growth) for i in range(3))
        self.adjust = Conv3(inputs + 3 * growth, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return self.adjust(x)


class PlusEncoder(nn.Module):
    """Shallow features at full resolution and deep features at an eighth of it."""

    def __init__(self) -> None:
        super().__init__()
        self.shallow = Conv3(1, SHALLOW, last=True)
        self.dense1 = PlusDenseBlock(SHALLOW, 16, 32)
        self.dense2 = PlusDenseBlock(32, 24, DEEP)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, H, W) in [0, 1] to shallow (B, 16, H, W) and deep (B, 64, H//8, W//8) features."""
        with full_precision(image):
            shallow = self.shallow(image.float())
        x = self.dense1(F.max_pool2d(shallow, 2))
        x = self.dense2(F.max_pool2d(x, 2))
        return shallow, F.max_pool2d(x, 2)


def _up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class PlusReconstructionDecoder(nn.Module):
    """Rebuilds the image from both feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = Conv3(DEEP, 32), Conv3(32, 32), Conv3(32, SHALLOW)
        self.last = nn.Conv2d(SHALLOW, 1, 1)

    def forward(self, shallow: Tensor, deep: Tensor) -> Tensor:
        """Features of `PlusEncoder` to (B, 1, H, W), nominally in [0, 1] but not clipped."""
        x = _up(self.conv3(_up(self.conv2(_up(self.conv1(deep))))))
        with full_precision(x):
            return self.last(pad_to(x.float(), *shallow.shape[-2:]) + shallow)


class PlusAutoEncoder(nn.Module):
    """Encoder and reconstruction decoder of one modality."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = PlusEncoder(), PlusReconstructionDecoder()

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 255] to its reconstruction in the same range, not clipped."""
        return self.decoder(*self.encoder(image / 255)) * 255


class PlusCrossAttention(nn.Module):
    """Self-attention per modality, then reversed cross attention both ways, on overlapping tiles of 32x32."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_ir, self.embed_vi = (nn.Linear(DEEP * PATCH**2, TOKEN) for _ in range(2))
        self.self1_ir, self.self1_vi, self.self2_ir, self.self2_vi = (SelfBlock(TOKEN, HEADS) for _ in range(4))
        self.cross_ir_vi, self.cross_vi_ir = CrossBlock(TOKEN, HEADS), CrossBlock(TOKEN, HEADS)
        self.unembed = nn.Linear(TOKEN, DEEP * PATCH**2)

    def forward(self, infrared: Tensor, visible: Tensor) -> Tensor:
        """Deep features of both modalities, (B, 64, h, w), to the fused deep map of that shape."""
        size = infrared.shape
        ir, vi = (F.unfold(to_overlapping_tiles(x), PATCH, stride=PATCH).transpose(1, 2) for x in (infrared, visible))
        ir = self.self2_ir(self.self1_ir(self.embed_ir(ir)))
        vi = self.self2_vi(self.self1_vi(self.embed_vi(vi)))
        fused = self.unembed(self.cross_ir_vi(ir, vi) + self.cross_vi_ir(vi, ir))
        tile = int(fused.shape[1] ** 0.5) * PATCH
        return from_overlapping_tiles(F.fold(fused.transpose(1, 2), tile, PATCH, stride=PATCH), size)


class PlusFusionDecoder(nn.Module):
    """From the fused deep map, all features and both images to the fused image."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = Conv3(3 * DEEP, DEEP)
        self.conv1, self.conv2, self.conv3 = Conv3(DEEP, 32), Conv3(32, 32), Conv3(32, SHALLOW)
        self.conv4 = Conv3(3 * SHALLOW + 2, SHALLOW)
        self.conv5 = Conv3(SHALLOW, SHALLOW)
        self.last = Conv3(SHALLOW, 2, last=True)

    def forward(
        self, fused: Tensor, infrared: tuple[Tensor, Tensor], visible: tuple[Tensor, Tensor], images: Tensor
    ) -> Tensor:
        """fused: (B, 64, h, w); infrared, visible: (shallow, deep) features; images: (B, 2, H, W), infrared
        first, in [0, 1]. Returns (B, 1, H, W) in [0, 255]."""
        (ir_shallow, ir_deep), (vi_shallow, vi_deep) = infrared, visible
        x = self.mix(torch.cat([fused, ir_deep, vi_deep], dim=1))
        x = _up(self.conv3(_up(self.conv2(_up(self.conv1(x))))))
        x = pad_to(x, *ir_shallow.shape[-2:])
        x = self.conv5(
            self.conv4(torch.cat([x, ir_shallow.to(x.dtype), vi_shallow.to(x.dtype), images.to(x.dtype)], dim=1))
        )
        with full_precision(x):
            share, rest = self.last(x.float()).split(1, dim=1)
            share = share.sigmoid()
            ir, vi = (images.float() * 255).split(1, dim=1)
            return (share * ir + (1 - share) * vi + REST * rest.tanh()).clamp(0, 255)


class CrossFusePlus(nn.Module):
    """The network that fuses a pair of grey images of any equal size from 16x16 up."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder_ir, self.encoder_vi = PlusEncoder(), PlusEncoder()
        self.attention = PlusCrossAttention()
        self.decoder = PlusFusionDecoder()

    def forward(self, infrared: Tensor, visible: Tensor) -> Tensor:
        """Fuse (B, 1, H, W) float images in [0, 255] into (B, 1, H, W) fp32 in [0, 255].

        Raises:
            ValueError: as `check_pair`.
        """
        check_pair(infrared, visible)
        images = torch.cat([infrared, visible], dim=1) / 255
        ir, vi = self.encoder_ir(images[:, :1]), self.encoder_vi(images[:, 1:])
        return self.decoder(self.attention(ir[1], vi[1]), ir, vi, images)
