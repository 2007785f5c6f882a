"""Scores from grey-level histograms: how much information the fused image holds, and shares with its sources."""

import math

import torch
from torch import Tensor

from fusion.quality.histograms import LEVELS, entropy_of, histogram, joint_histogram, stretched
from fusion.quality.sharing import shared

TSALLIS_ORDER = 0.43137


@shared
def entropy(fused: Tensor) -> Tensor:
    """EN: Shannon entropy of the 256-level histogram, in bits; [0, 8], higher is better.

    Roberts et al., J. Appl. Remote Sens. 2008, equation 1; after Shannon 1948. Never NaN.
    """
    return entropy_of(histogram(fused))


@shared
def mutual_information(source: Tensor, fused: Tensor) -> Tensor:
    """MI of one source and the fused image in bits, from the 256 x 256 joint histogram; [0, 8], higher is better.

    H(A) + H(F) - H(A, F): Qu et al., Electronics Letters 2002, equation 1. Never NaN.
    """
    return entropy(source) + entropy(fused) - entropy_of(joint_histogram(source, fused))


def stretched_mutual_information(source: Tensor, fused: Tensor) -> Tensor:
    """MI in nats of the two images stretched to the full range, as VIFB's kit takes it; [0, 5.55], higher is better."""
    return mutual_information(stretched(source), stretched(fused)) * math.log(2)


def cross_entropy(source: Tensor, fused: Tensor) -> Tensor:
    """CE of one source and the fused image in bits: how far their histograms are apart; lower is better.

    sum p_A log2(p_A / p_F), which is the Kullback-Leibler divergence: Bulanon et al., Biosystems Engineering 2009;
    Zhang et al., "VIFB", CVPRW 2020, where CE is the mean over the sources. Levels that one of the two images lacks
    are left out as in VIFB's kit, for the sum would be infinite: so it may be below 0, and is 0 where the images have
    no level in common. Never NaN.
    """
    p, q = histogram(source), histogram(fused)
    return torch.where((p > 0) & (q > 0), p * (p / q).log2(), 0.0).sum(dim=1)


def normalised_mutual_information(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """NMI: mutual information over mean entropy, summed over the sources; [0, 2], higher is better.

    2 [MI(A, F) / (H(A) + H(F)) + MI(B, F) / (H(B) + H(F))]: Hossny et al., Electronics Letters 2008; Q_MI of Liu et
    al., TPAMI 2012. NaN where the fused image and a source are both constant: 0 / 0.
    """
    a, b = (mutual_information(source, fused) / (entropy(source) + entropy(fused)) for source in (infrared, visible))
    return 2 * (a + b)


def nonlinear_correlation(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QNCIE: how unequal the eigenvalues of the three images' nonlinear correlation matrix are; higher is better.

    1 + sum of (lambda / 3) log256(lambda / 3) over the eigenvalues of the 3 x 3 matrix of H(X) + H(Y) - H(X, Y),
    entropies to the base of 256 levels, diagonal 1: Wang and Shen, "Image Fusion: Algorithms and Applications" 2008,
    chapter 19; Q_NCIE of Liu et al., TPAMI 2012. [0.802, 1]: 1 - log256(3) for unrelated images. Never NaN.
    """
    pairs = {(0, 1): (infrared, visible), (0, 2): (infrared, fused), (1, 2): (visible, fused)}
    matrix = torch.eye(3, dtype=torch.float64, device=fused.device).repeat(len(fused), 1, 1)
    for (row, column), (a, b) in pairs.items():
        matrix[:, row, column] = matrix[:, column, row] = mutual_information(a, b) / math.log2(LEVELS)
    shares = torch.linalg.eigvalsh(matrix).clamp(min=0) / 3
    return 1 - entropy_of(shares, LEVELS)


def tsallis_information(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """TE: mutual information by Tsallis entropy of order q = 0.43137, normalised; [0, inf), higher is better.

    [I(A, F) + I(B, F)] / [H(A) + H(B) - I(A, B)] with H(X) = (1 - sum p^q) / (q - 1) and
    I(X, Y) = (1 - sum p_XY^q (p_X p_Y)^(1 - q)) / (1 - q): Q_TE of Liu et al., TPAMI 2012, after Cvejic et al.,
    Electronics Letters 2006, in the normalised form and with the order of Nava et al., SPIE Newsroom 2008. (With
    Cvejic's q = 1.85 the denominator is negative.) NaN where both sources are constant: 0 / 0.
    """
    denominator = _tsallis(infrared) + _tsallis(visible) - _tsallis_mutual(infrared, visible)
    return _over(_tsallis_mutual(infrared, fused) + _tsallis_mutual(visible, fused), denominator)


def tsallis_information_of_kit(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """TE as metricMI.m (switch 3) of zhengliu6699/imageFusionMetrics computes it from images that it stretches.

    It divides by Shannon entropies in bits to the power q, plus I(A, B), and looks the two marginal histograms up by
    the other image's level. [0, inf), higher is better. NaN where both sources are constant: 0 / 0.
    """
    a, b, f = stretched(infrared), stretched(visible), stretched(fused)
    denominator = entropy(a) ** TSALLIS_ORDER + entropy(b) ** TSALLIS_ORDER + _tsallis_mutual(a, b, True)
    return _over(_tsallis_mutual(a, f, True) + _tsallis_mutual(b, f, True), denominator)


def _tsallis(image: Tensor) -> Tensor:
    return ((histogram(image) ** TSALLIS_ORDER).sum(dim=1) - 1) / (1 - TSALLIS_ORDER)


@shared
def _tsallis_mutual(a: Tensor, b: Tensor, swapped: bool = False) -> Tensor:
    rows, columns = (b, a) if swapped else (a, b)
    product = histogram(rows)[:, :, None] * histogram(columns)[:, None, :]
    total = (joint_histogram(a, b) ** TSALLIS_ORDER * product ** (1 - TSALLIS_ORDER)).sum(dim=(1, 2))
    return (1 - total) / (1 - TSALLIS_ORDER)


def _over(information: Tensor, denominator: Tensor) -> Tensor:
    """The quotient; NaN over 0, where the information is 0 as well but for rounding errors."""
    return information / torch.where(denominator == 0, torch.nan, denominator)
