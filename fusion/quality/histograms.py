"""Grey-level histograms and their entropies."""

import torch
from torch import Tensor

from fusion.quality.sharing import shared

LEVELS = 256


@shared
def histogram(image: Tensor) -> Tensor:
    """Share of pixels of each of 256 grey levels: (B, 256) float64 of (B, H, W) in [0, 255], fractions cut off."""
    return _shares(levels(image), LEVELS)


@shared
def joint_histogram(a: Tensor, b: Tensor) -> Tensor:
    """Share of pixels of each pair of grey levels: (B, 256, 256) float64, rows a, columns b."""
    return _shares(levels(a) * LEVELS + levels(b), LEVELS * LEVELS).unflatten(1, (LEVELS, LEVELS))


@shared
def levels(image: Tensor) -> Tensor:
    """(B, H * W) int64 grey levels 0..255."""
    return image.floor().clamp(0, LEVELS - 1).long().flatten(1)


@shared
def stretched(image: Tensor) -> Tensor:
    """(B, H, W) stretched to whole levels 0..255 from each image's minimum to its maximum; a constant image is 0."""
    low, high = image.amin(dim=(1, 2), keepdim=True), image.amax(dim=(1, 2), keepdim=True)
    span = torch.where(high > low, high - low, 1.0)
    return ((image - low) / span * (LEVELS - 1) + 0.5).floor()


def entropy_of(shares: Tensor, base: float = 2.0) -> Tensor:
    """-sum p log p over all but the first dimension, in units of `base`; 0 log 0 is 0."""
    nats = -torch.special.xlogy(shares, shares).flatten(1).sum(dim=1)
    return nats / torch.log(torch.tensor(base, dtype=torch.float64, device=nats.device))


def _shares(bins: Tensor, count: int) -> Tensor:
    offsets = torch.arange(bins.shape[0], device=bins.device)[:, None] * count
    counts = torch.bincount((bins + offsets).flatten(), minlength=bins.shape[0] * count)
    return counts.view(bins.shape[0], count).double() / max(bins.shape[1], 1)
