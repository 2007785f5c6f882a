"""CrossFuse for inference: an equal, faster network made from a trained one.

Linear layers are packed for oneDNN; in the decoder normalisation is folded, and upsampling and the last convolution
are moved into the others.
"""

import copy
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fuse2task.runtime.compute import Precision, pick_precision
from fusion.network.attention import Mlp
from fusion.network.crossfuse import EPS, CrossFuseNetwork, FusionDecoder, box_sum, deep_weights
from fusion.network.layers import Conv, full_precision, pad_one, pad_to
from fusion.network.plus import CrossFusePlus
from fusion.network.spectral_block import spectral_encoder

TOKENS = 256  # of a tile: what the packed layout is chosen for
MEMORY = 2.0
"""GB that fusing a large pair may take on a CPU, the whole process included."""
STRIP = 0.125  # of the memory is for what a strip takes; the rest is PyTorch and what is kept of the whole image
PIXEL, ATTENDED = 600, 3e6  # bytes that crossfuse-plus takes for a pixel, and in attention for a tile
ATTENTION_INPUTS = ("qkv", "q", "k", "v")
ROWS = 32  # of the shallow maps at once: what lies between stays in the cache of a CPU


class PackedLinear(nn.Module):
    """A trained `nn.Linear` and, if asked for, the GELU behind it.

    dtype: of the arithmetic. wide: whether the result is fp32 all the same: what is added to the tokens.
    """

    def __init__(
        self, linear: nn.Linear, dtype: torch.dtype = torch.float32, gelu: bool = False, wide: bool = True
    ):  # fmt: skip
        super().__init__()
        self.dtype, self.gelu, self.out = dtype, gelu, torch.float32 if wide else dtype
        # Not parameters: they cannot be trained, moved or saved.
        self.weight, self.bias = linear.weight.detach().to(dtype), linear.bias.detach().to(dtype)
        self.packed = has_packed_linear(dtype)
        if self.packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight, TOKENS)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        x = x.to(self.dtype)
        if self.packed:
            after = "gelu" if self.gelu else "none"
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, after, [], "none").to(self.out)
        x = F.linear(x, self.weight, self.bias)
        return (F.gelu(x) if self.gelu else x).to(self.out)


