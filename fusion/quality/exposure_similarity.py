"""MEF-SSIM, made for multi-exposure fusion: the fused image against the best structure among the sources."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion.quality.filters import correlate, local_covariance, local_variance
from fusion.quality.sharing import shared
from fusion.quality.structure import WINDOW

SIDE = len(WINDOW)
UNIFORM = (1 / SIDE,) * SIDE
WEIGHTS = tuple(weight / (0.0448 + 0.2856 + 0.3001) for weight in (0.0448, 0.2856, 0.3001))
C = (0.03 * 255) ** 2
EPS = torch.finfo(torch.float64).eps


def mef_ms_ssim(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """MEF-SSIM on three levels: Ma, Zeng and Wang, IEEE TIP 24 (2015), section III, as the authors' code has it.

    Args:
        infrared, visible, fused: (B, H, W) float64 in [0, 255].

    Returns:
        (B,) at most 1, higher is better; NaN where a level's mean is negative (its power is not real) or a side is
        shorter than 44 pixels (the third level is smaller than a window).
    """
    product = torch.ones(fused.shape[0], dtype=fused.dtype, device=fused.device)
    if min(fused.shape[-2:]) < SIDE * 2 ** (len(WEIGHTS) - 1):
        return product * torch.nan
    images = (infrared, visible, fused)
    for level, weight in enumerate(WEIGHTS):
        if level:
            images = (_halved(images[0]), _halved(images[1]), _halved(images[2]))
        product = product * mef_ssim(*images) ** weight
    return product


def mef_ssim(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """One level of `mef_ms_ssim`: contrast and structure against the desired patch, (B,) in [-1, 1]."""
    share, other_share, size = _desired(infrared, visible)
    moment = local_covariance(infrared, visible, WINDOW)
    # The desired patch is share * infrared + other_share * visible, up to its mean.
    variance = share.square() * local_variance(infrared, WINDOW) + other_share.square() * local_variance(
        visible, WINDOW
    )
    variance = (variance + 2 * share * other_share * moment).clamp_(min=0) * size
    covariance = share * local_covariance(infrared, fused, WINDOW)
    covariance = covariance + other_share * local_covariance(visible, fused, WINDOW)
    quality = (2 * covariance * size.sqrt() + C) / (variance + local_variance(fused, WINDOW) + C)
    return quality.mean(dim=(1, 2))


@shared
def _desired(infrared: Tensor, visible: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    # Weights of the two sources in the desired patch of every window, and the square of the factor that gives it
    # the norm of the stronger source. Norms are those of patches without their (uniform) mean.
    (mean, square), (other_mean, other_square) = _uniform(infrared), _uniform(visible)
    product = correlate(infrared * visible, UNIFORM, UNIFORM) - mean * other_mean
    norm, other_norm = (SIDE * values.sqrt() for values in (square, other_square))
    both = SIDE * (square + other_square + 2 * product).clamp_(min=0).sqrt_()
    agreement = ((both + EPS) / (norm + other_norm + EPS)).clamp_(max=1 - EPS)
    power = torch.tan(math.pi / 2 * agreement).clamp_(max=10)
    norm, other_norm = norm + 0.001, other_norm + 0.001
    weight, other_weight = (norm / SIDE) ** power + EPS, (other_norm / SIDE) ** power + EPS
    total = weight + other_weight
    share, other_share = weight / total / norm, other_weight / total / other_norm
    patch = share.square() * square + other_share.square() * other_square + 2 * share * other_share * product
    patch = SIDE**2 * patch
    strongest = torch.maximum(norm, other_norm)
    # Two flat sources, or two that cancel, leave a patch of rounding errors: it counts as flat.
    firm = (strongest > 0.002) & (patch > 1e-6)
    return share, other_share, torch.where(firm, strongest.square() / patch, 0.0)


@shared
def _uniform(image: Tensor) -> tuple[Tensor, Tensor]:
    mean = correlate(image, UNIFORM, UNIFORM)
    return mean, (correlate(image * image, UNIFORM, UNIFORM) - mean * mean).clamp_(min=0)


@shared
def _halved(image: Tensor) -> Tensor:
    # MATLAB's imfilter with a 2 x 2 mean, mirrored borders, every second pixel from the first.
    height, width = image.shape[-2:]
    even = F.pad(image[:, None], (0, width % 2, 0, height % 2), mode="replicate")
    return F.avg_pool2d(even, 2)[:, 0]
