"""Structural similarity: SSIM as maps, for losses and scores; MS-SSIM, QS, QY, MEF-SSIM, and the kits' variants.

Scores take (B, H, W) images in [0, 255] and give (B,), higher is better.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion.quality.filters import correlate, gaussian, local_covariance, local_variance, padded, shared, smooth

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang, Simoncelli & Bovik (2003), section 3.2
WINDOW = gaussian(11, 1.5)
SIDE = len(WINDOW)
UNIFORM = (1 / SIDE,) * SIDE
SCIKIT_WINDOW = (1 / 7,) * 7
YANG_WINDOW = gaussian(7, 1.5)
YANG_CONSTANT = 2e-16
FLAT = 1e-8
"""Local variances below this are rounding errors: one grey level at a window's corner makes 1e-6 at least."""
MEF_WEIGHTS = MS_SSIM_WEIGHTS[:3]  # over their sum
MEF_CONSTANT = (0.03 * 255) ** 2
EPS = torch.finfo(torch.float64).eps


class Moments(NamedTuple):
    """Local means, variances (not below 0) and covariance of two images, all of one shape."""

    mean_a: Tensor
    mean_b: Tensor
    var_a: Tensor
    var_b: Tensor
    covariance: Tensor


def similarity(moments: Moments, c1: float | Tensor, c2: float | Tensor) -> tuple[Tensor, Tensor]:
    """SSIM and its contrast-structure part at every window, with the constants c1 (means) and c2 (variances)."""
    mu_a, mu_b, var_a, var_b, covariance = moments
    # In flat regions rounding breaks |2 covariance| <= sum of variances. With the release's range of 1 the
    # constants are too small to hide it, and a level's mean below -1 would end in the root of a negative.
    variances = var_a + var_b
    doubled = torch.minimum(torch.maximum(2 * covariance, -variances), variances)
    cs = (doubled + c2) / (variances + c2)
    return (2 * mu_a * mu_b + c1) / (mu_a**2 + mu_b**2 + c1) * cs, cs


def _similarity(found: Moments, span: float | Tensor) -> tuple[Tensor, Tensor]:
    return similarity(found, (0.01 * span) ** 2, (0.03 * span) ** 2)


def ssim_maps(a: Tensor, b: Tensor, span: float | Tensor) -> tuple[Tensor, Tensor]:
    """Maps of SSIM and of its contrast-structure part, (B, 1, H - 10, W - 10), of (B, 1, H, W) images; for losses.

    Gaussian window of 11 pixels (shrunk to a smaller image) and sigma 1.5, valid convolution; span: dynamic range.
    """
    side = min(11, *a.shape[-2:])
    taps = torch.arange(side, device=a.device, dtype=a.dtype) - side // 2
    window = torch.exp(-(taps**2) / (2 * 1.5**2))
    window = (window / window.sum()).outer(window / window.sum())[None, None]
    mu_a, mu_b, aa, bb, ab = (F.conv2d(x, window) for x in (a, b, a * a, b * b, a * b))
    return _similarity(Moments(mu_a, mu_b, F.relu(aa - mu_a**2), F.relu(bb - mu_b**2), ab - mu_a * mu_b), span)


@shared
def moments(a: Tensor, b: Tensor, taps: tuple[float, ...] = WINDOW) -> Moments:
    """Weighted local moments of (B, H, W) images in valid windows taps x taps."""
    variances = local_variance(a, taps), local_variance(b, taps)
    return Moments(smooth(a, taps), smooth(b, taps), *variances, local_covariance(a, b, taps))


@shared
def ssim_map(source: Tensor, fused: Tensor, span: float = 255.0) -> Tensor:
    """SSIM at every window with the constants of a data range `span`: (B, H - 10, W - 10) of (B, H, W)."""
    return _similarity(moments(source, fused), span)[0]


def ssim(source: Tensor, fused: Tensor) -> Tensor:
    """SSIM of Wang et al. (IEEE TIP 2004), eq. 13 averaged over windows; [-1, 1].

    Gaussian window of 11 pixels and sigma 1.5, K = .01 and .03, range 255, valid windows. NaN below 11 x 11.
    """
    return ssim_map(source.double(), fused.double()).mean(dim=(1, 2))


