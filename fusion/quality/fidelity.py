"""Visual information fidelity in the pixel domain, and two kits' variants of it."""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from fusion.quality.filters import correlate, gaussian, local_covariance, local_variance, padded, shared, smooth

SIZES = (17, 9, 5, 3)  # of the windows at the four scales, sigma = size / 5
NOISE = 2.0  # variance of the visual noise, on images in [0, 255]
TINY = 1e-10

Taps = tuple[float, ...]
Statistics = tuple[Tensor, Tensor, Tensor]  # variances of source and fused image, and covariance, in every window


def vif(source: Tensor, fused: Tensor) -> Tensor:
    """VIFp of Sheikh & Bovik (IEEE TIP 2006), eq. 12 in the pixel domain, four scales, valid windows.

    Information that the fused image keeps of the source, over what the source holds; [0, ...), 1 for the source
    itself, above 1 where contrast is raised; higher is better. As the authors' vifp_mscale. NaN where the source
    is constant (it holds no information) or an image is below 41 pixels on a side (no window at the last scale).
    """
    return _over_scales(source, fused, lambda size: gaussian(size, size / 5))


def vif_or_one(source: Tensor, fused: Tensor) -> Tensor:
    """VIFp, 1 where the source is constant; NaN below 41 pixels on a side, as `vif`."""
    value = vif(source, fused)
    return value if min(source.shape[-2:]) < 41 else value.nan_to_num(nan=1.0)


def byte_vif(source: Tensor, fused: Tensor) -> Tensor:
    """VIFp whose products are cut off at 255 on the first scale, as MATLAB's uint8; [0, ...), NaN as `vif`.

    The variances of the first scale are 0 almost everywhere, so only dark places and the three coarser scales count.
    """
    return _over_scales(source, fused, lambda size: gaussian(size, size / 5), first=_cut_statistics)


def padded_vif(source: Tensor, fused: Tensor) -> Tensor:
    """VIFp of IVIF_ZOO: zeros around the image at every scale, windows off their centre; [0, ...), higher is better.

    The window's coordinates run from floor(-N / 2) to floor(N / 2), -9 to 8 for 17 taps. NaN where the source is
    black: only there nothing varies, the zeros around the image being edges to any other.
    """
    return _over_scales(source, fused, _tilted, zeros_around=True)


def _statistics(source: Tensor, fused: Tensor, taps: Taps) -> Statistics:
    return local_variance(source, taps), local_variance(fused, taps), local_covariance(source, fused, taps)


def _over_scales(
    source: Tensor, fused: Tensor, window: Callable[[int], Taps], zeros_around: bool = False,
    first: Callable[[Tensor, Tensor, Taps], Statistics] = _statistics,
) -> Tensor:  # fmt: skip
    kept = held = torch.zeros(source.shape[0], dtype=source.dtype, device=source.device)
    for scale, size in enumerate(SIZES):
        taps, margin = window(size), size // 2 if zeros_around else 0
        if scale:
            source, fused = _coarser(source, taps, margin), _coarser(fused, taps, margin)
        if min(source.shape[-2:]) + 2 * margin < size:
            return torch.full_like(kept, torch.nan)
        statistics = _statistics if scale else first
        part = _information(*statistics(_wide(source, margin), _wide(fused, margin), taps))
        kept, held = kept + part[0], held + part[1]
    return kept / held.where(held > 0, torch.nan)


def _information(variance: Tensor, fused_variance: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Information (in units of log10, summed) kept by the fused image and held by the source, (B,) each."""
    gain = covariance / (variance + TINY)
    rest = fused_variance - gain * covariance
    flat, lost = variance < TINY, fused_variance < TINY
    gain = gain.masked_fill(flat | lost, 0)
    rest = torch.where(flat, fused_variance, rest).masked_fill(lost, 0)
    variance = variance.masked_fill(flat, 0)
    rest = torch.where(gain < 0, fused_variance, rest).clamp(min=TINY)
    gain = gain.clamp(min=0)
    kept = torch.log10(1 + gain.square_().mul_(variance) / (rest + NOISE)).sum(dim=(1, 2))
    return kept, torch.log10(1 + variance / NOISE).sum(dim=(1, 2))


def _cut_statistics(source: Tensor, fused: Tensor, taps: Taps) -> Statistics:
    product = correlate((source * fused).clamp_(max=255), taps, taps)
    covariance = product.sub_(smooth(source, taps) * smooth(fused, taps))
    return _cut_variance(source, taps), _cut_variance(fused, taps), covariance


@shared
def _cut_variance(image: Tensor, taps: Taps) -> Tensor:
    return correlate(image.square().clamp_(max=255), taps, taps).sub_(smooth(image, taps) ** 2).clamp_(min=0)


@shared
def _coarser(image: Tensor, taps: Taps, margin: int) -> Tensor:
    """The image of the next scale: filtered, every second pixel from the first."""
    return correlate(_wide(image, margin), taps, taps)[..., ::2, ::2].contiguous()


@shared
def _wide(image: Tensor, margin: int) -> Tensor:
    return padded(image, margin) if margin else image


@lru_cache
def _tilted(size: int) -> Taps:
    low, high = -size // 2, size // 2
    places = [low + (high - low) * i / (size - 1) for i in range(size)]
    weights = [math.exp(-(place**2) / (2 * (size / 5) ** 2)) for place in places]
    return tuple(weight / sum(weights) for weight in weights)
