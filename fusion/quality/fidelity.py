"""Visual information fidelity in the pixel domain."""

import torch
from torch import Tensor

from fusion.quality.filters import correlate, gaussian, local_covariance, local_variance
from fusion.quality.sharing import shared

SIZES = (17, 9, 5, 3)  # of the Gaussian windows at the four scales, sigma = size / 5
NOISE = 2.0  # variance of the visual noise, on images in [0, 255]
TINY = 1e-10


def vif(source: Tensor, fused: Tensor) -> Tensor:
    """VIFp of Sheikh & Bovik (IEEE TIP 2006), eq. 12 in the pixel domain, four scales, valid windows.

    Information that the fused image keeps of the source, over what the source holds; [0, ...), 1 for the source
    itself, above 1 where contrast is raised; higher is better. As the authors' vifp_mscale. NaN where the source
    is constant (it holds no information) or an image is below 41 pixels on a side (no window at the last scale).
    """
    kept = held = torch.zeros(source.shape[0], dtype=source.dtype, device=source.device)
    for scale, size in enumerate(SIZES):
        taps = gaussian(size, size / 5)
        if scale:
            source, fused = coarser(source, taps), coarser(fused, taps)
        if min(source.shape[-2:]) < size:
            return torch.full_like(kept, torch.nan)
        part = information(
            local_variance(source, taps), local_variance(fused, taps), local_covariance(source, fused, taps)
        )
        kept, held = kept + part[0], held + part[1]
    return kept / held.where(held > 0, torch.nan)


def information(variance: Tensor, fused_variance: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Information (in units of log10, summed) kept by the fused image and held by the source, (B,) each.

    The arguments are maps (B, h, w) at one scale, variances not below 0.
    """
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


@shared
def coarser(image: Tensor, taps: tuple[float, ...]) -> Tensor:
    """The image of the next scale: filtered in valid windows, every second pixel from the first."""
    return correlate(image, taps, taps)[..., ::2, ::2].contiguous()
