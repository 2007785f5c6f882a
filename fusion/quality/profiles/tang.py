"""The MATLAB kit of Tang et al. as it printed in 2022, 8-bit arithmetic included: SeAFusion, PIAFusion, SwinFusion."""

import math

from torch import Tensor

from fusion.quality.byte_arithmetic import byte_deviation, byte_mutual_information, byte_vif
from fusion.quality.channels import matlab_gray
from fusion.quality.contrast import average_gradient, spatial_frequency
from fusion.quality.correlation import correlation, correlation_of_differences
from fusion.quality.definitions import Profile, Score, averaged, of_fused, summed
from fusion.quality.edges import nabf, qabf
from fusion.quality.error import mse, psnr
from fusion.quality.exposure_similarity import mef_ms_ssim
from fusion.quality.feature_information import fmi_dct, fmi_edge, fmi_w
from fusion.quality.information import entropy
from fusion.quality.unit_range_similarity import matlab_unit_ssim

KIT = "Linfeng-Tang/Evaluation-for-Image-Fusion, commit 5d6c43a"
UNCHECKED = "Linfeng-Tang/Evaluation-for-Image-Fusion, later code; no published number to check it against"
SUM = "sum over the two sources"
MEAN = "mean over the two sources"


def unit_qabf(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """Qabf of the images divided by 255, where equal strengths below 1 count as lost; range and NaN as `qabf`."""
    return qabf(infrared / 255, visible / 255, fused / 255)


def grey_level_psnr(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """PSNR in dB with a peak of 255 over an error on [0, 1]: 48.13 too many; NaN as `psnr`."""
    return psnr(infrared, visible, fused) + 20 * math.log10(255)


PROFILE = Profile(
    name="tang",
    about="as the kit of Tang et al. printed them: SD near 9, SF near 0.05, VIF too high, PSNR + 48.13 dB",
    source=f"{KIT}; its Metric_TNO.xlsx. Papers of that group until about 2023 hold these numbers",
    channel="grey: MATLAB's rgb2gray, rounded",
    prepare=matlab_gray,
    scores=(
        Score("EN", of_fused(entropy), True, "[0, 8] bits", "-sum p log2 p of the 256-level histogram", KIT),
        Score(
            "SF",
            of_fused(lambda fused: spatial_frequency(fused / 255)),
            True,
            "[0, 1.42]",
            "sqrt(mean squared row difference + mean squared column difference), each over its own count",
            KIT,
            scale="0-1",
        ),
        Score(
            "SD",
            of_fused(byte_deviation),
            True,
            "[0, 16)",
            "sqrt(mean(min(max(round(F - mean), 0)^2, 255))): the standard deviation in uint8",
            KIT,
        ),
        Score(
            "PSNR",
            grey_level_psnr,
            True,
            "dB, 48.13 more than the true value",
            "20 log10(255 / sqrt(MSE)) with the MSE of images in [0, 1]",
            KIT,
            "of the mean error over the two sources",
            "0-1",
        ),
        Score("MSE", mse, False, "[0, 1]", "mean squared difference", KIT, MEAN, "0-1"),
        Score(
            "MI",
            summed(byte_mutual_information),
            True,
            "[0, 16) bits",
            "H(A) + H(F) - H(A, F), levels 254 and 255 in one bin of the joint histogram only",
            KIT,
            SUM,
        ),
        Score(
            "VIF",
            summed(byte_vif),
            True,
            "[0, ...)",
            "VIFp of four scales, valid windows, noise variance 2, products of the first scale cut off at 255",
            f"{KIT}; Sheikh and Bovik, IEEE TIP 2006",
            SUM,
        ),
        Score(
            "AG",
            of_fused(average_gradient),
            True,
            "[0, 255]",
            "sum of sqrt((gx^2 + gy^2) / 2) over (H - 1)(W - 1), central differences, one-sided at the border",
            KIT,
        ),
        Score("CC", correlation, True, "[-1, 1]", "Pearson's r", KIT, MEAN),
        Score(
            "SCD",
            correlation_of_differences,
            True,
            "[-2, 2]",
            "r(F - B, A) + r(F - A, B)",
            f"{KIT}; Aslantas and Bendes, AEU 2015",
            SUM,
        ),
        Score(
            "Qabf",
            unit_qabf,
            True,
            "[0, 0.99]",
            "sum(Q_AF g_A + Q_BF g_B) / sum(g_A + g_B), Sobel with zeros around the image, g_F where g_A = g_F",
            f"{KIT}; Xydeas and Petrovic, Electronics Letters 2000",
            "weighted by the strength of the sources' edges",
            "0-1",
        ),
        Score(
            "Nabf",
            nabf,
            False,
            "[0, 1]",
            "share of edges stronger in F than in A and B, (1 - Q_AF) w_A + (1 - Q_BF) w_B over w_A + w_B",
            f"{UNCHECKED} (in 2022 on 0-1, where no edge reaches the threshold); Shreyamsha Kumar, SIViP 2013",
            "weighted by the strength of the sources' edges",
        ),
        Score(
            "SSIM",
            averaged(matlab_unit_ssim),
            True,
            "[-1, 1]",
            "MATLAB's ssim of doubles: Gaussian of sigma 1.5, borders repeated, constants for a range of 1 on 0-255",
            f"{UNCHECKED} (in 2022 the first level of MEF-SSIM went by this name)",
            MEAN,
        ),
        Score(
            "MS_SSIM",
            mef_ms_ssim,
            True,
            "at most 1",
            "MEF-SSIM of three levels, weights .0448, .2856, .3001 over their sum, K = .03",
            f"{UNCHECKED}; Ma, Zeng and Wang, IEEE TIP 2015",
            "against the desired patch made of both sources",
        ),
        Score(
            "FMI_pixel",
            fmi_edge,
            True,
            "at most 1",
            "FMI of edge maps in 3 x 3 windows: the kit leaves the feature at its default",
            f"{UNCHECKED}; Haghighat and Razian, AICT 2014",
            MEAN,
        ),
        Score(
            "FMI_dct",
            fmi_dct,
            True,
            "at most 1",
            "FMI of DCT coefficients in 3 x 3 windows",
            f"{UNCHECKED}; Haghighat and Razian, AICT 2014",
            MEAN,
        ),
        Score(
            "FMI_w",
            fmi_w,
            True,
            "at most 1",
            "FMI of discrete Meyer wavelet coefficients in 3 x 3 windows",
            f"{UNCHECKED}; Haghighat and Razian, AICT 2014",
            MEAN,
        ),
    ),
)
