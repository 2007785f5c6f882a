"""Scores of edges: how many of the sources' edges the fused image keeps, adds, and has.

All take (B, H, W) float64 in [0, 255] and give (B,).
"""

import math

import torch
from torch import Tensor

from fusion.quality.filters import padded, shared

LIU_GUARD = 1e-5  # what the toolbox of Liu et al. puts in place of a zero that it would divide by
HAAR_POWERS = (2 / 3, 1 / 3)  # weight of each level of QM, finest first, as a power


def qabf(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """Qabf: share of the sources' edges that the fused image keeps, in strength and in direction; [0, 0.99].

    Xydeas and Petrovic, Electronics Letters 36 (2000), eq. 1-8, L = 1 and the constants of Hong's code, which every
    kit has copied with its two habits: zeros around the image, and a relative strength of gF (not 1) where both
    strengths are equal. On images in [0, 255] the second only matters where both are 0; on images in [0, 1] it counts
    those edges as lost. Higher is better; NaN where both sources are black: there is no edge to keep.
    """
    strengths = [strength(image) for image in (infrared, visible, fused)]
    directions = [_hong_direction(image) for image in (infrared, visible, fused)]
    kept, total = torch.zeros_like(strengths[0]), strengths[0] + strengths[1]
    for source, direction in zip(strengths[:2], directions[:2], strict=True):
        relative = torch.minimum(source, strengths[2]).div_(torch.maximum(source, strengths[2]))
        relative = torch.where(source == strengths[2], source, relative)
        turn = (direction - directions[2]).abs_().mul_(2 / math.pi)
        lost = _lost(relative, -15, 0.5).mul_(_lost(turn.neg_().add_(1), -22, 0.8))
        kept.add_(source.div(lost), alpha=0.9994 * 0.9879)
    return _sum(kept) / _sum(total)


def qg(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QG: as Qabf, but other constants and the mean over pixels of each pixel's own share; (0, 1).

    Q_G of Liu et al., TPAMI 34 (2012), as their toolbox (metricXydeas.m) computes it: 1e-5 in place of zeros. It guards
    the fused strength after it has compared the first source, before it compares the second: the two sources are not
    quite equal (1e-7 of the score). Higher is better; never NaN (black images count as edges that agree).
    """
    edges, direction = strength(fused), _liu_direction(fused)
    guarded = _guarded(edges)
    kept, weight = _liu_kept(infrared, edges, guarded, direction)
    more_kept, more_weight = _liu_kept(visible, guarded, guarded, direction)
    return kept.add_(more_kept).div_(weight.add_(more_weight)).mean(dim=(1, 2))


def nabf(infrared: Tensor, visible: Tensor, fused: Tensor, least_weight: float = 0.001) -> Tensor:
    """Nabf: share of fusion artefacts, edges stronger in the fused image than in both sources; [0, 1], lower is better.

    Shreyamsha Kumar, Signal, Image and Video Processing 7 (2013): the measure of Petrovic and Xydeas (2005) with each
    source's own weight. Sobel / 8 on mirrored borders, threshold 2, exponent 1.5. H and W are at least 2.

    least_weight: of a pixel whose source edge is weaker than the threshold; with 0, NaN where no source has an edge
    of 2 or more.
    """
    edges, direction = _kumar_edges(fused)
    added, total = torch.zeros_like(edges), torch.zeros_like(edges)
    artefact = torch.ones_like(edges, dtype=torch.bool)
    for image in (infrared, visible):
        source, source_direction = _kumar_edges(image)
        relative = torch.minimum(source, edges).div_(torch.maximum(source, edges)).nan_to_num_(nan=0.0)
        lost = _lost(relative, -19, 0.5).mul_(_lost(_agreement(source_direction, direction), -22, 0.5))
        kept = lost.reciprocal_().mul_(0.9999 * 0.9995).sqrt_()
        weight = torch.where(source >= 2, source.sqrt().mul_(source), least_weight)
        added.addcmul_(kept.neg_().add_(1), weight)
        total.add_(weight)
        artefact &= edges > source
    return _sum(added.mul_(artefact)) / _sum(total)


def edge_intensity(fused: Tensor, border: str = "replicate") -> Tensor:
    """EI: mean length of the Sobel gradient; [0, 1141), higher is better, never NaN.

    Rajalingam and Priya (2018), as VIFB computes it, which repeats the border. Borders are modes of F.pad.
    """
    return strength(fused, border).mean(dim=(1, 2))


def qm(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QM of Wang & Wang (ICSP 2008, pp. 965-968): edges kept in two levels of Haar bands; [0, 3], higher is better.

    As Liu et al. (IEEE TPAMI 2012): at each level exp(-|difference to the fused image|), summed over three bands, is
    weighted by the source's energy there (sum of squares over the bands) and divided by the energy of both.
    NaN where neither source has an edge at one of the levels (0 / 0), and below 4 x 4.
    """
    a, b, f = (haar_bands(image) for image in (infrared, visible, fused))
    score = torch.ones(fused.shape[0], dtype=fused.dtype, device=fused.device)
    for level, power in enumerate(HAAR_POWERS):
        energy_a, energy_b = _energy(a[level]), _energy(b[level])
        kept = _kept(a[level], f[level]).mul_(energy_a).add_(_kept(b[level], f[level]).mul_(energy_b))
        score = score * (kept.sum(dim=(1, 2)) / (energy_a + energy_b).sum(dim=(1, 2))) ** power
    return score


@shared
def sobel(images: Tensor, border: str = "constant") -> tuple[Tensor, Tensor]:
    """Sobel derivatives downwards and to the right, unscaled: two tensors of the shape of `images`, (B, H, W).

    Terms are added in the order of MATLAB's conv2 (last column first, upwards): in [0, 1] the last bit decides which
    strengths are equal, and with them Qabf in the third digit. In [0, 255] whole numbers make any order exact.
    """
    height, width = images.shape[-2:]
    wide = padded(images, 1, border)

    def shifted(row: int, column: int) -> Tensor:
        return wide[..., row : row + height, column : column + width]

    down = shifted(2, 2) - shifted(0, 2)
    down.add_(shifted(2, 1), alpha=2).sub_(shifted(0, 1), alpha=2).add_(shifted(2, 0)).sub_(shifted(0, 0))
    right = torch.add(shifted(2, 2), shifted(1, 2), alpha=2).add_(shifted(0, 2))
    right.sub_(shifted(2, 0)).sub_(shifted(1, 0), alpha=2).sub_(shifted(0, 0))
    return down, right


@shared
def strength(images: Tensor, border: str = "constant") -> Tensor:
    """Length of the Sobel gradient, (B, H, W)."""
    down, right = sobel(images, border)
    # Not by addcmul: its single rounding parts strengths that MATLAB finds equal.
    return (down * down).add_(right * right).sqrt_()


@shared
def _hong_direction(images: Tensor) -> Tensor:
    # Mirrored (Hong's angle has the other sign everywhere): only differences of angles count.
    down, right = sobel(images, "constant")
    return torch.where(right == 0, -math.pi / 2, (down / right).atan_())


@shared
def _liu_direction(images: Tensor) -> Tensor:
    down, right = sobel(images, "constant")
    return (down / _guarded(right)).atan_()


def _liu_kept(image: Tensor, compared: Tensor, guarded: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    source = strength(image)
    weight = _guarded(source)
    relative = torch.where(source > compared, compared / weight, weight / guarded)
    lost = _lost(relative, -10, 0.5).mul_(_lost(_agreement(_liu_direction(image), direction), -20, 0.75))
    return weight / lost, weight


@shared
def _kumar_edges(images: Tensor) -> tuple[Tensor, Tensor]:
    down, right = sobel(images, "reflect")
    return strength(images, "reflect") / 8, (right / down).atan_().nan_to_num_(nan=0.0)


def _guarded(values: Tensor) -> Tensor:
    return torch.where(values == 0, LIU_GUARD, values)


def _agreement(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).abs_().sub_(math.pi / 2).abs_().mul_(2 / math.pi)


def _lost(value: Tensor, slope: float, middle: float) -> Tensor:
    # 1 + e^(slope (value - middle)): the denominator of the sigmoid of Xydeas and Petrovic.
    return (value - middle).mul_(slope).exp_().add_(1)


def _sum(values: Tensor) -> Tensor:
    return values.sum(dim=(1, 2))


@shared
def haar_bands(image: Tensor) -> tuple[Tensor, ...]:
    """Per level, finest first, the horizontal, vertical and diagonal bands of (B, H, W): (3, B, h, w) each.

    Orthonormal Haar wavelet on pairs of pixels; an odd last row or column is left out.
    """
    levels = []
    for _ in HAAR_POWERS:
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
