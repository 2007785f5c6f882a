"""Score profiles: the catalogue's definitions, and those of five evaluation kits as changes to them."""

import math
from dataclasses import replace
from typing import Any

from fuse2task.runtime.errors import RequestError
from fusion.quality import catalogue as base
from fusion.quality import edges, feature_information, fidelity, information, perception, pixels, similarity
from fusion.quality.catalogue import JOINT, STRETCHED, SUM
from fusion.quality.definitions import (
    Compute,
    Profile,
    Score,
    averaged,
    channelwise,
    matlab_gray,
    of_fused,
    opencv_gray,
    pil_gray,
    planar,
    summed,
)


def _of_kit(kit: str, *scores: Score) -> tuple[Score, ...]:
    """The scores with the kit's name before the paper that each is from."""
    return tuple(_changed(score, kit) for score in scores)


def _changed(score: Score, file: str, **changes: Any) -> Score:
    """The score as the kit computes it in `file`, with these changes."""
    return replace(score, **{**changes, "source": f"{file}; {changes.get('source', score.source)}"})


def _by_channel(score: Score, file: str, function: Compute, rounded: bool = True, **changes: Any) -> Score:
    """A score of VIFB's kit, for red, green and blue apart."""
    aggregation = f"{changes.pop('aggregation', score.aggregation)}, mean over red, green, blue"
    return _changed(score, file, compute=channelwise(function, rounded), aggregation=aggregation, **changes)


def _of_stretched(function: Compute) -> Compute:
    """`function` of the three images stretched to 0-255, as normalize1 of Liu et al. does."""
    return lambda *images: function(*(information.stretched(image) for image in images))


# fmt: off
GREY_LEVEL_PSNR = replace(
    base.PSNR, compute=pixels.grey_level_psnr, range="dB, 48.13 more than the true value",
    formula="20 log10(255 / sqrt(MSE)) with the MSE of images in [0, 1]",
)
UNTRIMMED_AG = replace(
    base.AG, compute=of_fused(lambda fused: pixels.average_gradient(fused, trimmed=False)),
    formula="mean over H W of sqrt((gx^2 + gy^2) / 2), central differences, one-sided at the border",
)

STANDARD = Profile(
    name="standard", about="The correct definition of each score: luma, 0-255 floats, information in bits",
    source="the paper named beside each score",
    channel="8-bit luma of colour files, round(0.298936 R + 0.587043 G + 0.114021 B)", prepare=matlab_gray,
    scores=(
        base.EN, base.SD, base.SF, base.AG, base.EI, base.CE, base.MI, base.NMI, base.CC, base.SCD, base.VIF, base.QABF,
        base.QG, base.QM, base.QS, base.QY, base.QCB, base.QCV, base.SSIM, base.MS_SSIM, base.FMI_PIXEL, base.FMI_DCT,
        base.FMI_W, base.NABF, base.QNCIE, base.TE, base.MSE, base.RMSE, base.PSNR,
    ),
)

VIFB = Profile(
    name="vifb", about="As VIFB computes them: channel by channel in colour; PSNR and RMSE with an error of its own",
    source="xingchenzhang/VIFB; Zhang, Ye and Xiao, CVPR Workshops 2020",
    channel="red, green and blue apart, a grey source against each; where the fused file is grey, grey sources",
    prepare=planar,
    scores=_of_kit(
        "xingchenzhang/VIFB, metrics",
        _by_channel(base.EN, "metricsEntropy.m", of_fused(information.entropy)),
        _by_channel(base.SD, "metricsVariance.m", of_fused(pixels.standard_deviation)),
        replace(
            base.SF, compute=of_fused(pixels.frequency_side_by_side), source="metricsSpatial_frequency.m",
            formula="sqrt((sum row difference^2 + sum column difference^2) / (H W)), channels side by side",
        ),
        _by_channel(base.AG, "metricsAvg_gradient.m", of_fused(pixels.average_gradient)),
        _by_channel(base.EI, "metricsEdge_intensity.m", of_fused(edges.edge_intensity)),
        _by_channel(base.CE, "metricsCross_entropy.m", averaged(information.cross_entropy)),
        _by_channel(
            base.MI, "metricsMutinf.m", summed(information.stretched_mutual_information), range="[0, 11.1] nats",
            formula="H(A) + H(F) - H(A, F) with natural logarithms, 256 x 256 joint histogram",
            scale=STRETCHED,
        ),
        _by_channel(base.QABF, "metricsQabf.m", edges.qabf, rounded=False),
        _by_channel(base.QCB, "metricsQcb.m", perception.qcb),
        _by_channel(base.QCV, "metricsQcv.m", perception.qcv),
        _by_channel(base.SSIM, "metricsSsim.m", summed(similarity.ssim), range="[-2, 2]", aggregation=SUM),
        _by_channel(
            base.RMSE, "metricsRmse.m", averaged(pixels.root_over_pixels), rounded=False, range="[0, 255] / sqrt(H W)",
            formula="sqrt(sum (source - F)^2) / (H W)", scale="0-255",
        ),
        _by_channel(
            base.PSNR, "metricsPsnr.m", pixels.psnr_of_roots, rounded=False, range="dB", scale="0-255",
            aggregation=JOINT,
            formula="20 log10(255 / sqrt(error)), error the mean over the sources of sqrt(sum (source - F)^2) / (H W)",
        ),
    ),
)

