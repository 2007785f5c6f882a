"""`liu`: the toolbox of Liu et al., IEEE TPAMI 2012."""

from torch import Tensor

from fusion.quality.channels import matlab_gray
from fusion.quality.definitions import Compute, Profile, Score
from fusion.quality.edges import qg
from fusion.quality.histograms import stretched
from fusion.quality.information import (
    nonlinear_correlation,
    normalised_mutual_information,
    tsallis_information_of_kit,
)
from fusion.quality.local_similarity import qs, qy
from fusion.quality.perception import qcb, qcv
from fusion.quality.wavelets import qm

KIT = "zhengliu6699/imageFusionMetrics"
JOINT = "both sources at once, as in the formula"
STRETCHED = "0-255 in whole levels from each image's least to its greatest value"


def of_stretched(function: Compute) -> Compute:
    """`function` of the three images after the toolbox's normalize1."""

    def compute(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
        return function(stretched(infrared), stretched(visible), stretched(fused))

    return compute


PROFILE = Profile(
    name="liu",
    about="as the MATLAB toolbox of Liu et al. computes them: information scores of images stretched to 0-255",
    source=f"{KIT}; Liu et al., IEEE TPAMI 34 (2012)",
    channel="8-bit luma of colour files, MATLAB's rgb2gray (the toolbox itself takes grey images)",
    prepare=matlab_gray,
    scores=(
        Score(
            "NMI", of_stretched(normalised_mutual_information), True, "[0, 2]",
            "2 [MI(A, F) / (H(A) + H(F)) + MI(B, F) / (H(B) + H(F))], in the toolbox Q_MI",
            f"{KIT}, metricMI.m, switch 1; Hossny et al. (Electronics Letters 2008)", JOINT, STRETCHED,
        ),
        Score(
            "QG", qg, True, "(0, 1)",
            "strength and direction of Sobel edges kept, k = -10, -20, thresholds .5, .75, mean of each pixel's share",
            f"{KIT}, metricXydeas.m; Xydeas and Petrovic (SPIE 4051, 2000)", JOINT,
        ),
        Score(
            "QM", qm, True, "[0, 3]",
            "exp(-|difference|) of Haar details in 3 bands, weighted by their energy; levels 1, 2 to powers 2/3, 1/3",
            f"{KIT}, metricPWW.m; Wang and Wang (ICSP 2008)", JOINT,
        ),
        Score(
            "QS", qs, True, "[-1, 1]",
            "mean of l SSIM(A, F) + (1 - l) SSIM(B, F), l = var A / (var A + var B) in each window",
            f"{KIT}, metricPeilla.m, sw = 1; Piella and Heijmans (ICIP 2003)", JOINT,
        ),
        Score(
            "QY", qy, True, "[-1, 1]",
            "as QS where SSIM(A, B) >= .75, elsewhere the larger of the two; 7 x 7 Gaussian of sigma 1.5",
            f"{KIT}, metricYang.m; Yang et al. (Information Fusion 2008)", JOINT,
        ),
        Score(
            "QCB", qcb, True, "[0, 1]",
            "preserved masked contrast after contrast-sensitivity filtering, weighted by saliency",
            f"{KIT}, metricChenBlum.m; Chen and Blum (Image and Vision Computing 2009)", JOINT, STRETCHED,
        ),
        Score(
            "QCV", qcv, False, "[0, inf)",
            "visible squared difference in 16 x 16 regions, weighted by the regions' saliency (Sobel to the power 5)",
            f"{KIT}, metricChen.m; Chen and Varshney (Information Fusion 2007)", JOINT, STRETCHED,
        ),
        Score(
            "QNCIE", of_stretched(nonlinear_correlation), True, "[0.802, 1]",
            "1 + sum (l / 3) log256(l / 3) over the eigenvalues l of the 3 x 3 matrix of nonlinear correlation",
            f"{KIT}, metricWang.m; Wang and Shen (2008)", JOINT, STRETCHED,
        ),
        Score(
            "TE", tsallis_information_of_kit, True, "[0, inf)",
            "[I(A, F) + I(B, F)] / [H(A)^q + H(B)^q + I(A, B)]: Tsallis information, Shannon entropies, q = 0.43137",
            f"{KIT}, metricMI.m, switch 3; Nava et al. (SPIE Newsroom)", JOINT, STRETCHED,
        ),
    ),
)  # fmt: skip
