"""Information of grey-level histograms: how much the fused image holds, and shares with its sources.

Scores take (B, H, W) in [0, 255] and give (B,); higher is better, and they are never NaN, where they say nothing else.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion.quality.filters import shared
from fusion.quality.pixels import pearson

LEVELS = 256
TSALLIS_ORDER = 0.43137


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


@shared
def entropy(fused: Tensor) -> Tensor:
    """EN: Shannon entropy of the histogram in bits; [0, 8]. Roberts et al., J. Appl. Remote Sens. 2008, eq. 1."""
    return entropy_of(histogram(fused))


@shared
def mutual_information(source: Tensor, fused: Tensor) -> Tensor:
    """MI of one source and the fused image in bits, H(A) + H(F) - H(A, F); [0, 8].

    Qu et al., Electronics Letters 2002, equation 1.
    """
    return entropy(source) + entropy(fused) - entropy_of(joint_histogram(source, fused))


def byte_mutual_information(source: Tensor, fused: Tensor) -> Tensor:
    """MI in bits where the joint histogram alone has 254 and 255 in one bin (x + 1 is cut off); [0, 16).

    Too large by what the merged bins lose of the joint entropy: MATLAB's uint8 in the kit of Tang et al. (2022).
    """
    return entropy(source) + entropy(fused) - entropy_of(joint_histogram(source.clamp(max=254), fused.clamp(max=254)))


def stretched_mutual_information(source: Tensor, fused: Tensor) -> Tensor:
    """MI in nats of the two images stretched to the full range, as VIFB's kit takes it; [0, 5.55]."""
    return mutual_information(stretched(source), stretched(fused)) * math.log(2)


def cross_entropy(source: Tensor, fused: Tensor) -> Tensor:
    """CE of one source and the fused image in bits: how far their histograms are apart; lower is better.

    sum p_A log2(p_A / p_F), the Kullback-Leibler divergence, averaged over the sources by VIFB (CVPRW 2020).
    Levels that one image lacks are left out as in VIFB's kit, for the sum would be infinite: so it may be below 0, and
    is 0 where the images have no level in common.
    """
    p, q = histogram(source), histogram(fused)
    return torch.where((p > 0) & (q > 0), p * (p / q).log2(), 0.0).sum(dim=1)


