"""Image-quality scores shown while training. Batched, (B, H, W) grey images in [0, 255] to (B,) float64."""

import torch
from torch import Tensor

from fusion.structural_similarity import ssim_maps


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
    maps, _ = ssim_maps(source.double()[:, None], fused.double()[:, None], 255.0)
    return maps.mean(dim=(1, 2, 3))


def _bins(image: Tensor) -> Tensor:
    return image.floor().clamp(0, 255).long().flatten(1)


def _histogram(bins: Tensor, count: int) -> Tensor:
    zeros = torch.zeros(bins.shape[0], count, dtype=torch.float64, device=bins.device)
    return zeros.scatter_add_(1, bins, torch.ones_like(bins, dtype=torch.float64)) / bins.shape[1]


def _bits(share: Tensor) -> Tensor:
    return -torch.special.xlogy(share, share).sum(dim=1) / torch.log(torch.tensor(2.0, dtype=torch.float64))
