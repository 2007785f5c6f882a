"""CrossFuse-plus: the same plan in a fifth of the arithmetic, without seams, token grid or min-max stretch.

What differs from `fusion.network.crossfuse`, and why:

- narrower dense blocks with leaky ReLU: the faithful encoders are linear between their max-pools;
- tokens are projected to 128 channels, and tiles overlap by half and are blended: no border every 256 pixels;
- learned convolutions instead of ratios of box sums, whose denominators may be near zero;
- bilinear upsampling, which hides the 16-pixel grid of the tokens;
- the decoder gives a share of each image and a bounded rest instead of grey values, so that the output needs no
  min-max stretch: one hot pixel cannot grey the whole image, and infrared is never faint by construction.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusion.network.attention import CrossBlock, SelfBlock, from_overlapping_tiles, to_overlapping_tiles
from fusion.network.crossfuse import check_pair
from fusion.network.layers import AutoEncoder, Conv, Encoder, full_precision, pad_one, pad_to

SHALLOW, DEEP, TOKEN, HEADS, PATCH = 16, 64, 128, 8, 2
REST = 64.0  # grey levels that the decoder may add to or take from the weighted sum


class PlusEncoder(Encoder):
    """Shallow features (16 channels) at full resolution and deep features (64) at an eighth of it."""

    def __init__(self) -> None:
        super().__init__(SHALLOW, growth=(16, 24), outputs=(32, DEEP), leaky=True)


_leaky = partial(Conv, leaky=True)


def _up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class PlusReconstructionDecoder(nn.Module):
    """Rebuilds the image from both feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = _leaky(DEEP, 32), _leaky(32, 32), _leaky(32, SHALLOW)
        self.last = nn.Conv2d(SHALLOW, 1, 1)

    def forward(self, shallow: Tensor, deep: Tensor) -> Tensor:
        """Features of `PlusEncoder` to (B, 1, H, W), nominally in [0, 1] but not clipped."""
        x = _up(self.conv3(_up(self.conv2(_up(self.conv1(deep))))))
        with full_precision(x):
            return self.last(pad_to(x.float(), *shallow.shape[-2:]) + shallow)


class PlusAutoEncoder(AutoEncoder):
    """Encoder and reconstruction decoder of one modality."""

    parts = PlusEncoder, PlusReconstructionDecoder


class PlusCrossAttention(nn.Module):
    """Self-attention per modality, then reversed cross attention both ways, on overlapping tiles of 32x32."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_ir, self.embed_vi = (nn.Linear(DEEP * PATCH**2, TOKEN) for _ in range(2))
        self.self1_ir, self.self1_vi, self.self2_ir, self.self2_vi = (SelfBlock(TOKEN, HEADS) for _ in range(4))
        self.cross_ir_vi, self.cross_vi_ir = CrossBlock(TOKEN, HEADS), CrossBlock(TOKEN, HEADS)
        self.unembed = nn.Linear(TOKEN, DEEP * PATCH**2)

    def forward(self, infrared: Tensor, visible: Tensor) -> Tensor:
        """Deep features of both modalities, (B, 64, h, w), to the fused deep map of that shape and dtype."""
        tiles = self.attend(to_overlapping_tiles(infrared), to_overlapping_tiles(visible))
        return from_overlapping_tiles(tiles, infrared.shape).to(infrared.dtype)

    def attend(self, infrared: Tensor, visible: Tensor) -> Tensor:
        """Tiles of both modalities, (T, 64, 32, 32), to fused ones; each by itself."""
        ir, vi = (F.unfold(x, PATCH, stride=PATCH).transpose(1, 2) for x in (infrared, visible))
        ir = self.self2_ir(self.self1_ir(self.embed_ir(ir)))
        vi = self.self2_vi(self.self1_vi(self.embed_vi(vi)))
        fused = self.unembed(self.cross_ir_vi(ir, vi) + self.cross_vi_ir(vi, ir))
        tile = int(fused.shape[1] ** 0.5) * PATCH
        return F.fold(fused.transpose(1, 2), tile, PATCH, stride=PATCH)


def _joined(parts: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    return torch.cat([pad_one(part.to(dtype)) for part in parts], dim=1)


class PlusFusionDecoder(nn.Module):
    """From the fused deep map, all features and both images to the fused image.

    joined: maps of one size, each padded by `pad_one`, as one.
    """

    joined: Callable[[Sequence[Tensor], torch.dtype], Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.joined = _joined
        self.mix = _leaky(3 * DEEP, DEEP)
        self.conv1, self.conv2, self.conv3 = _leaky(DEEP, 32), _leaky(32, 32), _leaky(32, SHALLOW)
        self.conv4, self.conv5 = _leaky(3 * SHALLOW + 2, SHALLOW), _leaky(SHALLOW, SHALLOW)
        self.last = Conv(SHALLOW, 2)

    def forward(
        self, fused: Tensor, infrared: tuple[Tensor, Tensor], visible: tuple[Tensor, Tensor], images: Tensor
    ) -> Tensor:
        """fused: (B, 64, h, w); infrared, visible: (shallow, deep) features; images: (B, 2, H, W), infrared
        first, in [0, 1]. Returns (B, 1, H, W) in [0, 255]."""
        (ir_shallow, ir_deep), (vi_shallow, vi_deep) = infrared, visible
        x = self.coarse(torch.cat([fused, ir_deep, vi_deep], dim=1))
        return self.fine(pad_to(x, *ir_shallow.shape[-2:]), ir_shallow, vi_shallow, images)

    def coarse(self, deep: Tensor) -> Tensor:
        """The fused deep map and both deep features, (B, 192, h, w), to (B, 16, 8 h, 8 w)."""
        return _up(self.conv3(_up(self.conv2(_up(self.conv1(self.mix(deep)))))))

    def fine(self, x: Tensor, ir_shallow: Tensor, vi_shallow: Tensor, images: Tensor) -> Tensor:
        """What `coarse` gives, padded to the size of the images, to the fused image."""
        x = self.conv4.on_padded(self.joined((x, ir_shallow, vi_shallow, images), x.dtype))
        x = self.conv5(x)
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
        """Fuse (B, 1, H, W) float images in [0, 255] into (B, 1, H, W) fp32 in [0, 255]; errors as `check_pair`."""
        check_pair(infrared, visible)
        # Channels last as the features are, so that what is made of both is not converted at full size.
        images = (torch.cat([infrared, visible], dim=1) / 255).contiguous(memory_format=torch.channels_last)
        ir, vi = self.encoder_ir(images[:, :1]), self.encoder_vi(images[:, 1:])
        return self.decoder(self.attention(ir[1], vi[1]), ir, vi, images)
