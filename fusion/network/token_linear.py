"""Linear layers on tokens."""

import torch.nn.functional as F
from torch import Tensor, nn


class TokenLinear(nn.Linear):
    """`nn.Linear` that trains on a CPU as a 1x1 convolution.

    PyTorch gives fp32 products to MKL, which on AMD processors does not use AVX-512, and convolutions to oneDNN, which
    does: forward and backward together take half the time there. For inference see `fusion.network.packed_linear`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        if not self.training or x.device.type != "cpu":
            return super().forward(x)
        maps = x.reshape(1, -1, 1, self.in_features).permute(0, 3, 1, 2)
        out = F.conv2d(maps, self.weight[:, :, None, None], self.bias)
        return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], self.out_features)
