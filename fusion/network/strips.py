"""CrossFuse-plus in strips of rows: the same values from large images in bounded memory.

Convolutions see a few rows beyond their strip, which are cut off again. Attention is over tiles that know nothing of
each other; the deep maps, an eighth of the image's side, are kept whole.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from fusion.network.attention import STRIDE, TILE, from_overlapping_tiles, to_overlapping_tiles
from fusion.network.crossfuse import check_pair
from fusion.network.layers import pad_reflect
from fusion.network.plus import CrossFusePlus, PlusCrossAttention, PlusEncoder, PlusFusionDecoder

# Rows beyond a strip that what is made of it depends on, at the resolution of the input.
SHALLOW_REACH = 1
MIDDLE_REACH = 12  # four 3x3 convolutions at half the resolution, one before; in steps of what is pooled
DEEP_REACH = 4
COARSE_REACH = 6  # of deep rows
FINE_REACH = 3
LEAST = 24_576  # pixels: below 20 480 values PyTorch convolves by another kernel, which rounds otherwise


def fuse_in_strips(network: CrossFusePlus, infrared: Tensor, visible: Tensor, rows: int, tiles: int) -> Tensor:
    """What `network` gives for one pair, (1, 1, H, W) each.

    rows: of the image at once, about. tiles: of attention at once, about; whole rows of tiles are taken. Errors as
    `check_pair`.
    """
    check_pair(infrared, visible)
    rows = 8 * max(1, rows // 8, -(-LEAST // (8 * infrared.shape[3])))
    images = (torch.cat([infrared, visible], dim=1) / 255).contiguous(memory_format=torch.channels_last)
    ir, vi = (
        deep_features(network.encoder_ir, images[:, :1], rows),
        deep_features(network.encoder_vi, images[:, 1:], rows),
    )
    joined = torch.cat([attended(network.attention, ir, vi, tiles), ir, vi], dim=1)
    out = torch.empty_like(infrared)
    for top, bottom in strips(out.shape[2], rows):
        out[:, :, top:bottom] = decoded(network, joined, images, top, bottom)
    return out


def strips(height: int, rows: int) -> Iterator[tuple[int, int]]:
    """First row and end of strips of a multiple of 8 rows, at least `rows`; the last takes what is left."""
    count = max(1, height // rows)
    rows = height // count // 8 * 8
    for number in range(count):
        yield number * rows, height if number == count - 1 else (number + 1) * rows


def deep_features(encoder: PlusEncoder, image: Tensor, rows: int) -> Tensor:
    """Deep features of (1, 1, H, W) in [0, 1]."""
    height = image.shape[2]
    middle = []
    for top, bottom in strips(height, rows):
        first, end = max(0, top - MIDDLE_REACH), min(height, bottom + MIDDLE_REACH)
        part = encoder.middle_features(encoder.shallow_features(image[:, :, first:end]))
        skipped = (top - first) // 4
        count = part.shape[2] - skipped if bottom == height else (bottom - top) // 4
        middle.append(part[:, :, skipped : skipped + count])
    whole = torch.cat(middle, dim=2)
    del middle
    height, deep = whole.shape[2], []
    for top, bottom in strips(height, 2 * rows):
        first, end = max(0, top - DEEP_REACH), min(height, bottom + DEEP_REACH)
        part = encoder.deep_features(whole[:, :, first:end])
        skipped = (top - first) // 2
        count = part.shape[2] - skipped if bottom == height else (bottom - top) // 2
        deep.append(part[:, :, skipped : skipped + count])
    return torch.cat(deep, dim=2)


def attended(attention: PlusCrossAttention, infrared: Tensor, visible: Tensor, tiles: int) -> Tensor:
    """The fused deep map, (1, 64, h, w)."""
    _, channels, height, width = infrared.shape
    down, across = (1 + max(0, -(-(side - TILE) // STRIDE)) for side in (height, width))
    below, beside = (TILE + STRIDE * (count - 1) - side for count, side in ((down, height), (across, width)))
    padded = [pad_reflect(x, 0, beside, 0, below) for x in (infrared, visible)]
    out = torch.empty_like(infrared)
    before: list[Tensor] = []  # the last row of tiles, which reaches into the next strip
    at_once = max(1, tiles // across)
    for first in range(0, down, at_once):
        last = min(down, first + at_once)
        rows = slice(STRIDE * first, STRIDE * (last - 1) + TILE)
        made = attention.attend(*(to_overlapping_tiles(x[:, :, rows]) for x in padded))
        count = last - first + len(before)
        size = torch.Size((1, channels, STRIDE * (count - 1) + TILE, width))
        blended = from_overlapping_tiles(torch.cat([*before, made]), size)
        top, bottom = STRIDE * first, height if last == down else STRIDE * last
        skipped = STRIDE * len(before)
        out[:, :, top:bottom] = blended[:, :, skipped : skipped + bottom - top]
        before = [made[-across:]]
    return out


def decoded(network: CrossFusePlus, deep: Tensor, images: Tensor, top: int, bottom: int) -> Tensor:
    """Rows `top` to `bottom` of the fused image; deep: fused deep map and deep features; images: in [0, 1]."""
    decoder: PlusFusionDecoder = network.decoder
    height, width = images.shape[-2:]
    first, end = max(0, top - FINE_REACH), min(height, bottom + FINE_REACH)
    x = coarse_rows(decoder, deep, height, first, end)
    missing = width - x.shape[3]
    x = pad_reflect(x, missing // 2, missing - missing // 2, 0, 0)
    start, stop = max(0, first - SHALLOW_REACH), min(height, end + SHALLOW_REACH)
    ir, vi = (
        encoder.shallow_features(images[:, k : k + 1, start:stop])[:, :, first - start : end - start]
        for k, encoder in enumerate((network.encoder_ir, network.encoder_vi))
    )
    return decoder.fine(x, ir, vi, images[:, :, first:end])[:, :, top - first : bottom - first]


def coarse_rows(decoder: PlusFusionDecoder, deep: Tensor, height: int, first: int, end: int) -> Tensor:
    """Rows `first` to `end` of the decoder's coarse map, reflected to `height` rows as `pad_to` does."""
    count = 8 * deep.shape[2]
    rows = (torch.arange(first, end) - (height - count) // 2).abs()
    rows = torch.where(rows < count, rows, 2 * (count - 1) - rows)
    start = max(0, int(rows.min()) // 8 - COARSE_REACH)
    stop = int(rows.max()) // 8 + 1 + COARSE_REACH
    x = decoder.coarse(deep[:, :, start:stop])
    if count == height:
        return x[:, :, first - 8 * start : end - 8 * start]
    return x[:, :, (rows - 8 * start).to(x.device)]
