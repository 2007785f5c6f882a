"""Linear correlation between sources and fused image."""

import torch
from torch import Tensor


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's r over the pixels of (B, H, W) images; [-1, 1]. NaN where one of them is constant."""
    a, b = _centred(a), _centred(b)
    spread = (a.square().sum(dim=1) * b.square().sum(dim=1)).sqrt()
    return (a * b).sum(dim=1) / spread.where(spread > 0, torch.nan)


def correlation(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """CC: mean correlation of the fused image with the sources; [-1, 1], higher is better; NaN as `pearson`."""
    return (pearson(infrared, fused) + pearson(visible, fused)) / 2


def correlation_of_differences(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """SCD of Aslantas & Bendes (AEU 2015), eqs. 2-4: r(fused - visible, infrared) + r(fused - infrared, visible).

    [-2, 2], higher is better. NaN where a difference or a source is constant (a fused image equal to a source).
    """
    return pearson(fused - visible, infrared) + pearson(fused - infrared, visible)


def _centred(image: Tensor) -> Tensor:
    flat = image.flatten(1)
    return flat - flat.mean(dim=1, keepdim=True)