def normalised_mutual_information(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """NMI: mutual information over mean entropy, summed over the sources; [0, 2].

    Hossny et al., Electronics Letters 2008. NaN where the fused image and a source are both constant: 0 / 0.
    """
    a, b = (mutual_information(source, fused) / (entropy(source) + entropy(fused)) for source in (infrared, visible))
    return 2 * (a + b)


def nonlinear_correlation(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QNCIE: how unequal the eigenvalues of the images' matrix of H(X) + H(Y) - H(X, Y) are, in units of log 256.

    Wang and Shen, "Image Fusion: Algorithms and Applications" 2008, chapter 19. [0.802, 1]: 1 - log256(3) for unrelated
    images.
    """
    pairs = ((infrared, visible), (infrared, fused), (visible, fused))
    return _correlation_information(*(mutual_information(*pair) / math.log2(LEVELS) for pair in pairs))


def linear_correlation_information(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QNCIE of IVIF_ZOO: Pearson's r, not the nonlinear coefficient; [0.80, 1]. NaN where an image is constant."""
    return _correlation_information(pearson(infrared, visible), pearson(infrared, fused), pearson(visible, fused))


def tsallis_information(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """TE: mutual information by Tsallis entropy of order q = 0.43137, normalised; [0, inf).

    H(X) = (1 - sum p^q) / (q - 1) and I(X, Y) = (1 - sum p_XY^q (p_X p_Y)^(1 - q)) / (1 - q): Q_TE of Liu et al., TPAMI
    2012, after Cvejic et al., Electronics Letters 2006, in the normalised form and with the order of Nava et al., SPIE
    Newsroom 2008. (With Cvejic's q = 1.85 the denominator is negative.) NaN where both sources are constant: 0 / 0.
    """
    denominator = _tsallis(infrared) + _tsallis(visible) - _tsallis_mutual(infrared, visible)
    return _over(_tsallis_mutual(infrared, fused) + _tsallis_mutual(visible, fused), denominator)


def tsallis_information_of_kit(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """TE as metricMI.m (switch 3) of zhengliu6699/imageFusionMetrics computes it from images that it stretches.

    It divides by Shannon entropies in bits to the power q, plus I(A, B), and looks the two marginal histograms up by
    the other image's level. [0, inf). NaN where both sources are constant: 0 / 0.
    """
    a, b, f = stretched(infrared), stretched(visible), stretched(fused)
    denominator = entropy(a) ** TSALLIS_ORDER + entropy(b) ** TSALLIS_ORDER + _tsallis_mutual(a, b, True)
    return _over(_tsallis_mutual(a, f, True) + _tsallis_mutual(b, f, True), denominator)


def zoo_entropy(fused: Tensor) -> Tensor:
    """EN of IVIF_ZOO, with 1e-7 inside the logarithm, in bits; [-2e-7, 8]."""
    shares = histogram(fused)
    return -(shares * (shares + 1e-7).log2()).sum(dim=1)


def zoo_normalised_information(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """NMI of IVIF_ZOO: 2 (MI(A, F) + MI(B, F)) / (H(A) + H(B)); [0, 4], 0 for constant sources."""
    mutual = mutual_information(infrared, fused) + mutual_information(visible, fused)
    return 2 * mutual / (entropy(infrared) + entropy(visible) + 1e-10)


def entropy_excess(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """TE of IVIF_ZOO, order 1: H(A) + H(B) - H(F) in bits; [-8, 16], best for a fused image without information."""
    return entropy(infrared) + entropy(visible) - entropy(fused)


def sigmoid_cross_entropy(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """CE of IVIF_ZOO: binary cross entropy of sigmoid(fused) against the sources' mean sigmoid, on grey levels.

    [0, 8), lower is better. In float32 as the kit: all levels above 16 are 1 there, so the score counts dark pixels.
    """
    truth = (infrared.float().sigmoid() + visible.float().sigmoid()) / 2
    guess = fused.float().sigmoid().clamp(1e-7, 1 - 1e-7)
    losses = F.binary_cross_entropy(guess, truth.clamp(1e-7, 1 - 1e-7), reduction="none")
    return losses.double().mean(dim=(1, 2))


def _tsallis(image: Tensor) -> Tensor:
    return ((histogram(image) ** TSALLIS_ORDER).sum(dim=1) - 1) / (1 - TSALLIS_ORDER)


@shared
def _tsallis_mutual(a: Tensor, b: Tensor, swapped: bool = False) -> Tensor:
    rows, columns = (b, a) if swapped else (a, b)
    product = histogram(rows)[:, :, None] * histogram(columns)[:, None, :]
    total = (joint_histogram(a, b) ** TSALLIS_ORDER * product ** (1 - TSALLIS_ORDER)).sum(dim=(1, 2))
    return (1 - total) / (1 - TSALLIS_ORDER)


def _over(information: Tensor, denominator: Tensor) -> Tensor:
    # NaN over 0, where the information is 0 as well but for rounding errors.
    return information / torch.where(denominator == 0, torch.nan, denominator)


def _correlation_information(*coefficients: Tensor) -> Tensor:
    """1 + sum (l / 3) log256(l / 3) over the eigenvalues l of 3 x 3 matrices with these elements beside a diagonal 1.

    coefficients: of the image pairs 01, 02, 12, (B,) each; NaN where one is NaN, which the solver does not take.
    """
    matrix = torch.eye(3, dtype=torch.float64, device=coefficients[0].device).repeat(len(coefficients[0]), 1, 1)
    for (row, column), values in zip(((0, 1), (0, 2), (1, 2)), coefficients, strict=True):
        matrix[:, row, column] = matrix[:, column, row] = values.nan_to_num(nan=0.0)
    shares = torch.linalg.eigvalsh(matrix).clamp(min=0) / 3
    return (1 - entropy_of(shares, LEVELS)).masked_fill(torch.stack(coefficients).isnan().any(dim=0), torch.nan)


def _shares(bins: Tensor, count: int) -> Tensor:
    offsets = torch.arange(bins.shape[0], device=bins.device)[:, None] * count
    counts = torch.bincount((bins + offsets).flatten(), minlength=bins.shape[0] * count)
    return counts.view(bins.shape[0], count).double() / max(bins.shape[1], 1)
