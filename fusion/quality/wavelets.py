"""Scores from wavelet bands."""

import torch
from torch import Tensor

from fusion.quality.sharing import shared

LEVEL_POWERS = (2 / 3, 1 / 3)
"""Weight of each level, finest first, as a power."""


def qm(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QM of Wang & Wang (ICSP 2008, pp. 965-968): edges kept in two levels of Haar bands; [0, 3], higher is better.

    As Liu et al. (IEEE TPAMI 2012) compute it: at each level a source's coefficients are kept to the sum over three
    bands of exp(-|difference to the fused image|), weighted by the source's energy there (sum of squares over the
    bands), divided by the energy of both; the levels' values to the powers 2/3 and 1/3 are multiplied.

    NaN where neither source has an edge at one of the levels (0 / 0), and below 4 x 4.
    """
    a, b, f = (haar_bands(image) for image in (infrared, visible, fused))
    score = torch.ones(fused.shape[0], dtype=fused.dtype, device=fused.device)
    for level, power in enumerate(LEVEL_POWERS):
        energy_a, energy_b = _energy(a[level]), _energy(b[level])
        kept = _kept(a[level], f[level]).mul_(energy_a).add_(_kept(b[level], f[level]).mul_(energy_b))
        score = score * (kept.sum(dim=(1, 2)) / (energy_a + energy_b).sum(dim=(1, 2))) ** power
    return score


@shared
def haar_bands(image: Tensor) -> tuple[Tensor, ...]:
    """Per level, finest first, the horizontal, vertical and diagonal bands of (B, H, W): (3, B, h, w) each.

    Orthonormal Haar wavelet on pairs of pixels; an odd last row or column is left out.
    """
    levels = []
    for _ in LEVEL_POWERS:
        height, width = (length // 2 * 2 for length in image.shape[1:])
        even, odd = image[:, 0:height:2, :width], image[:, 1:height:2, :width]
        low, high = even + odd, even - odd
        bands = torch.stack((_pairs(high, 1), _pairs(low, -1), _pairs(high, -1)))
        levels.append(bands.div_(2))
        image = _pairs(low, 1).div_(2)
    return tuple(levels)


def _pairs(rows: Tensor, sign: int) -> Tensor:
    """Even columns plus `sign` times odd ones."""
    return torch.add(rows[..., 0::2], rows[..., 1::2], alpha=sign)


@shared
def _energy(bands: Tensor) -> Tensor:
    return bands.square().sum(dim=0)


def _kept(source: Tensor, fused: Tensor) -> Tensor:
    return (source - fused).abs_().neg_().exp_().sum(dim=0)
