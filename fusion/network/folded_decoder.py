"""The fusion decoder for inference: normalisation folded, upsampling and the last convolution moved into the others."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusion.network.crossfuse import EPS, FusionDecoder, box_sum, deep_weights
from fusion.network.layers import Conv, full_precision, pad_reflect, pad_to

ROWS = 32  # of the shallow maps at once: what lies between stays in the cache of a CPU


class FoldedDecoder(nn.Module):
    """Equal to a trained `FusionDecoder` in eval mode."""

    def __init__(self, decoder: FusionDecoder):
        super().__init__()
        weight, bias = fold_norm(decoder.conv1)
        self.conv1 = nn.Conv2d(weight.shape[1], weight.shape[0], 3)
        self.conv1.weight.data, self.conv1.bias.data = weight.float(), bias.float()  # type: ignore[union-attr]
        self.conv2 = UpsampledConv(*fold_norm(decoder.conv2))
        self.conv3 = UpsampledConv(*fold_norm(decoder.conv3))
        # Nothing but a sum stands between the fourth and the last convolution, and padding keeps channels apart.
        last, last_bias = fold_norm(decoder.last)
        last = last[:, :, 0, 0]
        weight, bias = fold_norm(decoder.conv4)
        self.conv4 = UpsampledConv(torch.einsum("oc,cikl->oikl", last, weight), last @ bias + last_bias)
        self.register_buffer("last", last[0].float(), persistent=False)
        self.requires_grad_(False)

    last: Tensor

    def forward(self, fused: Tensor, infrared: tuple[Tensor, Tensor], visible: tuple[Tensor, Tensor]) -> Tensor:
        """fused: (B, 128, h, w); infrared, visible: (shallow, deep) features. Returns (B, 1, H, W) fp32."""
        (ir_shallow, ir_deep), (vi_shallow, vi_deep) = infrared, visible
        w_ir, w_vi = deep_weights(ir_deep, vi_deep)
        x = fused + w_ir * ir_deep + w_vi * vi_deep
        x = self.conv3(self.conv2(self.conv1(pad_reflect(x, 1, 1, 1, 1))))
        with full_precision(x):
            x = pad_to(self.conv4(x.float()), *ir_shallow.shape[-2:])
            return x + self._shallow(ir_shallow, vi_shallow)

    def _shallow(self, infrared: Tensor, visible: Tensor) -> Tensor:
        # Both shallow maps by their `shallow_weights` through the last convolution, (B, 1, H, W).
        sums = box_sum(infrared), box_sum(visible)
        out = torch.empty_like(sums[0])
        band = ROWS if out.device.type == "cpu" else out.shape[2]
        for top in range(0, out.shape[2], band):
            rows = slice(top, top + band)
            ir, vi = infrared[:, :, rows], visible[:, :, rows]
            g_ir, g_vi = (ir - sums[0][:, :, rows]).abs_(), (vi - sums[1][:, :, rows]).abs_()
            total = (g_ir + g_vi).add_(EPS)
            mixed = g_ir.mul_(ir).mul_(0.5).addcmul_(g_vi, vi).div_(total)
            out[:, 0, rows] = mixed.permute(0, 2, 3, 1) @ self.last
        return out


class UpsampledConv(nn.Module):
    """Nearest-neighbour x2, reflection padding and a 3x3 convolution, computed at the lower resolution.

    Each of an upsampled pixel's three rows is one of two rows below, so that four 2x2 kernels, one for each parity
    of row and column, give the same with 4/9 of the work; reflecting by one pixel above is replicating below.
    """

    def __init__(self, weight: Tensor, bias: Tensor):
        super().__init__()
        self.outputs = weight.shape[0]
        # Rows of the 3x3 kernel that fall on the first and on the second row below, for even and for odd rows.
        share = torch.tensor([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], dtype=weight.dtype, device=weight.device)
        kernels = torch.einsum("pak,qbl,oikl->pqoiab", share, share, weight)
        self.conv = nn.Conv2d(weight.shape[1], 4 * self.outputs, 2)
        self.conv.weight.data = kernels.flatten(0, 2).float().contiguous(memory_format=torch.channels_last)
        self.conv.bias.data = bias.float().repeat(4)  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, 2 H, 2 W)."""
        batch, _, height, width = x.shape
        phases = self.conv(F.pad(x, (1, 1, 1, 1), mode="replicate"))
        out = phases.new_empty(batch, 2 * height, 2 * width, self.outputs).permute(0, 3, 1, 2)
        for number, phase in enumerate(phases.split(self.outputs, dim=1)):
            down, right = divmod(number, 2)
            out[..., down::2, right::2] = phase[..., down : down + height, right : right + width]
        return out


def fold_norm(layer: Conv) -> tuple[Tensor, Tensor]:
    """Weight and bias, fp64, of one convolution that equals `layer` with its batch normalisation in eval mode."""
    norm, weight, bias = layer.norm, layer.conv.weight.detach().double(), layer.conv.bias
    assert norm is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert bias is not None
    scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.detach().double() - norm.running_mean.double() * scale
    return weight * scale[:, None, None, None], bias.detach().double() * scale + shift
