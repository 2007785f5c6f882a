"""The encoder with each dense block as one convolution in the frequency domain: equal, with a tenth of the work.

A dense block holds no activation, so away from the borders it is a single 9x9 convolution. Overlapping 32x32 windows
are taken to the frequency domain, where that convolution is one small matrix product a frequency (overlap-save:
Oppenheim & Schafer, Discrete-Time Signal Processing, section 8.7.3). The outer four rows and columns, where every
layer reflects its own border, are computed layer by layer. The transforms are matrix products themselves: at this
size they are faster than a general FFT on channels-last maps.
"""

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusion.network.layers import DenseBlock, Encoder

WINDOW, REACH = 32, 4
STEP = WINDOW - 2 * REACH  # outputs a window gives in each direction
HALF = WINDOW // 2 + 1  # frequencies of a real signal
WINDOWS = 160  # at once: bounds the memory that a large image takes


class SpectralDenseBlock(nn.Module):
    """A trained `DenseBlock` for inference on a CPU in fp32."""

    hr: Tensor
    hi: Tensor
    bias: Tensor
    forward_columns: Tensor
    forward_rows: Tensor
    inverse_rows: Tensor
    inverse_columns: Tensor

    def __init__(self, block: DenseBlock):
        super().__init__()
        self.block = block
        response, bias = impulse_response(block)
        spectrum = torch.fft.rfft2(response, s=(WINDOW, WINDOW)).to(torch.complex64).permute(3, 2, 0, 1).flatten(0, 1)
        tables = {"hr": spectrum.real, "hi": spectrum.imag, "bias": bias} | _transforms()
        for name, table in tables.items():
            self.register_buffer(name, table.float().contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) fp32 to (B, outputs, H, W), channels last."""
        batch, _, height, width = x.shape
        if min(height, width) < WINDOW:  # mostly border
            return self.block(x)
        out = x.new_empty(batch, height, width, self.hr.shape[-1])
        columns = -(-(width - 2 * REACH) // STEP)
        band = max(1, WINDOWS // columns) * STEP
        for source, target in zip(x.permute(0, 2, 3, 1), out, strict=True):
            for top in range(0, height - 2 * REACH, band):
                rows = min(band, height - 2 * REACH - top)
                part = source[top : top + rows + 2 * REACH]
                target[REACH + top : REACH + top + rows, REACH : width - REACH] = self._interior(part)
        out = out.permute(0, 3, 1, 2)
        self._borders(x, out)
        return out

    def _interior(self, x: Tensor) -> Tensor:
        # (h, w, C) to the (h - 8, w - 8, O) outputs that need nothing beyond x. Axes of what is between: column and
        # row frequency v and u, pixel column and row j and i, window t, channel.
        height, width, channels = x.shape
        down, across = (-(-(side - 2 * REACH) // STEP) for side in (height, width))
        missing = (down * STEP + 2 * REACH - height, across * STEP + 2 * REACH - width)
        x = F.pad(x, (0, 0, 0, missing[1], 0, missing[0]))
        windows = x.unfold(0, WINDOW, STEP).unfold(1, WINDOW, STEP).permute(4, 3, 0, 1, 2)  # j, i, down, across, C
        x = torch.mm(self.forward_columns, windows.reshape(WINDOW, -1))  # (v, part) x (i, t, C)
        x = x.view(HALF, 2 * WINDOW, -1)  # v x (part, i) x (t, C)
        xr, xi = (
            torch.bmm(table.expand(HALF, -1, -1), x).view(HALF * WINDOW, -1, channels) for table in self.forward_rows
        )
        yr = torch.bmm(xr, self.hr).baddbmm_(xi, self.hi, alpha=-1)
        yi = torch.bmm(xr, self.hi).baddbmm_(xi, self.hr)
        yr[0] += self.bias * WINDOW**2
        real, imaginary = (table.expand(HALF, -1, -1) for table in self.inverse_rows)
        y = torch.bmm(real, yr.view(HALF, WINDOW, -1))
        y.baddbmm_(imaginary, yi.view(HALF, WINDOW, -1))  # v x (part, i) x (t, O)
        y = torch.mm(self.inverse_columns, y.view(2 * HALF, -1)).view(STEP, STEP, down, across, -1)  # j, i, t, O
        y = y.permute(2, 1, 3, 0, 4).reshape(down * STEP, across * STEP, -1)
        return y[: height - 2 * REACH, : width - 2 * REACH]

    def _borders(self, x: Tensor, out: Tensor) -> None:
        near, far = slice(None, 2 * REACH), slice(-2 * REACH, None)
        out[:, :, :REACH] = self._strip(x[:, :, near], top=True, left=True, right=True)
        out[:, :, -REACH:] = self._strip(x[:, :, far], bottom=True, left=True, right=True)
        out[:, :, REACH:-REACH, :REACH] = self._strip(x[..., near], left=True)
        out[:, :, REACH:-REACH, -REACH:] = self._strip(x[..., far], right=True)

    def _strip(
        self, x: Tensor, top: bool = False, bottom: bool = False, left: bool = False, right: bool = False
    ) -> Tensor:
        # Layer by layer, reflecting at the named borders of the map; the other sides lose a pixel a layer.
        pad = (int(left), int(right), int(top), int(bottom))
        x = x.contiguous(memory_format=torch.channels_last)
        for layer in self.block.layers:
            grown = layer.conv(F.pad(x, pad, mode="reflect"))  # type: ignore[operator, union-attr]
            kept = x[:, :, _cut(top, bottom, x.shape[2]), _cut(left, right, x.shape[3])]
            x = torch.cat([kept, grown], dim=1)
        return self.block.adjust.conv(F.pad(x, pad, mode="reflect"))


def spectral_encoder(encoder: Encoder) -> Encoder:
    """A copy of a trained encoder with its dense blocks in the frequency domain."""
    made = copy.deepcopy(encoder)
    made.dense1, made.dense2 = SpectralDenseBlock(made.dense1), SpectralDenseBlock(made.dense2)  # type: ignore[assignment]
    return made


def impulse_response(block: DenseBlock) -> tuple[Tensor, Tensor]:
    """What the block is without borders: y = sum over inputs of (response * x) + bias, both fp64.

    response: (inputs, outputs, 9, 9), of which [..., 4, 4] is the centre; bias: (outputs,).
    """
    layers = [layer.conv for layer in (*block.layers, block.adjust)]  # type: ignore[union-attr]
    weights = [layer.weight.detach().double() for layer in layers]  # type: ignore[union-attr, operator]
    inputs = weights[0].shape[1]

    def run(x: Tensor, biases: list[Tensor | None], padding: int) -> Tensor:
        for weight, bias in zip(weights[:-1], biases, strict=False):
            grown = F.conv2d(x, weight, bias, padding=padding)
            x = torch.cat([F.pad(x, [padding - 1] * 4), grown], dim=1)
        return F.conv2d(x, weights[-1], biases[-1], padding=padding)

    one = torch.eye(inputs, dtype=torch.float64, device=weights[0].device)[:, :, None, None]
    nothing = one.new_zeros(1, inputs, 2 * REACH + 1, 2 * REACH + 1)
    biases = [layer.bias.detach().double() for layer in layers]  # type: ignore[union-attr, operator]
    return run(one, [None] * len(layers), padding=2), run(nothing, biases, padding=0)[0, :, 0, 0]


def _cut(low: bool, high: bool, size: int) -> slice:
    return slice(0 if low else 1, size if high else size - 1)


def _transforms() -> dict[str, Tensor]:
    # Discrete Fourier transforms of a real window as real matrices; the inverse keeps the outputs alone that no
    # wrap-around has touched.
    place = torch.arange(WINDOW, dtype=torch.float64)
    angle = 2 * math.pi / WINDOW * torch.outer(place, place)
    cos, sin = angle.cos(), angle.sin()
    kept = slice(2 * REACH, None)
    weight = torch.full((HALF,), 2.0, dtype=torch.float64)  # a frequency stands for its conjugate too
    weight[0] = weight[-1] = 1
    back = torch.stack([cos[kept, :HALF] * weight, -sin[kept, :HALF] * weight], dim=2)
    return {
        "forward_columns": torch.stack([cos[:HALF], -sin[:HALF]], dim=1).flatten(0, 1),
        "forward_rows": torch.stack([torch.cat([cos, sin], dim=1), torch.cat([-sin, cos], dim=1)]),
        "inverse_rows": torch.stack([torch.cat([cos[kept], sin[kept]]), torch.cat([-sin[kept], cos[kept]])]) / WINDOW,
        "inverse_columns": back.flatten(1) / WINDOW,
    }
