"""SSIM and MS-SSIM of images in [0, 255] with the constants of images in [0, 1] or [-1, 1].

Kits that forget to say what range their floating-point images have compute these. The constants no longer damp
anything: noise in flat places counts fully, and values are a third lower than with the right range (0.96 instead of
1.34 as the sum over two sources).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion.quality.filters import padded
from fusion.quality.sharing import shared
from fusion.quality.structure import WINDOW, moments
from fusion.structural_similarity import MS_SSIM_WEIGHTS, Moments, similarity

C1, C2 = 0.01**2, 0.03**2  # range 1
UNIFORM = (1 / 7,) * 7


def unit_ssim(source: Tensor, fused: Tensor) -> Tensor:
    """SSIM of Wang et al. (2004), eq. 13, Gaussian 11 x 11 of sigma 1.5, valid windows, constants for range 1.

    [-1, 1], higher is better; NaN below 11 x 11 pixels.
    """
    return similarity(moments(source, fused, WINDOW), C1, C2)[0].mean(dim=(1, 2))


def matlab_unit_ssim(source: Tensor, fused: Tensor) -> Tensor:
    """What MATLAB's `ssim` returns for doubles in [0, 255]: as `unit_ssim`, but borders repeated and all pixels.

    [-1, 1], higher is better; never NaN.
    """
    return similarity(moments(_repeated(source), _repeated(fused), WINDOW), C1, C2)[0].mean(dim=(1, 2))


def uniform_ssim(source: Tensor, fused: Tensor) -> Tensor:
    """What scikit-image before 0.19 returns for floats without `data_range`: range 2, uniform 7 x 7, valid windows.

    Variances and covariance of samples (divided by 48); [-1, 1], higher is better; NaN below 7 x 7 pixels.
    """
    mean_a, mean_b, *seconds = moments(source, fused, UNIFORM)
    of_samples = Moments(mean_a, mean_b, *(second * (49 / 48) for second in seconds))
    return similarity(of_samples, 4 * C1, 4 * C2)[0].mean(dim=(1, 2))


def unit_ms_ssim(source: Tensor, fused: Tensor) -> Tensor:
    """MS-SSIM of Wang, Simoncelli and Bovik (2003), eq. 7, constants for range 1; [0, 1], higher is better.

    Five levels, means of 2 x 2 pixels between them; an odd side gets a line of zeros at both ends first. Negative
    means count as 0. NaN where a side has 160 pixels or fewer, which the kit refuses.
    """
    product = torch.ones(source.shape[0], dtype=source.dtype, device=source.device)
    if min(source.shape[-2:]) <= 160:
        return product * torch.nan
    last = len(MS_SSIM_WEIGHTS) - 1
    for level, weight in enumerate(MS_SSIM_WEIGHTS):
        full, contrast = similarity(moments(source, fused, WINDOW), C1, C2)
        product = product * (full if level == last else contrast).mean(dim=(1, 2)).clamp(min=0) ** weight
        if level < last:
            source, fused = _halved(source), _halved(fused)
    return product


@shared
def _repeated(image: Tensor) -> Tensor:
    return padded(image, len(WINDOW) // 2, "replicate")


@shared
def _halved(image: Tensor) -> Tensor:
    odd = (image.shape[-2] % 2, image.shape[-1] % 2)
    return F.avg_pool2d(image[:, None], 2, padding=odd)[:, 0]
