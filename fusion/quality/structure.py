"""SSIM and MS-SSIM between a source and the fused image."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion.quality.filters import gaussian, local_covariance, local_variance, smooth
from fusion.quality.sharing import shared
from fusion.structural_similarity import MS_SSIM_WEIGHTS, Moments, similarity

WINDOW = gaussian(11, 1.5)
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


@shared
def moments(a: Tensor, b: Tensor, taps: tuple[float, ...] = WINDOW) -> Moments:
    """Weighted local moments of (B, H, W) images in valid windows taps x taps."""
    variances = local_variance(a, taps), local_variance(b, taps)
    return Moments(smooth(a, taps), smooth(b, taps), *variances, local_covariance(a, b, taps))


@shared
def ssim_map(source: Tensor, fused: Tensor) -> Tensor:
    """SSIM at every window: (B, H - 10, W - 10) of (B, H, W)."""
    return similarity(moments(source, fused, WINDOW), C1, C2)[0]


def ssim(source: Tensor, fused: Tensor) -> Tensor:
    """SSIM of Wang et al. (IEEE TIP 2004), eq. 13 averaged over windows; [-1, 1], higher is better.

    Gaussian window of 11 pixels and sigma 1.5, K = .01 and .03, range 255, valid windows. NaN below 11 x 11.
    """
    return ssim_map(source.double(), fused.double()).mean(dim=(1, 2))


def ms_ssim(source: Tensor, fused: Tensor) -> Tensor:
    """MS-SSIM of Wang, Simoncelli & Bovik (Asilomar 2003), eq. 7; [0, 1], higher is better.

    Five levels with the usual weights, windows as in `ssim`, means of 2 x 2 pixels between levels (an odd last
    row or column is left out). Negative contrast-structure means, whose power is not real, count as 0. NaN where
    the fifth level is smaller than a window: an image below 176 pixels on a side.
    """
    a, b = source.double(), fused.double()
    product = torch.ones(a.shape[0], dtype=a.dtype, device=a.device)
    for level, weight in enumerate(MS_SSIM_WEIGHTS, start=1):
        if min(a.shape[-2:]) < len(WINDOW):
            return torch.full_like(product, torch.nan)
        full, contrast = similarity(moments(a, b, WINDOW), C1, C2)
        last = level == len(MS_SSIM_WEIGHTS)
        product = product * (full if last else contrast).mean(dim=(1, 2)).clamp(min=0) ** weight
        if not last:
            a, b = _halved(a), _halved(b)
    return product


@shared
def _halved(image: Tensor) -> Tensor:
    return F.avg_pool2d(image[:, None], 2)[:, 0]
