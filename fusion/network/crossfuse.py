"""CrossFuse: two frozen encoders, the cross-attention module and the fusion decoder."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusion.network.attention import CrossAttention
from fusion.network.layers import Conv, Encoder, full_precision, pad_to, upsample

EPS = 1e-6
MIN_SIDE = 16


def box_sum(x: Tensor) -> Tensor:
    """3x3 zero-padded spatial mean, summed over channels, in fp32: (B, C, H, W) to (B, 1, H, W).

    The release convolves densely from C to C channels with equal weights, which gives C equal maps of this.
    """
    return F.avg_pool2d(x.float().sum(dim=1, keepdim=True), 3, stride=1, padding=1)


def stretch(x: Tensor) -> Tensor:
    """Per-image min-max normalisation to [0, 255) in fp32; a constant image gives zeroes."""
    flat = x.float().flatten(1)
    low, high = (part.values[:, None, None, None] for part in (flat.min(dim=1), flat.max(dim=1)))
    return (x.float() - low) / (high - low + EPS) * 255


class FusionDecoder(nn.Module):
    """From the fused deep map and all features to the fused image before normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = Conv(128, 64, norm=True), Conv(64, 64, norm=True)
        self.conv3, self.conv4 = Conv(64, 32, norm=True), Conv(32, 32, norm=True)
        self.last = Conv(32, 1, 1, norm=True)

    def forward(self, fused: Tensor, infrared: tuple[Tensor, Tensor], visible: tuple[Tensor, Tensor]) -> Tensor:
        """fused: (B, 128, h, w); infrared, visible: (shallow, deep) features. Returns (B, 1, H, W)."""
        (ir_shallow, ir_deep), (vi_shallow, vi_deep) = infrared, visible
        w_ir, w_vi = deep_weights(ir_deep, vi_deep)
        x = fused + w_ir * ir_deep + w_vi * vi_deep
        x = self.conv4(upsample(self.conv3(upsample(self.conv2(upsample(self.conv1(x)))))))
        v_ir, v_vi = shallow_weights(ir_shallow, vi_shallow)
        with full_precision(x):
            x = pad_to(x.float(), *ir_shallow.shape[-2:]) + 0.5 * v_ir * ir_shallow + v_vi * vi_shallow
            return self.last(x)


@torch.no_grad()
def deep_weights(infrared: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    """Shares of each modality's deep features, (B, 1, h, w) each. Sums may be near zero or negative: as the
    release, guarded by 1e-6 alone."""
    return _shares(box_sum(infrared), box_sum(visible))


@torch.no_grad()
def shallow_weights(infrared: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    """Shares by |features - their box sum|, (B, 32, H, W) each."""
    return _shares(*((features - box_sum(features)).abs() for features in (infrared.float(), visible.float())))


def _shares(infrared: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    total = infrared + visible + EPS
    return infrared / total, visible / total


def check_pair(infrared: Tensor, visible: Tensor) -> None:
    """Raise ValueError where CrossFuse cannot fuse: a side is below 16, or the shapes differ."""
    if infrared.shape != visible.shape or min(infrared.shape[-2:]) < MIN_SIDE:
        shapes = f"{tuple(infrared.shape)} and {tuple(visible.shape)}"
        raise ValueError(f"CrossFuse needs two equal images of at least 16x16, not {shapes}")


class CrossFuseNetwork(nn.Module):
    """The network that fuses a pair of grey images of any equal size from 16x16 up."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder_ir, self.encoder_vi = Encoder(), Encoder()
        self.attention = CrossAttention()
        self.decoder = FusionDecoder()

    def features(self, infrared: Tensor, visible: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """(shallow, deep) of each modality from (B, 1, H, W) in [0, 255]."""
        return self.encoder_ir(infrared / 255), self.encoder_vi(visible / 255)

    def forward(
        self, infrared: Tensor, visible: Tensor, infrared_deep: Tensor | None = None, visible_deep: Tensor | None = None
    ) -> Tensor:
        """Fuse (B, 1, H, W) float images in [0, 255] into (B, 1, H, W) fp32, min-max stretched to [0, 255).

        Known deep features (B, 128, H//8, W//8) of both save most of the work. Errors as `check_pair`.
        """
        check_pair(infrared, visible)
        if infrared_deep is None or visible_deep is None:
            return self.fuse(*self.features(infrared, visible))
        ir, vi = self.encoder_ir.shallow_features(infrared / 255), self.encoder_vi.shallow_features(visible / 255)
        return self.fuse((ir, infrared_deep), (vi, visible_deep))

    def fuse(self, infrared: tuple[Tensor, Tensor], visible: tuple[Tensor, Tensor]) -> Tensor:
        """Fuse the features of both modalities; as `forward` otherwise."""
        return stretch(self.decoder(self.attention(infrared[1], visible[1]), infrared, visible))
