"""Tiles, tokens and the cross-attention module (CAM)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusion.network.layers import pad_reflect

TILE, STRIDE, PATCH, HEADS, DIM = 32, 16, 2, 16, 512


def window(like: Tensor) -> Tensor:
    """Weights of a tile's pixels, (32, 32) fp32 on the device of `like`: a Hann window.

    Above zero everywhere, so that corners which one tile alone covers stay finite.
    """
    line = torch.hann_window(TILE + 2, periodic=False, dtype=torch.float32, device=like.device)[1:-1]
    return line[:, None] * line


def _padded(side: int) -> int:
    return TILE + STRIDE * max(0, -(-(side - TILE) // STRIDE))


def to_overlapping_tiles(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B * tiles, C, 32, 32), a tile every 16 steps; reflect-padded at right and bottom."""
    height, width = x.shape[-2:]
    x = pad_reflect(x, 0, _padded(width) - width, 0, _padded(height) - height)
    tiles = x.unfold(2, TILE, STRIDE).unfold(3, TILE, STRIDE)
    return tiles.permute(0, 2, 3, 1, 4, 5).reshape(-1, x.shape[1], TILE, TILE)


def from_overlapping_tiles(tiles: Tensor, size: torch.Size) -> Tensor:
    """Blend the tiles of maps that were `size`, (B, C, H, W): weights are Hann windows that sum to one."""
    batch, channels, height, width = size
    padded = (_padded(height), _padded(width))
    weights = window(tiles)
    count = tiles.shape[0] // batch
    columns = (tiles.float() * weights).reshape(batch, count, channels * TILE**2).transpose(1, 2)
    total = F.fold(weights.reshape(1, -1, 1).expand(1, -1, count), padded, TILE, stride=STRIDE)
    return (F.fold(columns, padded, TILE, stride=STRIDE) / total)[..., :height, :width].to(tiles.dtype)


class TokenLinear(nn.Linear):
    """`nn.Linear` that trains on a CPU as a 1x1 convolution.

    PyTorch gives fp32 products to MKL, which on AMD processors does not use AVX-512, and convolutions to oneDNN, which
    does: forward and backward together take half the time there. For inference see `fusion.network.inference`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        if not self.training or x.device.type != "cpu":
            return super().forward(x)
        maps = x.reshape(1, -1, 1, self.in_features).permute(0, 3, 1, 2)
        out = F.conv2d(maps, self.weight[:, :, None, None], self.bias)
        return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], self.out_features)


class Mlp(nn.Module):
    """Two linear layers with GELU, hidden width 4 times the token width."""

    def __init__(self, dim: int):
        super().__init__()
        self.fc1, self.fc2 = TokenLinear(dim, 4 * dim), TokenLinear(4 * dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, dim) to (B, N, dim)."""
        return self.fc2(F.gelu(self.fc1(tokens)))


def _heads(tokens: Tensor, heads: int) -> Tensor:
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


def _merge(tokens: Tensor) -> Tensor:
    return tokens.transpose(1, 2).flatten(2)


class SelfBlock(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, dim: int = DIM, heads: int = HEADS):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.qkv, self.proj = TokenLinear(dim, 3 * dim), TokenLinear(dim, dim)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, dim) to (B, N, dim)."""
        q, k, v = (_heads(part, self.heads) for part in self.qkv(self.norm1(tokens)).chunk(3, dim=-1))
        tokens = tokens + self.proj(_merge(F.scaled_dot_product_attention(q, k, v)))
        return tokens + self.mlp(self.norm2(tokens))


class CrossBlock(nn.Module):
    """Cross attention that favours what is *un*correlated: softmax(-q k^T / sqrt(d)), the paper's point."""

    def __init__(self, dim: int = DIM, heads: int = HEADS):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.q, self.k, self.v, self.proj = (TokenLinear(dim, dim) for _ in range(4))
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, asking: Tensor, answering: Tensor) -> Tensor:
        """Queries from `asking`, keys, values and the residual from `answering`; all (B, N, dim)."""
        a, b = self.norm1(asking), self.norm1(answering)
        q, k, v = (_heads(layer(x), self.heads) for layer, x in ((self.q, a), (self.k, b), (self.v, b)))
        out = answering + self.proj(_merge(F.scaled_dot_product_attention(-q, k, v)))
        return self.norm(out + self.mlp(self.norm2(out)))


def to_tiles(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B * tiles, C, 32, 32), reflect-padded at right and bottom."""
    height, width = x.shape[-2:]
    x = pad_reflect(x, 0, -width % TILE, 0, -height % TILE)
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height // TILE, TILE, width // TILE, TILE)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, TILE, TILE)


def from_tiles(tiles: Tensor, batch: int, height: int, width: int) -> Tensor:
    """Inverse of `to_tiles`: (B * tiles, C, 32, 32) to (B, C, height, width), padding cut off."""
    rows, columns = -(-height // TILE), -(-width // TILE)
    x = tiles.reshape(batch, rows, columns, -1, TILE, TILE).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(batch, -1, rows * TILE, columns * TILE)[..., :height, :width]


def to_tokens(tiles: Tensor) -> Tensor:
    """(T, C, 32, 32) to (T, 256, 4 C): 2x2 patches in row order, each flattened as (c, h, w)."""
    return F.unfold(tiles, PATCH, stride=PATCH).transpose(1, 2)


def to_maps(tokens: Tensor) -> Tensor:
    """Inverse of `to_tokens`."""
    return F.fold(tokens.transpose(1, 2), TILE, PATCH, stride=PATCH)


class CrossAttention(nn.Module):
    """The whole module; all tiles of a batch go through it in one call. 256-pixel tiles are independent."""

    def __init__(self) -> None:
        super().__init__()
        self.self1_ir, self.self1_vi, self.self2_ir, self.self2_vi = (SelfBlock() for _ in range(4))
        self.cross_ir_vi, self.cross_vi_ir = CrossBlock(), CrossBlock()

    def forward(self, infrared: Tensor, visible: Tensor) -> Tensor:
        """Deep features of both modalities, (B, 128, h, w), to the fused deep map of that shape."""
        batch, _, height, width = infrared.shape
        ir = self.self2_ir(self.self1_ir(to_tokens(to_tiles(infrared))))
        vi = self.self2_vi(self.self1_vi(to_tokens(to_tiles(visible))))
        fused = self.cross_ir_vi(ir, vi) + self.cross_vi_ir(vi, ir)
        return from_tiles(to_maps(fused), batch, height, width)
