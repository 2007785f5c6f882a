"""SD, MI and VIF as code gives them that calculates in MATLAB's uint8: rounded, and cut off at 0 and 255.

No paper defines these: they are what the kit of Tang et al. (Linfeng-Tang/Evaluation-for-Image-Fusion, commit
5d6c43a) printed in 2022, and what the tables of that time hold.
"""

import torch
from torch import Tensor

from fusion.quality.fidelity import SIZES, coarser, information
from fusion.quality.filters import correlate, gaussian, local_covariance, local_variance, smooth
from fusion.quality.histograms import entropy_of, histogram, joint_histogram
from fusion.quality.sharing import shared

TOP = 255.0


def byte_deviation(fused: Tensor) -> Tensor:
    """SD without the pixels below the mean, and squares cut off at 255; [0, 16), higher is better.

    Differences are rounded, half away from zero.
    """
    mean = fused.mean(dim=(1, 2), keepdim=True)
    above = (fused - mean).add_(0.5).floor_().clamp_(min=0)
    return above.square_().clamp_(max=TOP).mean(dim=(1, 2)).sqrt()


def byte_mutual_information(source: Tensor, fused: Tensor) -> Tensor:
    """MI in bits where the joint histogram alone has 254 and 255 in one bin (x + 1 is cut off); [0, 16).

    Higher is better. Never NaN; too large by what the merged bins lose of the joint entropy.
    """
    marginals = entropy_of(histogram(source)) + entropy_of(histogram(fused))
    return marginals - entropy_of(joint_histogram(source.clamp(max=254), fused.clamp(max=254)))


def byte_vif(source: Tensor, fused: Tensor) -> Tensor:
    """VIFp whose products are cut off at 255 on the first scale; higher is better, NaN as `fidelity.vif`.

    [0, ...). The variances of the first scale are 0 almost everywhere, so only dark places and the three coarser
    scales count.
    """
    if min(source.shape[-2:]) < 41:
        return torch.full((source.shape[0],), torch.nan, dtype=source.dtype, device=source.device)
    kept, held = information(*_cut_moments(source, fused, gaussian(SIZES[0], SIZES[0] / 5)))
    for size in SIZES[1:]:
        taps = gaussian(size, size / 5)
        source, fused = coarser(source, taps), coarser(fused, taps)
        variances = local_variance(source, taps), local_variance(fused, taps)
        part = information(*variances, local_covariance(source, fused, taps))
        kept, held = kept + part[0], held + part[1]
    return kept / held.where(held > 0, torch.nan)


def _cut_moments(source: Tensor, fused: Tensor, taps: tuple[float, ...]) -> tuple[Tensor, Tensor, Tensor]:
    product = correlate((source * fused).clamp_(max=TOP), taps, taps)
    covariance = product.sub_(smooth(source, taps) * smooth(fused, taps))
    return _cut_variance(source, taps), _cut_variance(fused, taps), covariance


@shared
def _cut_variance(image: Tensor, taps: tuple[float, ...]) -> Tensor:
    return correlate(image.square().clamp_(max=TOP), taps, taps).sub_(smooth(image, taps) ** 2).clamp_(min=0)
