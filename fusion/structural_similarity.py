"""SSIM of Wang et al. (2004) as maps, for losses and scores alike."""

import torch
import torch.nn.functional as F
from torch import Tensor


def ssim_maps(a: Tensor, b: Tensor, span: float) -> tuple[Tensor, Tensor]:
    """Maps of SSIM and of its contrast-structure part, (B, 1, H - 10, W - 10), of (B, 1, H, W) images.

    Gaussian window of 11 pixels (shrunk to a smaller image) and sigma 1.5, valid convolution; span: dynamic range.
    """
    side = min(11, *a.shape[-2:])
    taps = torch.arange(side, device=a.device, dtype=a.dtype) - side // 2
    window = torch.exp(-(taps**2) / (2 * 1.5**2))
    window = (window / window.sum()).outer(window / window.sum())[None, None]
    mu_a, mu_b, aa, bb, ab = (F.conv2d(x, window) for x in (a, b, a * a, b * b, a * b))
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    # In flat regions rounding breaks 0 <= variance and |2 covariance| <= sum of variances. With the release's range
    # of 1 the constants are too small to hide it, and a level's mean below -1 would end in the root of a negative.
    variances = F.relu(aa - mu_a**2) + F.relu(bb - mu_b**2)
    covariance = torch.minimum(torch.maximum(2 * (ab - mu_a * mu_b), -variances), variances)
    top, bottom = covariance + c2, variances + c2
    cs = top / bottom
    return (2 * mu_a * mu_b + c1) / (mu_a**2 + mu_b**2 + c1) * cs, cs