TANG = Profile(
    name="tang", about="As the kit of Tang et al. printed them: SD near 9, SF near 0.05, VIF too high, PSNR + 48.13 dB",
    source="Linfeng-Tang/Evaluation-for-Image-Fusion, commit 5d6c43a; its Metric_TNO.xlsx. Papers of that group until "
    "about 2023 hold these numbers",
    channel="grey: MATLAB's rgb2gray, rounded", prepare=matlab_gray,
    scores=(
        *_of_kit(
            "commit 5d6c43a",
            base.EN,
            replace(
                base.SF, compute=of_fused(lambda fused: pixels.spatial_frequency(fused / 255)), range="[0, 1.42]",
                scale="0-1",
            ),
            replace(
                base.SD, compute=of_fused(pixels.byte_deviation), range="[0, 16)", source="no paper",
                formula="sqrt(mean(min(max(round(F - mean), 0)^2, 255))): the standard deviation in uint8",
            ),
            GREY_LEVEL_PSNR,
            base.MSE,
            replace(
                base.MI, compute=summed(information.byte_mutual_information),
                formula="H(A) + H(F) - H(A, F), levels 254 and 255 in one bin of the joint histogram only",
            ),
            replace(
                base.VIF, compute=summed(fidelity.byte_vif), range="[0, inf)",
                formula=f"{base.VIF.formula}, products of the first scale cut off at 255",
            ),
            base.AG, base.CC, base.SCD,
            replace(
                base.QABF, compute=lambda *images: edges.qabf(*(image / 255 for image in images)), scale="0-1",
                formula=f"{base.QABF.formula}; strengths equal below 1 count as lost",
            ),
        ),
        *_of_kit(
            "later code; no published number to check it against",
            replace(
                base.NABF, version=2, compute=lambda infrared, visible, fused: edges.nabf(visible, fused, infrared),
                formula="share of edges in A that are stronger than in B and F: the kit mixes up the three images",
            ),
            replace(
                base.SSIM, compute=averaged(similarity.matlab_unit_ssim),
                formula="MATLAB's ssim of doubles: Gaussian of sigma 1.5, borders repeated, range 1 on 0-255 (in 2022: "
                "first level of MEF-SSIM)",
            ),
            replace(
                base.MS_SSIM, compute=similarity.mef_ms_ssim, range="at most 1",
                source="Ma, Zeng and Wang (IEEE TIP 2015)",
                formula="MEF-SSIM of three levels, weights .0448, .2856, .3001 over their sum, K = .03",
                aggregation="against the desired patch made of both sources",
            ),
            replace(
                base.FMI_PIXEL, compute=feature_information.fmi_edge,
                formula="FMI of edge maps in 3 x 3 windows: the kit leaves the feature at its default",
            ),
            base.FMI_DCT, base.FMI_W,
        ),
    ),
)

CDDFUSE = Profile(
    name="cddfuse", about="As the Evaluator of CDDFuse computes them: MI in nats, SSIM with a data range of 2",
    source="Zhaozixiang1228/MMIF-CDDFuse; AWFusion, EMMA and other work of that group use it unchanged",
    channel="grey: OpenCV's BGR2GRAY in float32, rounded half to even", prepare=opencv_gray,
    scores=_of_kit(
        "utils/Evaluator.py",
        base.EN, base.SD, base.SF, UNTRIMMED_AG,
        replace(
            base.MI, range="[0, 11.1] nats", source="scikit-learn's mutual_info_score",
            compute=summed(lambda source, fused: information.mutual_information(source, fused) * math.log(2)),
            formula="H(A) + H(F) - H(A, F) with natural logarithms, 256 x 256 joint histogram",
        ),
        base.SCD,
        replace(
            base.VIF, compute=summed(fidelity.vif_or_one), range="[0, inf)",
            formula=f"{base.VIF.formula}; 1 where a source is constant (there VIFF)",
        ),
        base.QABF,
        replace(base.MSE, compute=averaged(pixels.squared_error), range="[0, 65025]", scale="0-255"),
        base.CC,
        replace(base.PSNR, compute=pixels.peak_psnr, range="dB", formula="10 log10(max(F)^2 / MSE)", scale="0-255"),
        replace(
            base.SSIM, compute=summed(similarity.uniform_ssim), range="[-2, 2]", aggregation=SUM,
            formula="SSIM, uniform 7 x 7 windows, sample variances, constants for a data range of 2 on grey levels",
            source="scikit-image 0.19.2 (which the kit pins) without data_range; later versions refuse",
        ),
    ),
)

