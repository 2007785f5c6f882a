"""Image-quality scores shown while training. Batched, (B, H, W) grey images in [0, 255] to (B,) float64."""

import torch
import torch.nn.functional as F
from torch import Tensor


def entropy(fused: Tensor) -> Tensor:
    """EN: Shannon entropy in bits of the 256-bin histogram; [0, 8], higher is better."""
    return _bits(_histogram(_bins(fused), 256))


def mutual_information(source: Tensor, fused: Tensor) -> Tensor:
    """MI between one source and the fused image in bits, from the 256x256 joint histogram; higher is better."""
    a, b = _bins(source), _bins(fused)
    joint = _bits(_histogram(a * 256 + b, 256 * 256))
    return _bits(_histogram(a, 256)) + _bits(_histogram(b, 256)) - joint


def ssim(source: Tensor, fused: Tensor) -> Tensor:
    """SSIM of Wang et al. (2004): 11x11 Gaussian window of sigma 1.5, range 255, valid windows; [-1, 1]."""
    a, b = source.double()[:, None], fused.double()[:, None]
    taps = torch.arange(11, device=a.device, dtype=a.dtype) - 5
    window = torch.exp(-(taps**2) / (2 * 1.5**2))
    window = (window / window.sum()).outer(window / window.sum())[None, None]
    mu_a, mu_b, aa, bb, ab = (F.conv2d(x, window) for x in (a, b, a * a, b * b, a * b))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mu_a * mu_b + c1) / (mu_a**2 + mu_b**2 + c1)
    structure = (2 * (ab - mu_a * mu_b) + c2) / (aa - mu_a**2 + bb - mu_b**2 + c2)
    return (luminance * structure).mean(dim=(1, 2, 3))


def _bins(image: Tensor) -> Tensor:
    return image.floor().clamp(0, 255).long().flatten(1)


def _histogram(bins: Tensor, count: int) -> Tensor:
    zeros = torch.zeros(bins.shape[0], count, dtype=torch.float64, device=bins.device)
    return zeros.scatter_add_(1, bins, torch.ones_like(bins, dtype=torch.float64)) / bins.shape[1]


def _bits(share: Tensor) -> Tensor:
    return -torch.special.xlogy(share, share).sum(dim=1) / torch.log(torch.tensor(2.0, dtype=torch.float64))
