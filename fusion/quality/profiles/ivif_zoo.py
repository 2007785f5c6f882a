"""The Python kit of IVIF_ZOO; DCEvo and other work of 2025 reports its numbers."""

import math

from torch import Tensor

from fusion.quality import zoo
from fusion.quality.channels import pil_gray
from fusion.quality.contrast import average_gradient, spatial_frequency, standard_deviation
from fusion.quality.correlation import correlation, correlation_of_differences
from fusion.quality.definitions import Profile, Score, of_fused, summed
from fusion.quality.edges import edge_intensity, nabf, qabf
from fusion.quality.error import mse, psnr
from fusion.quality.information import mutual_information
from fusion.quality.unit_range_similarity import unit_ms_ssim, unit_ssim

KIT = "RollingPlain/IVIF_ZOO, Metric/Metric_torch.py"
UNPRINTED = f"{KIT}; defined there, but its table leaves it out"
SUM = "sum over the two sources"


def grey_level_psnr(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """PSNR in dB with a peak of 255 over an error on [0, 1]: 48.13 too many; NaN as `psnr`."""
    return psnr(infrared, visible, fused) + 20 * math.log10(255)


PROFILE = Profile(
    name="ivif_zoo",
    about="as the kit of IVIF_ZOO computes them: padded VIF, SSIM with the constants of range 1, PSNR + 48.13 dB",
    source="RollingPlain/IVIF_ZOO, folder Metric (computed there in float32, here in float64)",
    channel="grey: Pillow's mode L",
    prepare=pil_gray,
    scores=(
        Score(
            "EN",
            of_fused(zoo.zoo_entropy),
            True,
            "[0, 8] bits",
            "-sum p log2(p + 1e-7) of 256 levels",
            KIT,
        ),
        Score(
            "MI",
            summed(mutual_information),
            True,
            "[0, 16] bits",
            "H(A) + H(F) - H(A, F), 256 x 256 joint histogram",
            KIT,
            SUM,
        ),
        Score(
            "SF",
            of_fused(spatial_frequency),
            True,
            "[0, 360.6]",
            "sqrt(mean squared row difference + mean squared column difference), each over its own count",
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
        Score("SD", of_fused(standard_deviation), True, "[0, 127.5]", "population standard deviation", KIT),
        Score("CC", correlation, True, "[-1, 1]", "Pearson's r", KIT, "mean over the two sources"),
        Score("SCD", correlation_of_differences, True, "[-2, 2]", "r(F - B, A) + r(F - A, B)", KIT, SUM),
        Score(
            "VIF",
            summed(zoo.padded_vif),
            True,
            "[0, ...)",
            "VIFp of four scales, zeros around the image, windows half a pixel off centre and up to a third too narrow",
            KIT,
            SUM,
        ),
        Score("MSE", mse, False, "[0, 1]", "mean squared difference", KIT, "mean over the two sources", "0-1"),
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
        Score(
            "Qabf",
            qabf,
            True,
            "[0, 0.99]",
            "sum(Q_AF g_A + Q_BF g_B) / sum(g_A + g_B), Sobel with zeros around the image, g_F where g_A = g_F",
            "RollingPlain/IVIF_ZOO, Metric/Qabf.py",
            "weighted by the strength of the sources' edges",
        ),
        Score(
            "Nabf",
            lambda infrared, visible, fused: nabf(infrared, visible, fused, 0.0),
            False,
            "[0, 1]",
            "share of edges stronger in F than in A and B, (1 - Q_AF) w_A + (1 - Q_BF) w_B over w_A + w_B, w 0 below 2",
            "RollingPlain/IVIF_ZOO, Metric/Nabf.py",
            "weighted by the strength of the sources' edges",
        ),
        Score(
            "SSIM",
            summed(unit_ssim),
            True,
            "[-2, 2]",
            "SSIM, Gaussian 11 x 11 of sigma 1.5, valid windows, constants for a range of 1 on grey levels",
            "RollingPlain/IVIF_ZOO, Metric/ssim.py (it multiplies grey levels by 255 again)",
            SUM,
        ),
        Score(
            "MS_SSIM",
            summed(unit_ms_ssim),
            True,
            "[0, 2]",
            "MS-SSIM of five levels, usual weights, zeros around odd sizes, constants for a range of 1 on grey levels",
            "RollingPlain/IVIF_ZOO, Metric/ssim.py",
            SUM,
        ),
        Score(
            "CE",
            zoo.sigmoid_cross_entropy,
            False,
            "[0, 8)",
            "binary cross entropy of sigmoid(F) against (sigmoid(A) + sigmoid(B)) / 2, in float32 on grey levels",
            UNPRINTED,
            "against the mean of the two sources",
        ),
        Score(
            "EI",
            of_fused(lambda fused: edge_intensity(fused, "constant")),
            True,
            "[0, 1141)",
            "mean length of the Sobel gradient, zeros around the image",
            UNPRINTED,
        ),
        Score(
            "NMI",
            zoo.zoo_normalised_information,
            True,
            "[0, 4]",
            "2 (MI(A, F) + MI(B, F)) / (H(A) + H(B) + 1e-10)",
            UNPRINTED,
            SUM,
        ),
        Score(
            "QNCIE",
            zoo.linear_correlation_information,
            True,
            "[0.80, 1]",
            "1 + sum (l / 3) log256(l / 3) over the eigenvalues l of the matrix of Pearson's r of A, B and F",
            UNPRINTED,
            "of the three images together",
        ),
        Score(
            "TE",
            zoo.entropy_excess,
            True,
            "[-8, 16] bits",
            "H(A) + H(B) - H(F): order 1, where Tsallis' entropy is Shannon's",
            UNPRINTED,
            SUM,
        ),
        Score(
            "QY",
            zoo.unnormalised_qy,
            True,
            "unbounded",
            "Yang's index, zeros around the image, a 7 x 7 window that sums to 7, C = 1e-4 and 9e-4 on grey levels",
            UNPRINTED,
            "weighted by local variance where the sources are alike, else the larger one",
        ),
        Score(
            "QCB",
            zoo.stretched_qcb,
            True,
            "[0, 1]",
            "Chen-Blum index, images stretched to [0, 1], frequencies up to 0.5 (not 1), zeros around the image",
            UNPRINTED,
            "weighted by local squared contrast",
            "0-1",
        ),
    ),
)