def unit_ssim(source: Tensor, fused: Tensor) -> Tensor:
    """SSIM of images in [0, 255] with the constants of range 1; otherwise as `ssim`.

    Kits that forget to say what range their floating-point images have compute this. The constants no longer damp
    anything: noise in flat places counts fully, and values are a third lower (0.96 instead of 1.34 as a sum).
    """
    return ssim_map(source, fused, 1.0).mean(dim=(1, 2))


def matlab_unit_ssim(source: Tensor, fused: Tensor) -> Tensor:
    """What MATLAB's `ssim` returns for doubles in [0, 255]: as `unit_ssim`, but borders repeated; never NaN."""
    return unit_ssim(_repeated(source), _repeated(fused))


def uniform_ssim(source: Tensor, fused: Tensor) -> Tensor:
    """What scikit-image up to 0.19 returns for floats without `data_range`: range 2, uniform 7 x 7, valid windows.

    Variances and covariance of samples (divided by 48); [-1, 1]; NaN below 7 x 7 pixels.
    """
    mean_a, mean_b, *seconds = moments(source, fused, SCIKIT_WINDOW)
    of_samples = Moments(mean_a, mean_b, *(second * (49 / 48) for second in seconds))
    return _similarity(of_samples, 2.0)[0].mean(dim=(1, 2))


def ms_ssim(source: Tensor, fused: Tensor, span: float = 255.0, odd: str = "dropped") -> Tensor:
    """MS-SSIM of Wang, Simoncelli & Bovik (Asilomar 2003), eq. 7, with constants of the data range `span`; [0, 1].

    Five levels with the usual weights, windows as in `ssim`, means of 2 x 2 pixels between levels. Negative
    contrast-structure means, whose power is not real, count as 0. NaN where the fifth level is smaller than a window:
    an image needs 176 pixels on a side where `odd` lines are dropped, 161 with zeros (see `_halved`).
    """
    a, b = source.double(), fused.double()
    product = torch.ones(a.shape[0], dtype=a.dtype, device=a.device)
    for level, weight in enumerate(MS_SSIM_WEIGHTS):
        if level:
            a, b = _halved(a, odd), _halved(b, odd)
        if min(a.shape[-2:]) < SIDE:
            return torch.full_like(product, torch.nan)
        full, contrast = _similarity(moments(a, b), span)
        is_last = level == len(MS_SSIM_WEIGHTS) - 1
        product = product * (full if is_last else contrast).mean(dim=(1, 2)).clamp(min=0) ** weight
    return product


def unit_ms_ssim(source: Tensor, fused: Tensor) -> Tensor:
    """MS-SSIM of IVIF_ZOO: constants of range 1, zeros around odd sizes; NaN up to 160 pixels on a side."""
    return ms_ssim(source, fused, 1.0, "zeros")


