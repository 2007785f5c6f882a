"""CrossFuse for inference: an equal, faster network made from a trained one."""

import copy
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fuse2task.runtime.compute import Precision, pick_precision
from fusion.network.attention import Mlp
from fusion.network.crossfuse import CrossFuseNetwork
from fusion.network.folded_decoder import FoldedDecoder
from fusion.network.layers import Encoder
from fusion.network.plus import CrossFusePlus
from fusion.network.spectral_block import SpectralDenseBlock

ROWS = 256  # tokens of a tile: what the packed layout is chosen for


class PackedLinear(nn.Module):
    """A trained `nn.Linear` and, if asked for, the GELU behind it. The result is fp32 whatever the arithmetic."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype = torch.float32, gelu: bool = False):
        super().__init__()
        self.dtype, self.gelu = dtype, gelu
        # Not parameters: they cannot be trained, moved or saved.
        self.weight, self.bias = linear.weight.detach().to(dtype), linear.bias.detach().to(dtype)
        self.packed = has_packed_linear(dtype)
        if self.packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight, ROWS)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs) fp32."""
        x = x.to(self.dtype)
        if self.packed:
            after = "gelu" if self.gelu else "none"
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, after, [], "none").float()
        x = F.linear(x, self.weight, self.bias).float()
        return F.gelu(x) if self.gelu else x


class PackedMlp(nn.Module):
    """A trained `Mlp`."""

    def __init__(self, mlp: Mlp, dtype: torch.dtype):
        super().__init__()
        self.fc1 = PackedLinear(mlp.fc1, dtype, gelu=True)
        self.fc2 = PackedLinear(mlp.fc2, dtype)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., dim) to (..., dim)."""
        return self.fc2(self.fc1(tokens))


def pack(module: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Replace every linear layer inside `module`, in place."""
    for name, child in module.named_children():
        if isinstance(child, Mlp):
            setattr(module, name, PackedMlp(child, dtype))
        elif isinstance(child, nn.Linear):
            setattr(module, name, PackedLinear(child, dtype))
        else:
            pack(child, dtype)
    return module


def has_packed_linear(dtype: torch.dtype = torch.float32) -> bool:
    """Whether this PyTorch was built with oneDNN's linear layers, and the processor has what they need for `dtype`."""
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    return dtype != torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class InferenceEncoder(nn.Module):
    """A trained `Encoder` with its dense blocks in the frequency domain."""

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.shallow = encoder.shallow
        self.dense1, self.dense2 = SpectralDenseBlock(encoder.dense1), SpectralDenseBlock(encoder.dense2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """As `Encoder.forward`, in fp32."""
        shallow = self.shallow(image)
        x = self.dense1(F.max_pool2d(shallow, 2))
        return shallow, F.max_pool2d(self.dense2(F.max_pool2d(x, 2)), 2)


class InferenceNetwork(nn.Module):
    """An equal, faster copy of a trained network for one device and one precision; `network` stays as it is.

    The faithful network's decoder is folded. On a CPU linear layers run in oneDNN and, in fp32, the faithful network's
    dense blocks in the frequency domain. bf16 means autocast, with shallow features, weight maps and the last layers
    kept in fp32.
    """

    def __init__(
        self, network: CrossFuseNetwork | CrossFusePlus, device: torch.device,
        precision: Literal["fp32", "bf16"] = "fp32",
    ):  # fmt: skip
        super().__init__()
        # Folded on the CPU: some devices have no fp64.
        made: nn.Module = copy.deepcopy(network).cpu().eval().requires_grad_(False)
        made = made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.autocast = precision == "bf16"
        parts: dict[str, nn.Module] = {}
        if isinstance(made, CrossFuseNetwork):
            parts["decoder"] = FoldedDecoder(made.decoder)
            if device.type == "cpu" and not self.autocast:
                parts["encoder_ir"] = InferenceEncoder(made.encoder_ir)
                parts["encoder_vi"] = InferenceEncoder(made.encoder_vi)
        for name, part in parts.items():
            setattr(made, name, part)
        if device.type == "cpu":
            pack(made.attention, torch.bfloat16 if self.autocast else torch.float32)  # type: ignore[arg-type]
        self.network = made.to(device)

    def forward(self, infrared: Tensor, visible: Tensor) -> Tensor:
        """As the trained network's, without gradients."""
        with torch.no_grad(), torch.autocast(infrared.device.type, torch.bfloat16, enabled=self.autocast):
            return self.network(infrared, visible)


def pick_inference_precision(precision: Precision, device: torch.device) -> Literal["fp32", "bf16"]:
    """As `pick_precision`, but auto is bf16 on a CPU with AMX as well.

    AVX-512 bf16 without AMX is left to who asks for it: it saves an eighth of the time and makes other bytes.
    """
    if precision == "auto" and device.type == "cpu" and _has_amx():
        return "bf16"
    return pick_precision(precision, device)


def _has_amx() -> bool:
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return supported is not None and bool(supported())
