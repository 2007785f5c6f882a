"""Linear layers for inference on a CPU: weights packed once for oneDNN, in fp32 or bf16.

PyTorch gives fp32 products to MKL, which on AMD processors does not use AVX-512: oneDNN is 2.2 times as fast there.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusion.network.attention import Mlp

ROWS = 256  # tokens of a tile: what the packed layout is chosen for


class PackedLinear(nn.Module):
    """A trained `nn.Linear` and, if asked for, the GELU behind it. The result is fp32 whatever the arithmetic."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype = torch.float32, gelu: bool = False):
        super().__init__()
        self.dtype, self.gelu = dtype, gelu
        # Not parameters: they cannot be trained, moved or saved.
        self.weight, self.bias = linear.weight.detach().to(dtype), linear.bias.detach().to(dtype)
        self.packed = has_packed_linear()
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


def has_packed_linear() -> bool:
    """Whether this PyTorch was built with oneDNN's linear layers, which its compiler uses as well."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
