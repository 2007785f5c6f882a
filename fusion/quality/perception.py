"""Scores that model human vision: contrast sensitivity filters in the frequency domain, then contrast or saliency."""

from collections.abc import Iterable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion.quality.edges import strength
from fusion.quality.filters import shared
from fusion.quality.information import stretched

CONTRAST_MARGIN = 15  # pixels to each side that the two contrast Gaussians reach: 31 x 31, not normalised
REGION = 16


def qcb(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QCB of Chen & Blum (Image and Vision Computing 27, 2009), section 4; [0, 1], higher is better.

    As Liu et al. (IEEE TPAMI 2012): images stretched to 0-255, difference-of-Gaussians contrast sensitivity
    (f0 = 15.387, f1 = 1.3456, a = .7622), contrast of Gaussians sigma 2 over sigma 4 less 1, contrast masking with
    k = h = 1, p = 3, q = 2, Z = 1e-4; each source's preserved contrast weighted by its squared masked contrast.

    NaN where an image is flat (0 / 0). An image with a black part deeper than about 80 pixels has no contrast there but
    rounding errors, which then move the score.
    """
    return _preserved(masked_contrast(stretched(image)) for image in (infrared, visible, fused))


def zoo_qcb(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QCB of IVIF_ZOO, on images stretched to [0, 1] and at half the frequencies; NaN where an image is constant."""
    return _preserved((_zoo_contrast(image) for image in (infrared, visible, fused)), 1e-10)


def qcv(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QCV of Chen & Varshney (Information Fusion 8, 2007), section 3; [0, inf), lower is better.

    As Liu et al. (IEEE TPAMI 2012) and VIFB: images stretched to 0-255, differences filtered with Mannos & Sakrison's
    contrast sensitivity, their mean squares in regions of 16 x 16 (the last ones filled up with zeros) weighted by the
    source's saliency there. NaN where both sources are flat (no region is salient).
    """
    a, b, f = (stretched(image) for image in (infrared, visible, fused))
    salient_a, salient_b = saliency(a), saliency(b)
    weighted = salient_a * visible_difference(a - f) + salient_b * visible_difference(b - f)
    return weighted.sum(dim=(1, 2)) / (salient_a + salient_b).sum(dim=(1, 2))


@shared
def masked_contrast(image: Tensor, part: int = 30, guard: float = 0.0) -> Tensor:
    """Chen & Blum's perceived contrast after masking, (B, H, W), not negative; NaN where an image is black.

    part: see `_radius`. guard: what is added to the wider Gaussian's result before the division.
    """
    height, width = image.shape[1:]
    seen = _filtered(image, chen_blum_sensitivity(height, width, part, image.device))
    size, narrow, wide = _contrast_spectra(height, width, image.device)
    spectrum = torch.fft.rfft2(seen, s=size)
    inner, outer = (torch.fft.irfft2(spectrum * window, s=size)[:, :height, :width] for window in (narrow, wide))
    contrast = inner.div(outer.add_(guard)).sub_(1)
    squared = contrast.square()
    return contrast.abs_().mul_(squared).div_(squared.add_(1e-4))


@shared
def saliency(image: Tensor) -> Tensor:
    """Sum of Sobel magnitudes to the power 5 in every region, (B, ceil(H / 16), ceil(W / 16)); zero padding."""
    edges = strength(image)
    return _region_sums(edges.square().square_().mul_(edges))


def visible_difference(difference: Tensor) -> Tensor:
    """Mean square of the filtered (B, H, W) difference in every region, (B, ceil(H / 16), ceil(W / 16))."""
    seen = _filtered(difference, mannos_sakrison_sensitivity(*difference.shape[1:], difference.device))
    return _region_sums(seen.square_()) / REGION**2


@lru_cache(maxsize=8)
def chen_blum_sensitivity(height: int, width: int, part: int, device: torch.device) -> Tensor:
    """Chen & Blum's difference of Gaussians over the frequencies of `_radius`, (H, W // 2 + 1) float64."""
    radius = _radius(height, width, part, device)
    return torch.exp(-((radius / 15.3870) ** 2)) - 0.7622 * torch.exp(-((radius / 1.3456) ** 2))


@lru_cache(maxsize=8)
def mannos_sakrison_sensitivity(height: int, width: int, device: torch.device) -> Tensor:
    """Mannos & Sakrison's curve (IEEE Trans. IT 1974) over frequencies in eighths of the size, (H, W // 2 + 1)."""
    scaled = 0.144 * _radius(height, width, 8, device)
    return 2.6 * (0.0192 + scaled) * torch.exp(-(scaled**1.1))


def _radius(height: int, width: int, part: int, device: torch.device) -> Tensor:
    """Radial frequency where each axis runs from 0 to its length / `part` at half the sampling rate."""
    down = torch.fft.fftfreq(height, dtype=torch.float64, device=device) * 2 * height / part
    across = torch.fft.rfftfreq(width, dtype=torch.float64, device=device) * 2 * width / part
    return torch.hypot(down[:, None], across[None, :])


@lru_cache(maxsize=8)
def _contrast_spectra(height: int, width: int, device: torch.device) -> tuple[tuple[int, int], Tensor, Tensor]:
    """A size with room for zeros around the image, and the spectra of both contrast Gaussians at that size."""
    from scipy.fft import next_fast_len

    size = (next_fast_len(height + CONTRAST_MARGIN, real=True), next_fast_len(width + CONTRAST_MARGIN, real=True))
    offsets = torch.arange(-CONTRAST_MARGIN, CONTRAST_MARGIN + 1, device=device)
    spectra = []
    for sigma in (2.0, 4.0):
        taps = torch.exp(-(offsets.double() ** 2) / (2 * sigma**2)) / (2 * torch.pi * sigma**2) ** 0.5
        down, across = (torch.zeros(length, dtype=torch.float64, device=device) for length in size)
        down[offsets] = taps
        across[offsets] = taps
        # Symmetric taps about the origin: their spectra are real.
        spectra.append(torch.fft.fft(down).real[:, None] * torch.fft.rfft(across).real[None, :])
    return size, spectra[0], spectra[1]


def _filtered(image: Tensor, gain: Tensor) -> Tensor:
    return torch.fft.irfft2(torch.fft.rfft2(image) * gain, s=image.shape[1:])


def _region_sums(values: Tensor) -> Tensor:
    return F.avg_pool2d(values[:, None], REGION, ceil_mode=True, divisor_override=1)[:, 0]


def _preserved(contrasts: Iterable[Tensor], guard: float = 0.0) -> Tensor:
    """Mean over the pixels of the contrast kept of both sources, weighted by its squares."""
    a, b, f = contrasts
    salient_a, salient_b = a.square(), b.square()
    ratio_a, ratio_b = (torch.minimum(source, f).div_(torch.maximum(source, f)) for source in (a, b))
    kept = ratio_a.mul_(salient_a).add_(ratio_b.mul_(salient_b))
    return kept.div_(salient_a.add_(salient_b).add_(guard)).mean(dim=(1, 2))


@shared
def _zoo_contrast(image: Tensor) -> Tensor:
    low, high = image.amin(dim=(1, 2), keepdim=True), image.amax(dim=(1, 2), keepdim=True)
    return masked_contrast((image - low) / (high - low), 60, 1e-10)