def qs(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QS of Piella & Heijmans (ICIP 2003), the unweighted fusion quality index; [-1, 1].

    As Liu et al. (IEEE TPAMI 2012, section 3.3.1): `ssim` to both sources, weighted by each source's share of the local
    variances (half where both are 0). NaN below 11 x 11.
    """
    a, b = moments(infrared, fused), moments(visible, fused)
    return _weighted(a.var_a, b.var_a, ssim_map(infrared, fused), ssim_map(visible, fused)).mean(dim=(1, 2))


def qy(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QY of Yang et al. (Information Fusion 9, 2008, pp. 156-160); [-1, 1]. NaN below 7 x 7.

    As Liu et al. (TPAMI 2012, section 3.3.3): SSIM in Gaussian windows of 7 pixels and sigma 1.5 with both constants
    2e-16; where the sources are alike (SSIM of .75 or more) weighted as in `qs`, elsewhere the greater one.

    A window that is flat in both images counts as of equal structure, and one that is flat in both sources is
    weighted by halves: the formula in exact arithmetic. The kit has rounding errors there, or 0 / 0.
    """
    alike, (var_a, var_b) = _yang(infrared, visible)
    similarity_a, similarity_b = _yang(infrared, fused)[0], _yang(visible, fused)[0]
    weighted = _weighted(var_a, var_b, similarity_a, similarity_b)
    return weighted.where(alike >= 0.75, torch.maximum(similarity_a, similarity_b)).mean(dim=(1, 2))


def unnormalised_qy(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QY of IVIF_ZOO: a window of 7 equal rows that sums to 7, so that its "variances" are mostly negative; unbounded.

    Yang et al. (2008) otherwise: where the sources are alike (0.75), weighted by their variances, else the larger
    similarity; zeros around the image, C = 1e-4 and 9e-4 on grey levels. Never NaN.
    """
    sources, first, second = _qy_map(infrared, visible), _qy_map(infrared, fused), _qy_map(visible, fused)
    (_, spread), (_, other_spread) = _qy_moments(infrared), _qy_moments(visible)
    share = spread / (spread + other_spread + 1e-10)
    weighted = share * first + (1 - share) * second
    return torch.where(sources >= 0.75, weighted, torch.maximum(first, second)).mean(dim=(1, 2))


def mef_ms_ssim(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """MEF-SSIM on three levels: Ma, Zeng and Wang, IEEE TIP 24 (2015), section III, as the authors' code; at most 1.

    NaN where a level's mean is negative (its power is not real) or a side is shorter than 44 pixels (the third level
    is smaller than a window).
    """
    product = torch.ones(fused.shape[0], dtype=fused.dtype, device=fused.device)
    if min(fused.shape[-2:]) < SIDE * 2 ** (len(MEF_WEIGHTS) - 1):
        return product * torch.nan
    images = [infrared, visible, fused]
    for level, weight in enumerate(MEF_WEIGHTS):
        if level:
            images = [_halved(image, "repeated") for image in images]
        product = product * mef_ssim(*images) ** (weight / sum(MEF_WEIGHTS))
    return product


def mef_ssim(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """One level of `mef_ms_ssim`: contrast and structure against the desired patch; [-1, 1]."""
    share, other, size = _desired(infrared, visible)
    # The desired patch is share * infrared + other * visible, up to its mean.
    variance = share.square() * local_variance(infrared, WINDOW) + other.square() * local_variance(visible, WINDOW)
    variance = (variance + 2 * share * other * local_covariance(infrared, visible, WINDOW)).clamp_(min=0) * size
    covariance = share * local_covariance(infrared, fused, WINDOW) + other * local_covariance(visible, fused, WINDOW)
    quality = (2 * covariance * size.sqrt() + MEF_CONSTANT) / (variance + local_variance(fused, WINDOW) + MEF_CONSTANT)
    return quality.mean(dim=(1, 2))


@shared
def _repeated(image: Tensor) -> Tensor:
    return padded(image, SIDE // 2, "replicate")


@shared
def _halved(image: Tensor, odd: str) -> Tensor:
    """Means of 2 x 2 pixels; a last odd line is "dropped", "repeated", or "zeros" go around."""
    height, width = image.shape[-2] % 2, image.shape[-1] % 2
    if odd == "repeated":
        image = F.pad(image[:, None], (0, width, 0, height), mode="replicate")[:, 0]
    return F.avg_pool2d(image[:, None], 2, padding=(height, width) if odd == "zeros" else 0)[:, 0]


def _weighted(var_a: Tensor, var_b: Tensor, similarity_a: Tensor, similarity_b: Tensor) -> Tensor:
    var_a, var_b = _exact(var_a), _exact(var_b)
    return torch.lerp(similarity_b, similarity_a, (var_a / (var_a + var_b)).nan_to_num_(nan=0.5))


@shared
def _yang(a: Tensor, b: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    found = moments(a, b, YANG_WINDOW)
    variances = _exact(found.var_a), _exact(found.var_b)
    # `similarity` keeps the covariance below the variances: 0 where both are.
    exact = Moments(found.mean_a, found.mean_b, *variances, found.covariance)
    return similarity(exact, YANG_CONSTANT, YANG_CONSTANT)[0], variances


@shared
def _exact(variance: Tensor) -> Tensor:
    return F.threshold(variance, FLAT, 0.0)


def _qy_window(images: Tensor) -> Tensor:
    return correlate(padded(images, 3), (1.0,) * 7, YANG_WINDOW)


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
