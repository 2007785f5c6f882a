"""SSIM of Wang et al. (2004) as maps, for losses and scores alike."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang, Simoncelli & Bovik (2003), section 3.2


class Moments(NamedTuple):
    """Local means, variances (not below 0) and covariance of two images, all of one shape."""

    mean_a: Tensor
    mean_b: Tensor
    var_a: Tensor
    var_b: Tensor
    covariance: Tensor


def ssim_maps(a: Tensor, b: Tensor, span: float) -> tuple[Tensor, Tensor]:
    """Maps of SSIM and of its contrast-structure part, (B, 1, H - 10, W - 10), of (B, 1, H, W) images.

    Gaussian window of 11 pixels (shrunk to a smaller image) and sigma 1.5, valid convolution; span: dynamic range.
    """
    side = min(11, *a.shape[-2:])
    taps = torch.arange(side, device=a.device, dtype=a.dtype) - side // 2
    window = torch.exp(-(taps**2) / (2 * 1.5**2))
    window = (window / window.sum()).outer(window / window.sum())[None, None]
    mu_a, mu_b, aa, bb, ab = (F.conv2d(x, window) for x in (a, b, a * a, b * b, a * b))
    moments = Moments(mu_a, mu_b, F.relu(aa - mu_a**2), F.relu(bb - mu_b**2), ab - mu_a * mu_b)
    return similarity(moments, (0.01 * span) ** 2, (0.03 * span) ** 2)


def similarity(moments: Moments, c1: float, c2: float) -> tuple[Tensor, Tensor]:
    """SSIM and its contrast-structure part at every window, with the constants c1 (means) and c2 (variances)."""
    mu_a, mu_b, var_a, var_b, covariance = moments
    # In flat regions rounding breaks |2 covariance| <= sum of variances. With the release's range of 1 the
    # constants are too small to hide it, and a level's mean below -1 would end in the root of a negative.
    variances = var_a + var_b
    doubled = torch.minimum(torch.maximum(2 * covariance, -variances), variances)
    cs = (doubled + c2) / (variances + c2)
    return (2 * mu_a * mu_b + c1) / (mu_a**2 + mu_b**2 + c1) * cs, cs
