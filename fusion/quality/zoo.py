"""Scores that IVIF_ZOO (RollingPlain/IVIF_ZOO, folder Metric) computes by formulas of its own.

They carry the names of known scores and are something else; only numbers of that kit compare with them.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion.quality.correlation import pearson
from fusion.quality.fidelity import SIZES, information
from fusion.quality.filters import correlate, gaussian, local_covariance, local_variance, padded
from fusion.quality.histograms import entropy_of, histogram
from fusion.quality.information import entropy, mutual_information
from fusion.quality.sharing import shared

QY_TAPS = gaussian(7, 1.5)


def zoo_entropy(fused: Tensor) -> Tensor:
    """EN with 1e-7 inside the logarithm, in bits; [-2e-7, 8], higher is better, never NaN."""
    shares = histogram(fused)
    return -(shares * (shares + 1e-7).log2()).sum(dim=1)


def sigmoid_cross_entropy(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """CE: binary cross entropy of sigmoid(fused) against the mean sigmoid of the sources, on grey levels; [0, 8).

    Lower is better, never NaN. In float32 as the kit: all levels above 16 are 1 there, so the score counts
    dark pixels.
    """
    truth = (infrared.float().sigmoid() + visible.float().sigmoid()) / 2
    guess = fused.float().sigmoid().clamp(1e-7, 1 - 1e-7)
    losses = F.binary_cross_entropy(guess, truth.clamp(1e-7, 1 - 1e-7), reduction="none")
    return losses.double().mean(dim=(1, 2))


def zoo_normalised_information(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """NMI: 2 (MI(A, F) + MI(B, F)) / (H(A) + H(B)); [0, 4], higher is better; 0 for two constant sources."""
    mutual = mutual_information(infrared, fused) + mutual_information(visible, fused)
    return 2 * mutual / (entropy(infrared) + entropy(visible) + 1e-10)


def linear_correlation_information(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QNCIE with Pearson's r in place of the nonlinear coefficient; [0.80, 1], higher is better.

    1 + sum of (lambda / 3) log256(lambda / 3) over the eigenvalues of the 3 x 3 correlation matrix. NaN where an
    image is constant.
    """
    ones = torch.ones(fused.shape[0], dtype=fused.dtype, device=fused.device)
    sources, first, second = pearson(infrared, visible), pearson(infrared, fused), pearson(visible, fused)
    rows = ([ones, sources, first], [sources, ones, second], [first, second, ones])
    matrix = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    # The solver does not take NaN.
    undefined = matrix.isnan().any(dim=-1).any(dim=-1)
    identity = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    shares = torch.linalg.eigvalsh(torch.where(undefined[:, None, None], identity, matrix)).clamp_(min=0) / 3
    return (1 - entropy_of(shares, 256.0)).masked_fill(undefined, torch.nan)


