"""Tiles that overlap by half and are blended smoothly: what a tile's border hides, its neighbours' middles show."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion.network.blocks import pad_reflect

TILE, STRIDE = 32, 16


def _padded(side: int) -> int:
    return TILE + STRIDE * max(0, -(-(side - TILE) // STRIDE))


def window(like: Tensor) -> Tensor:
    """Weights of a tile's pixels, (32, 32) fp32 on the device of `like`: a Hann window.

    Above zero everywhere, so that corners which one tile alone covers stay finite.
    """
    line = torch.hann_window(TILE + 2, periodic=False, dtype=torch.float32, device=like.device)[1:-1]
    return line[:, None] * line


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
