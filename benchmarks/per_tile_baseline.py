"""CrossFuse as one would first write it down: the baseline of inference.py.

fp32 throughout, channels first, tiles one by one with the window shift, attention written out, the box means as
dense convolutions from all channels to all channels, batch normalisation as it was trained.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion.network.attention import TILE, CrossBlock, SelfBlock, to_maps, to_tokens
from fusion.network.blocks import pad_reflect, pad_to, upsample
from fusion.network.crossfuse import CrossFuse

EPS = 1e-6


def fuse(network: CrossFuse, infrared: Tensor, visible: Tensor) -> Tensor:
    """(B, 1, H, W) images in [0, 255] to (B, 1, H, W) in [0, 255) with a trained network's weights, one by one."""
    return torch.cat([_fuse_one(network, ir[None], vi[None]) for ir, vi in zip(infrared, visible, strict=True)])


def _fuse_one(network: CrossFuse, infrared: Tensor, visible: Tensor) -> Tensor:
    ir_shallow, ir_deep = network.encoder_ir(infrared / 255)
    vi_shallow, vi_deep = network.encoder_vi(visible / 255)
    decoder = network.decoder
    ir_sum, vi_sum = dense_box(ir_deep), dense_box(vi_deep)
    total = ir_sum + vi_sum + EPS
    x = attend_tiles(network, ir_deep, vi_deep) + ir_sum / total * ir_deep + vi_sum / total * vi_deep
    for layer in (decoder.conv1, decoder.conv2, decoder.conv3):
        x = upsample(layer(x))
    x = pad_to(decoder.conv4(x), *ir_shallow.shape[-2:])
    ir_detail = (ir_shallow - dense_box(ir_shallow)).abs()
    vi_detail = (vi_shallow - dense_box(vi_shallow)).abs()
    total = ir_detail + vi_detail + EPS
    x = decoder.last(x + 0.5 * ir_detail / total * ir_shallow + vi_detail / total * vi_shallow)
    return (x - x.min()) / (x.max() - x.min() + EPS) * 255


def dense_box(x: Tensor) -> Tensor:
    """3x3 mean summed over channels as a convolution from C to C channels: (B, C, H, W) to the same."""
    channels = x.shape[1]
    return F.conv2d(x, torch.full((channels, channels, 3, 3), 1 / 9), padding=1)


def attend_tiles(network: CrossFuse, infrared: Tensor, visible: Tensor) -> Tensor:
    """The cross-attention module, tile by tile: (1, 128, h, w) twice to (1, 128, h, w)."""
    height, width = infrared.shape[-2:]
    ir, vi = (pad_reflect(x, 0, -width % TILE, 0, -height % TILE) for x in (infrared, visible))
    fused = torch.empty_like(ir)
    for top in range(0, ir.shape[2], TILE):
        for left in range(0, ir.shape[3], TILE):
            tile = (..., slice(top, top + TILE), slice(left, left + TILE))
            fused[tile] = attend(network, ir[tile], vi[tile])
    return fused[..., :height, :width]


def attend(network: CrossFuse, infrared: Tensor, visible: Tensor) -> Tensor:
    """One tile, (1, 128, 32, 32) twice to the same."""
    module = network.attention
    ir = shifted(module.self2_ir, to_maps(self_attention(module.self1_ir, to_tokens(infrared))))
    vi = shifted(module.self2_vi, to_maps(self_attention(module.self1_vi, to_tokens(visible))))
    return to_maps(cross_attention(module.cross_ir_vi, ir, vi) + cross_attention(module.cross_vi_ir, vi, ir))


def shifted(block: SelfBlock, tile: Tensor) -> Tensor:
    """Self-attention on the tile rolled by half its side; tokens of the tile rolled back."""
    half = TILE // 2
    rolled = self_attention(block, to_tokens(torch.roll(tile, (-half, -half), (2, 3))))
    return to_tokens(torch.roll(to_maps(rolled), (half, half), (2, 3)))


def self_attention(block: SelfBlock, tokens: Tensor) -> Tensor:
    q, k, v = block.qkv(block.norm1(tokens)).chunk(3, dim=-1)
    tokens = tokens + block.proj(attention(q, k, v, block.heads, sign=1))
    return tokens + block.mlp(block.norm2(tokens))


def cross_attention(block: CrossBlock, asking: Tensor, answering: Tensor) -> Tensor:
    a, b = block.norm1(asking), block.norm1(answering)
    out = answering + block.proj(attention(block.q(a), block.k(b), block.v(b), block.heads, sign=-1))
    return block.norm(out + block.mlp(block.norm2(out)))


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, sign: int) -> Tensor:
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    share = (sign * q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1)
    return (share @ v).transpose(1, 2).flatten(2)