def entropy_excess(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """TE of order 1: H(A) + H(B) - H(F) in bits; [-8, 16], a fused image without information has the best one."""
    return entropy(infrared) + entropy(visible) - entropy(fused)


def padded_vif(source: Tensor, fused: Tensor) -> Tensor:
    """VIFp with zeros around the image at every scale, and windows off their centre; [0, ...), higher is better.

    The window's coordinates run from floor(-N / 2) to floor(N / 2), -9 to 8 for 17 taps. NaN where the source is
    black: only there nothing varies, the zeros around the image being edges to any other.
    """
    kept = held = torch.zeros(source.shape[0], dtype=source.dtype, device=source.device)
    for scale, size in enumerate(SIZES):
        taps = _tilted(size)
        if scale:
            source, fused = _coarser(source, taps), _coarser(fused, taps)
        wide, wide_fused = _wide(source, size // 2), _wide(fused, size // 2)
        variances = local_variance(wide, taps), local_variance(wide_fused, taps)
        part = information(*variances, local_covariance(wide, wide_fused, taps))
        kept, held = kept + part[0], held + part[1]
    return kept / held.where(held > 0, torch.nan)


def unnormalised_qy(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QY with a window of 7 equal rows that sums to 7, so that its "variances" are mostly negative; unbounded.

    Yang et al. (2008) otherwise: where the sources are alike (0.75), weighted by their variances, else the larger
    similarity; zeros around the image, C = 1e-4 and 9e-4 on grey levels. Higher is better; never NaN on images in
    [0, 255].
    """
    sources, first, second = _qy_map(infrared, visible), _qy_map(infrared, fused), _qy_map(visible, fused)
    (_, spread), (_, other_spread) = _qy_moments(infrared), _qy_moments(visible)
    share = spread / (spread + other_spread + 1e-10)
    weighted = share * first + (1 - share) * second
    return torch.where(sources >= 0.75, weighted, torch.maximum(first, second)).mean(dim=(1, 2))


def stretched_qcb(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QCB of Chen and Blum (2009) on images stretched to [0, 1], at half the paper's frequencies; [0, 1].

    Higher is better. NaN where an image is constant: it cannot be stretched.
    """
    masked, other_masked, fused_masked = (_masked_contrast(image) for image in (infrared, visible, fused))
    weight, other_weight = masked.square(), other_masked.square()
    total = weight + other_weight + 1e-10
    kept = weight / total * _closeness(masked, fused_masked)
    return kept.add_(other_weight / total * _closeness(other_masked, fused_masked)).mean(dim=(1, 2))


@lru_cache
def _tilted(size: int) -> tuple[float, ...]:
    low, high = -size // 2, size // 2
    places = [low + (high - low) * i / (size - 1) for i in range(size)]
    weights = [math.exp(-(place**2) / (2 * (size / 5) ** 2)) for place in places]
    return tuple(weight / sum(weights) for weight in weights)


@shared
def _wide(image: Tensor, margin: int) -> Tensor:
    return padded(image, margin)


@shared
def _coarser(image: Tensor, taps: tuple[float, ...]) -> Tensor:
    return correlate(padded(image, len(taps) // 2), taps, taps)[..., ::2, ::2].contiguous()


def _qy_window(images: Tensor) -> Tensor:
    return correlate(padded(images, 3), (1.0,) * 7, QY_TAPS)


@shared
def _qy_moments(image: Tensor) -> tuple[Tensor, Tensor]:
    mean = _qy_window(image)
    return mean, _qy_window(image * image) - mean * mean


def _qy_map(a: Tensor, b: Tensor) -> Tensor:
    (mean_a, spread_a), (mean_b, spread_b) = _qy_moments(a), _qy_moments(b)
    product = mean_a * mean_b
    covariance = _qy_window(a * b) - product
    below = (mean_a.square() + mean_b.square() + 1e-4) * (spread_a + spread_b + 9e-4)
    return (2 * product + 1e-4) * (2 * covariance + 9e-4) / below


@shared
def _masked_contrast(image: Tensor) -> Tensor:
    low, high = image.amin(dim=(1, 2), keepdim=True), image.amax(dim=(1, 2), keepdim=True)
    stretched = (image - low) / (high - low)
    seen = torch.fft.irfft2(
        torch.fft.rfft2(stretched) * _sensitivity(*image.shape[-2:], image.device), image.shape[-2:]
    )
    wide = padded(seen, 15)
    contrast = (_blurred(wide, 2) / (_blurred(wide, 4) + 1e-10) - 1).abs_()
    squared = contrast.square()
    return contrast.mul_(squared).div_(squared.add_(1e-4))


def _blurred(wide: Tensor, sigma: int) -> Tensor:
    taps = [math.exp(-(place**2) / (2 * sigma**2)) / (math.sqrt(2 * math.pi) * sigma) for place in range(-15, 16)]
    return correlate(wide, taps, taps)


def _closeness(masked: Tensor, fused_masked: Tensor) -> Tensor:
    return torch.minimum(masked, fused_masked) / torch.maximum(masked, fused_masked)


@lru_cache(maxsize=8)
def _sensitivity(height: int, width: int, device: torch.device) -> Tensor:
    down = torch.fft.fftfreq(height, dtype=torch.float64, device=device)[:, None] * (height / 30)
    right = torch.fft.rfftfreq(width, dtype=torch.float64, device=device)[None] * (width / 30)
    radius = down.square() + right.square()
    return torch.exp(-radius / 15.3870**2) - 0.7622 * torch.exp(-radius / 1.3456**2)