def pack(module: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Replace every linear layer inside `module`, in place."""
    for name, child in module.named_children():
        if isinstance(child, Mlp):
            packed = PackedLinear(child.fc1, dtype, gelu=True, wide=False), PackedLinear(child.fc2, dtype)
            setattr(module, name, nn.Sequential(*packed))
        elif isinstance(child, nn.Linear):
            setattr(module, name, PackedLinear(child, dtype, wide=name not in ATTENTION_INPUTS))
        else:
            pack(child, dtype)
    return module


def has_packed_linear(dtype: torch.dtype = torch.float32) -> bool:
    """Whether this PyTorch was built with oneDNN's linear layers, and the processor has what they need for `dtype`."""
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    return dtype != torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class FoldedDecoder(nn.Module):
    """Equal to a trained `FusionDecoder` in eval mode."""

    def __init__(self, decoder: FusionDecoder):
        super().__init__()
        weight, bias = fold_norm(decoder.conv1)
        self.conv1 = nn.Conv2d(weight.shape[1], weight.shape[0], 3)
        self.conv1.weight.data, self.conv1.bias.data = weight.float(), bias.float()  # type: ignore[union-attr]
        self.conv2, self.conv3 = (UpsampledConv(*fold_norm(layer)) for layer in (decoder.conv2, decoder.conv3))
        # Nothing but a sum stands between the fourth and the last convolution, and padding keeps channels apart.
        (last, last_bias), (weight, bias) = fold_norm(decoder.last), fold_norm(decoder.conv4)
        last = last[:, :, 0, 0]
        self.conv4 = UpsampledConv(torch.einsum("oc,cikl->oikl", last, weight), last @ bias + last_bias)
        self.register_buffer("last", last[0].float(), persistent=False)
        self.requires_grad_(False)

    last: Tensor

    def forward(self, fused: Tensor, infrared: tuple[Tensor, Tensor], visible: tuple[Tensor, Tensor]) -> Tensor:
        """fused: (B, 128, h, w); infrared, visible: (shallow, deep) features. Returns (B, 1, H, W) fp32."""
        (ir_shallow, ir_deep), (vi_shallow, vi_deep) = infrared, visible
        w_ir, w_vi = deep_weights(ir_deep, vi_deep)
        x = fused + w_ir * ir_deep + w_vi * vi_deep
        x = self.conv3(self.conv2(self.conv1(pad_one(x.to(self.conv1.weight.dtype)))))
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


def joined_in_place(parts: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """What `PlusFusionDecoder.joined` gives, (B, C, H + 2, W + 2), without a padded copy of each map beside it."""
    batch, _, height, width = parts[0].shape
    shape = batch, sum(part.shape[1] for part in parts), height + 2, width + 2
    out = torch.empty(shape, dtype=dtype, device=parts[0].device, memory_format=torch.channels_last)
    first = 0
    for part in parts:
        out[:, first : first + part.shape[1], 1:-1, 1:-1] = part
        first += part.shape[1]
    out[:, :, 0, 1:-1], out[:, :, -1, 1:-1] = out[:, :, 2, 1:-1], out[:, :, -3, 1:-1]
    out[..., 0], out[..., -1] = out[..., 2], out[..., -3]
    return out


class InBf16(nn.Module):
    """A module of bf16 weights, fed with maps of any type."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module.to(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        """What the module makes of the maps in bf16."""
        return self.module(x.to(torch.bfloat16))  # type: ignore[no-any-return]


def in_bf16(network: CrossFuseNetwork | CrossFusePlus) -> None:
    """Give the convolutions between shallow features and last layers bf16 weights, in place."""
    for encoder in (network.encoder_ir, network.encoder_vi):
        encoder.dense1 = InBf16(encoder.dense1)  # type: ignore[assignment]
        encoder.dense2.to(torch.bfloat16)
    decoder = network.decoder
    names = ("mix", "conv1", "conv2", "conv3", "conv4", "conv5")
    for name in names if isinstance(network, CrossFusePlus) else names[1:4]:
        decoder.get_submodule(name).to(torch.bfloat16)


def fold_norm(layer: Conv) -> tuple[Tensor, Tensor]:
    """Weight and bias, fp64, of one convolution that equals `layer` with its batch normalisation in eval mode."""
    norm, conv = layer.norm, layer.conv
    assert norm is not None
    scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()  # type: ignore[union-attr]
    shift = norm.bias.detach().double() - norm.running_mean.double() * scale  # type: ignore[union-attr]
    weight, bias = conv.weight.detach().double(), conv.bias.detach().double()  # type: ignore[union-attr]
    return weight * scale[:, None, None, None], bias * scale + shift


class InferenceNetwork(nn.Module):
    """An equal, faster copy of a trained network for one device and one precision; `network` stays as it is.

    The faithful network's decoder is folded. On a CPU linear layers run in oneDNN and, in fp32, the faithful network's
    dense blocks in the frequency domain. Of bf16 are convolutions and products, but for shallow features, weight maps
    and the last layers: by autocast on a GPU. On a CPU, where autocast would pad and upsample in fp32, by `in_bf16`.

    memory: GB within which crossfuse-plus fuses on a CPU, in strips where a pair needs more as a whole; None: `MEMORY`.
    """

    def __init__(
        self, network: CrossFuseNetwork | CrossFusePlus, device: torch.device,
        precision: Literal["fp32", "bf16"] = "fp32", memory: float | None = None,
    ):  # fmt: skip
        super().__init__()
        # Folded on the CPU: some devices have no fp64.
        made: nn.Module = copy.deepcopy(network).cpu().eval().requires_grad_(False)
        made = made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.autocast = precision == "bf16" and device.type != "cpu"
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        if isinstance(made, CrossFuseNetwork):
            made.decoder = FoldedDecoder(made.decoder)  # type: ignore[assignment]
            if device.type == "cpu" and precision == "fp32":
                made.encoder_ir, made.encoder_vi = spectral_encoder(made.encoder_ir), spectral_encoder(made.encoder_vi)
        if device.type == "cpu":
            if isinstance(made, CrossFusePlus):
                made.decoder.joined = joined_in_place
            pack(made.attention, dtype)  # type: ignore[arg-type]
            if precision == "bf16":
                in_bf16(made)  # type: ignore[arg-type]
        self.network = made.to(device)
        self.strip = (
            (memory or MEMORY) * 1e9 * STRIP if device.type == "cpu" and isinstance(made, CrossFusePlus) else None
        )

    def forward(self, infrared: Tensor, visible: Tensor) -> Tensor:
        """As the trained network's, without gradients."""
        with torch.no_grad(), torch.autocast(infrared.device.type, torch.bfloat16, enabled=self.autocast):
            if self.strip is None or infrared[:, 0].numel() * PIXEL <= 2 * self.strip:
                return self.network(infrared, visible)
            from fusion.network.strips import fuse_in_strips

            rows, tiles = round(self.strip / PIXEL / infrared.shape[3]), int(self.strip / ATTENDED)
            pairs = zip(infrared.split(1), visible.split(1), strict=True)
            network: CrossFusePlus = self.network  # type: ignore[assignment]
            return torch.cat([fuse_in_strips(network, *pair, rows, tiles) for pair in pairs])


def pick_inference_precision(precision: Precision, device: torch.device) -> Literal["fp32", "bf16"]:
    """As `pick_precision`, but auto is bf16 on a CPU with AMX as well.

    AVX-512 bf16 without AMX is left to who asks for it: it saves an eighth of the time and makes other bytes.
    """
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    if precision == "auto" and device.type == "cpu" and has_amx():
        return "bf16"
    return pick_precision(precision, device)
