"""The Evaluator of CDDFuse, which AWFusion, EMMA and other work of that group uses unchanged."""

import math

import torch
from torch import Tensor

from fusion.quality.channels import opencv_gray
from fusion.quality.contrast import average_gradient, spatial_frequency, standard_deviation
from fusion.quality.correlation import correlation, correlation_of_differences
from fusion.quality.definitions import Profile, Score, averaged, of_fused, summed
from fusion.quality.edges import qabf
from fusion.quality.error import squared_error
from fusion.quality.fidelity import vif
from fusion.quality.information import entropy, mutual_information
from fusion.quality.unit_range_similarity import uniform_ssim

KIT = "Zhaozixiang1228/MMIF-CDDFuse, utils/Evaluator.py"


def vif_or_one(source: Tensor, fused: Tensor) -> Tensor:
    """VIFp, 1 where the source is constant; NaN below 41 pixels on a side, as `vif`."""
    value = vif(source, fused)
    return value if min(source.shape[-2:]) < 41 else value.nan_to_num(nan=1.0)


def peak_psnr(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """PSNR in dB with the fused image's own maximum as the peak; higher is better.

    NaN where all three images are equal (no error) or the fused image is black (no peak).
    """
    error = averaged(squared_error)(infrared, visible, fused)
    ratio = fused.amax(dim=(1, 2)).square() / error
    return 10 * ratio.where((ratio > 0) & ratio.isfinite(), torch.nan).log10()


PROFILE = Profile(
    name="cddfuse",
    about="as the Evaluator of CDDFuse computes them: MI in nats, SSIM with a data range of 2",
    source=KIT,
    channel="grey: OpenCV's BGR2GRAY in float32, rounded half to even",
    prepare=opencv_gray,
    scores=(
        Score("EN", of_fused(entropy), True, "[0, 8] bits", "-sum p log2 p of the 256-level histogram", KIT),
        Score("SD", of_fused(standard_deviation), True, "[0, 127.5]", "population standard deviation", KIT),
        Score(
            "SF",
            of_fused(spatial_frequency),
            True,
            "[0, 360.6]",
            "sqrt(mean squared column difference + mean squared row difference), each over its own count",
            KIT,
        ),
        Score(
            "AG",
            of_fused(lambda fused: average_gradient(fused, False)),
            True,
            "[0, 255]",
            "mean over H W of sqrt((gx^2 + gy^2) / 2), central differences, one-sided at the border",
            KIT,
        ),
        Score(
            "MI",
            lambda infrared, visible, fused: summed(mutual_information)(infrared, visible, fused) * math.log(2),
            True,
            "[0, 11.1] nats",
            "H(A) + H(F) - H(A, F) with natural logarithms, 256 x 256 joint histogram",
            f"{KIT} (scikit-learn's mutual_info_score)",
            "sum over the two sources",
        ),
        Score(
            "SCD",
            correlation_of_differences,
            True,
            "[-2, 2]",
            "r(F - B, A) + r(F - A, B)",
            f"{KIT}; Aslantas and Bendes, AEU 2015",
            "sum over the two sources",
        ),
        Score(
            "VIF",
            summed(vif_or_one),
            True,
            "[0, ...)",
            "VIFp of four scales, valid windows, noise variance 2; 1 where a source is constant",
            f"{KIT} (there VIFF); Sheikh and Bovik, IEEE TIP 2006",
            "sum over the two sources",
        ),
        Score(
            "Qabf",
            qabf,
            True,
            "[0, 0.99]",
            "sum(Q_AF g_A + Q_BF g_B) / sum(g_A + g_B), Sobel with zeros around the image, g_F where g_A = g_F",
            f"{KIT}; Xydeas and Petrovic, Electronics Letters 2000",
            "weighted by the strength of the sources' edges",
        ),
        Score(
            "MSE",
            averaged(squared_error),
            False,
            "[0, 65025]",
            "mean squared difference of grey levels",
            KIT,
            "mean over the two sources",
        ),
        Score("CC", correlation, True, "[-1, 1]", "Pearson's r", KIT, "mean over the two sources"),
        Score(
            "PSNR",
            peak_psnr,
            True,
            "dB",
            "10 log10(max(F)^2 / MSE)",
            KIT,
            "of the mean error over the two sources",
        ),
        Score(
            "SSIM",
            summed(uniform_ssim),
            True,
            "[-2, 2]",
            "SSIM, uniform 7 x 7 windows, sample variances, constants for a data range of 2 on grey levels",
            f"{KIT} (scikit-image's structural_similarity without data_range, before version 0.19; it refuses today)",
            "sum over the two sources",
        ),
    ),
)