IVIF_ZOO = Profile(
    name="ivif_zoo",
    about="As the kit of IVIF_ZOO computes them: padded VIF, SSIM with the constants of range 1, PSNR + 48.13 dB",
    source="RollingPlain/IVIF_ZOO, folder Metric (computed there in float32, here in float64)",
    channel="grey: Pillow's mode L", prepare=pil_gray,
    scores=_of_kit(
        "folder Metric",
        replace(base.EN, compute=of_fused(information.zoo_entropy), formula="-sum p log2(p + 1e-7) of 256 levels"),
        base.MI, base.SF, UNTRIMMED_AG, base.SD, base.CC, base.SCD,
        replace(
            base.VIF, compute=summed(fidelity.padded_vif), range="[0, inf)",
            formula="VIFp, zeros around the image, windows half a pixel off centre and up to a third too narrow",
        ),
        base.MSE, GREY_LEVEL_PSNR, base.QABF,
        replace(
            base.NABF, compute=lambda infrared, visible, fused: edges.nabf(infrared, visible, fused, least_weight=0.0),
            formula=f"{base.NABF.formula}, edges weaker than 2 without weight",
        ),
        replace(
            base.SSIM, compute=summed(similarity.unit_ssim), range="[-2, 2]", aggregation=SUM,
            formula="SSIM, Gaussian 11 x 11 of sigma 1.5, valid windows, constants for a range of 1 on grey levels",
        ),
        replace(
            base.MS_SSIM, compute=summed(similarity.unit_ms_ssim), range="[0, 2]",
            formula="MS-SSIM, usual weights, zeros around odd sizes, constants for a range of 1 on grey levels",
            aggregation=SUM,
        ),
        replace(
            base.CE, compute=information.sigmoid_cross_entropy, range="[0, 8)", source="no paper",
            formula="cross entropy of sigmoid(F) against (sigmoid(A) + sigmoid(B)) / 2, in float32 on grey levels",
            aggregation="against the mean of both sources",
        ),
        replace(
            base.EI, compute=of_fused(lambda fused: edges.edge_intensity(fused, "constant")),
            formula="mean length of the Sobel gradient, zeros around the image",
        ),
        replace(
            base.NMI, compute=information.zoo_normalised_information, range="[0, 4]", aggregation=SUM,
            formula="2 (MI(A, F) + MI(B, F)) / (H(A) + H(B) + 1e-10)",
        ),
        replace(
            base.QNCIE, compute=information.linear_correlation_information, range="[0.80, 1]",
            formula="1 + sum (l / 3) log256(l / 3) over the eigenvalues l of the matrix of Pearson's r of A, B and F",
        ),
        replace(
            base.TE, compute=information.entropy_excess, range="[-8, 16] bits", aggregation=SUM,
            formula="H(A) + H(B) - H(F): order 1, where Tsallis' entropy is Shannon's",
        ),
        replace(
            base.QY, compute=similarity.unnormalised_qy, range="unbounded",
            formula="Yang's index, zeros around the image, 7 x 7 windows of sum 7, C = 1e-4 and 9e-4 on grey levels",
        ),
        replace(
            base.QCB, compute=perception.zoo_qcb, scale="0-1",
            formula="as the paper on images stretched to [0, 1], but frequencies up to 0.5 (not 1)",
        ),
    ),
)

LIU = Profile(
    name="liu",
    about="As the MATLAB toolbox of Liu et al. computes them: information scores of stretched images",
    source="zhengliu6699/imageFusionMetrics; Liu et al., IEEE TPAMI 34 (2012)",
    channel="8-bit luma of colour files, MATLAB's rgb2gray (the toolbox itself takes grey images)", prepare=matlab_gray,
    scores=(
        _changed(base.NMI, "metricMI.m, switch 1", compute=_of_stretched(base.NMI.compute), scale=STRETCHED),
        _changed(base.QG, "metricXydeas.m"),
        _changed(base.QM, "metricPWW.m"),
        _changed(base.QS, "metricPeilla.m, sw = 1"),
        _changed(base.QY, "metricYang.m"),
        _changed(base.QCB, "metricChenBlum.m"),
        _changed(base.QCV, "metricChen.m"),
        _changed(base.QNCIE, "metricWang.m", compute=_of_stretched(base.QNCIE.compute), scale=STRETCHED),
        _changed(
            base.TE, "metricMI.m, switch 3", compute=information.tsallis_information_of_kit, scale=STRETCHED,
            formula="[I(A, F) + I(B, F)] / [H(A)^q + H(B)^q + I(A, B)]: Tsallis information, Shannon entropy, q .43137",
            source="Nava et al. (SPIE Newsroom)",
        ),
    ),
)
# fmt: on

PROFILES: dict[str, Profile] = {found.name: found for found in (STANDARD, VIFB, TANG, CDDFUSE, IVIF_ZOO, LIU)}


def find_profile(name: str) -> Profile:
    """The profile called `name`.

    Raises:
        RequestError: there is none; the message names all.
    """
    if name not in PROFILES:
        raise RequestError(f"no profile {name!r}; there are {', '.join(PROFILES)}")
    return PROFILES[name]
