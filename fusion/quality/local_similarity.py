"""Scores that weigh the similarity to both sources window by window."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion.quality.filters import gaussian
from fusion.quality.sharing import shared
from fusion.quality.structure import moments, ssim_map
from fusion.structural_similarity import Moments, similarity

YANG_WINDOW = gaussian(7, 1.5)
YANG_CONSTANT = 2e-16
FLAT = 1e-8
"""Local variances below this are rounding errors: one grey level at a window's corner makes 1e-6 at least."""


def qs(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QS of Piella & Heijmans (ICIP 2003), the unweighted fusion quality index; [-1, 1], higher is better.

    As Liu et al. (IEEE TPAMI 2012, section 3.3.1) compute it: SSIM of Wang et al. with its usual window and constants
    to both sources, weighted by each source's share of the local variances (half where both are 0), mean over valid
    windows. NaN below 11 x 11.
    """
    a, b = moments(infrared, fused), moments(visible, fused)
    return _weighted(a.var_a, b.var_a, ssim_map(infrared, fused), ssim_map(visible, fused)).mean(dim=(1, 2))


def qy(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """QY of Yang et al. (Information Fusion 9, 2008, pp. 156-160); [-1, 1], higher is better.

    As Liu et al. (IEEE TPAMI 2012, section 3.3.3) compute it: SSIM in Gaussian windows of 7 pixels and sigma 1.5 with
    both constants 2e-16; where the sources are alike (SSIM of .75 or more) the similarities to both weighted as in
    `qs`, elsewhere the greater one; mean over valid windows.

    A window that is flat in both images counts as of equal structure, and one that is flat in both sources is
    weighted by halves: the formula in exact arithmetic. With such small constants the kit has rounding errors there,
    or 0 / 0. NaN below 7 x 7.
    """
    alike, (var_a, var_b) = _yang(infrared, visible)
    similarity_a, similarity_b = _yang(infrared, fused)[0], _yang(visible, fused)[0]
    weighted = _weighted(var_a, var_b, similarity_a, similarity_b)
    return weighted.where(alike >= 0.75, torch.maximum(similarity_a, similarity_b)).mean(dim=(1, 2))


def _weighted(var_a: Tensor, var_b: Tensor, similarity_a: Tensor, similarity_b: Tensor) -> Tensor:
    var_a, var_b = _exact(var_a), _exact(var_b)
    share = (var_a / (var_a + var_b)).nan_to_num_(nan=0.5)
    return torch.lerp(similarity_b, similarity_a, share)


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
