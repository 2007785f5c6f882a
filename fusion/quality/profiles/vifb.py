"""`vifb`: the kit of the VIFB benchmark."""

import math

import numpy as np
import torch
from torch import Tensor

from fusion.quality.channelwise import channelwise, side_by_side
from fusion.quality.contrast import average_gradient, standard_deviation
from fusion.quality.definitions import Profile, Score, averaged, of_fused, summed
from fusion.quality.edges import edge_intensity, qabf
from fusion.quality.error import squared_error
from fusion.quality.information import cross_entropy, entropy, stretched_mutual_information
from fusion.quality.perception import qcb, qcv
from fusion.quality.structure import ssim

KIT = "xingchenzhang/VIFB, metrics/metrics"
ALONE = "fused image alone, mean over red, green, blue"
SUM = "sum over both sources, mean over red, green, blue"
MEAN = "mean over both sources and over red, green, blue"
JOINT = "both sources at once, mean over red, green, blue"
STRETCHED = "0-255 in whole levels from each channel's least to its greatest value"


def planar(pixels: np.ndarray) -> np.ndarray:
    """(H, W) uint8 of a grey file, (3, H, W) of a colour file."""
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def root_over_pixels(source: Tensor, fused: Tensor) -> Tensor:
    """The kit's `mse`: root of the summed squared differences over H W, neither MSE nor RMSE; lower is better."""
    height, width = fused.shape[1:]
    return (squared_error(source, fused) / (height * width)).sqrt()


def psnr_of_roots(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
    """PSNR in dB with the mean of `root_over_pixels` as the error; higher is better. NaN where all are equal."""
    error = averaged(root_over_pixels)(infrared, visible, fused)
    return 20 * math.log10(255) - 10 * error.where(error > 0, torch.nan).log10()


def frequency_side_by_side(fused: Tensor) -> Tensor:
    """SF of the channels as one wide image, both sums over its H W pixels; higher is better."""
    wide = side_by_side(fused)
    squares = wide.diff(dim=2).square().sum(dim=(1, 2)) + wide.diff(dim=1).square().sum(dim=(1, 2))
    return (squares / wide[0].numel()).sqrt()


PROFILE = Profile(
    name="vifb",
    about="As VIFB computes them: channel by channel in colour; PSNR and RMSE with an error of its own",
    source="xingchenzhang/VIFB; Zhang, Ye and Xiao, CVPR Workshops 2020",
    channel="red, green and blue apart, a grey source against each; where the fused file is grey, grey sources",
    prepare=planar,
    scores=(
        Score(
            "EN", channelwise(of_fused(entropy)), True, "[0, 8] bits",
            "-sum p log2 p over 256 levels", f"{KIT}Entropy.m", ALONE,
        ),
        Score(
            "SD", channelwise(of_fused(standard_deviation)), True, "[0, 127.5] grey levels",
            "population standard deviation", f"{KIT}Variance.m", ALONE,
        ),
        Score(
            "SF", of_fused(frequency_side_by_side), True, "[0, 360.6] grey levels",
            "sqrt((sum row difference^2 + sum column difference^2) / (H W)), the channels side by side as one image",
            f"{KIT}Spatial_frequency.m", "fused image alone",
        ),
        Score(
            "AG", channelwise(of_fused(average_gradient)), True, "[0, 255] grey levels",
            "sum sqrt((gx^2 + gy^2) / 2) / ((H - 1)(W - 1)), central differences, one-sided at the border",
            f"{KIT}Avg_gradient.m", ALONE,
        ),
        Score(
            "EI", channelwise(of_fused(edge_intensity)), True, "[0, 1141) grey levels",
            "mean length of the Sobel gradient, borders repeated", f"{KIT}Edge_intensity.m", ALONE,
        ),
        Score(
            "CE", channelwise(averaged(cross_entropy)), False, "bits, 0 for equal histograms; may fall below 0",
            "sum p log2(p / q), p of the source and q of the fused image, over the levels that both have",
            f"{KIT}Cross_entropy.m", MEAN,
        ),
        Score(
            "MI", channelwise(summed(stretched_mutual_information)), True, "[0, 11.1] nats",
            "H(A) + H(F) - H(A, F) with natural logarithms, 256 x 256 joint histogram", f"{KIT}Mutinf.m",
            SUM, STRETCHED,
        ),
        Score(
            "Qabf", channelwise(qabf, False), True, "[0, 0.99]",
            "sum(Q_AF g_A + Q_BF g_B) / sum(g_A + g_B), Sobel with zeros around the image", f"{KIT}Qabf.m", JOINT,
        ),
        Score(
            "QCB", channelwise(qcb), True, "[0, 1]",
            "preserved masked contrast after contrast-sensitivity filtering, weighted by saliency",
            f"{KIT}Qcb.m", JOINT, STRETCHED,
        ),
        Score(
            "QCV", channelwise(qcv), False, "[0, inf)",
            "visible squared difference in 16 x 16 regions, weighted by the regions' saliency (Sobel to the power 5)",
            f"{KIT}Qcv.m", JOINT, STRETCHED,
        ),
        Score(
            "SSIM", channelwise(summed(ssim)), True, "[-2, 2]",
            "SSIM, Gaussian window 11 of sigma 1.5, K = .01, .03, range 255, valid windows", f"{KIT}Ssim.m", SUM,
        ),
        Score(
            "RMSE", channelwise(averaged(root_over_pixels), False), False, "[0, 255] / sqrt(H W)",
            "sqrt(sum (source - F)^2) / (H W)", f"{KIT}Rmse.m", MEAN,
        ),
        Score(
            "PSNR", channelwise(psnr_of_roots, False), True, "dB",
            "20 log10(255 / sqrt(error)), error the mean over the sources of sqrt(sum (source - F)^2) / (H W)",
            f"{KIT}Psnr.m", JOINT,
        ),
    ),
)  # fmt: skip
