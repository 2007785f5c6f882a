"""`standard`: the papers' definitions on 8-bit luma."""

from fusion.quality.channels import matlab_gray
from fusion.quality.contrast import average_gradient, spatial_frequency, standard_deviation
from fusion.quality.correlation import correlation, correlation_of_differences
from fusion.quality.definitions import Profile, Score, averaged, of_fused, summed
from fusion.quality.edges import edge_intensity, nabf, qabf, qg
from fusion.quality.error import mse, psnr, rmse
from fusion.quality.feature_information import fmi_dct, fmi_pixel, fmi_w
from fusion.quality.fidelity import vif
from fusion.quality.information import (
    cross_entropy,
    entropy,
    mutual_information,
    nonlinear_correlation,
    normalised_mutual_information,
    tsallis_information,
)
from fusion.quality.local_similarity import qs, qy
from fusion.quality.perception import qcb, qcv
from fusion.quality.structure import ms_ssim, ssim
from fusion.quality.wavelets import qm

ALONE, SUM, MEAN = "fused image alone", "sum over both sources", "mean over both sources"
JOINT = "both sources at once, as in the formula"

PROFILE = Profile(
    name="standard",
    about="The correct definition of each score: luma, 0-255 floats, information in bits",
    source="the paper named beside each score",
    channel="8-bit luma of colour files, round(0.298936 R + 0.587043 G + 0.114021 B)",
    prepare=matlab_gray,
    scores=(
        Score(
            "EN", of_fused(entropy), True, "[0, 8] bits",
            "-sum p log2 p over 256 grey levels", "Shannon (1948); van Aardt (J. Appl. Remote Sensing 2008)", ALONE,
        ),
        Score(
            "SD", of_fused(standard_deviation), True, "[0, 127.5] grey levels",
            "sqrt(mean((F - mean F)^2))", "population standard deviation; Rao (1997)", ALONE,
        ),
        Score(
            "SF", of_fused(spatial_frequency), True, "[0, 360.6] grey levels",
            "sqrt(mean row difference^2 + mean column difference^2), each over its own count",
            "Eskicioglu and Fisher (IEEE Trans. Comm. 1995), eq. 5", ALONE,
        ),
        Score(
            "AG", of_fused(average_gradient), True, "[0, 255] grey levels",
            "sum sqrt((gx^2 + gy^2) / 2) / ((H - 1)(W - 1)), central differences, one-sided at the border",
            "Cui et al. (Optics Communications 2015), eq. 10", ALONE,
        ),
        Score(
            "EI", of_fused(edge_intensity), True, "[0, 1141) grey levels",
            "mean length of the Sobel gradient, borders repeated",
            "Rajalingam and Priya (2018), as VIFB defines it", ALONE,
        ),
        Score(
            "CE", averaged(cross_entropy), False, "bits, 0 for equal histograms; may fall below 0",
            "sum p log2(p / q), p of the source and q of the fused image, over the levels that both have",
            "Bulanon et al. (Biosystems Engineering 2009), as VIFB defines it", MEAN,
        ),
        Score(
            "MI", summed(mutual_information), True, "[0, 16] bits",
            "H(A) + H(F) - H(A, F), 256 x 256 joint histogram",
            "Qu, Zhang and Yan (Electronics Letters 2002), eq. 1", SUM,
        ),
        Score(
            "NMI", normalised_mutual_information, True, "[0, 2]",
            "2 [MI(A, F) / (H(A) + H(F)) + MI(B, F) / (H(B) + H(F))]",
            "Hossny et al. (Electronics Letters 2008); Liu et al. (TPAMI 2012), Q_MI", JOINT,
        ),
        Score(
            "CC", correlation, True, "[-1, 1]",
            "Pearson's r of source and fused image", "Deshmukh and Bhosale (2010)", MEAN,
        ),
        Score(
            "SCD", correlation_of_differences, True, "[-2, 2]",
            "r(F - B, A) + r(F - A, B)", "Aslantas and Bendes (AEU 2015), eqs. 2-4", JOINT,
        ),
        Score(
            "VIF", summed(vif), True, "[0, inf), 2 for perfect sources",
            "VIFp(A, F) + VIFp(B, F): 4 scales, Gaussian windows 17, 9, 5, 3 of sigma N / 5, valid, noise variance 2",
            "Sheikh and Bovik (IEEE TIP 2006), authors' vifp_mscale", SUM,
        ),
        Score(
            "Qabf", qabf, True, "[0, 0.99]",
            "strength and direction of Sobel edges kept, weighted by the sources' strength",
            "Xydeas and Petrovic (Electronics Letters 2000), eqs. 1-8, constants of Hong's code", JOINT,
        ),
        Score(
            "QG", qg, True, "(0, 1)",
            "as Qabf with k = -10, -20, thresholds .5, .75, and the mean over pixels of each pixel's own share",
            "Liu et al. (TPAMI 2012), section 3.2.1, their toolbox", JOINT,
        ),
        Score(
            "QM", qm, True, "[0, 3]",
            "exp(-|difference|) of Haar details in 3 bands, weighted by their energy; levels 1, 2 to powers 2/3, 1/3",
            "Wang and Wang (ICSP 2008); Liu et al. (TPAMI 2012)", JOINT,
        ),
        Score(
            "QS", qs, True, "[-1, 1]",
            "mean of l SSIM(A, F) + (1 - l) SSIM(B, F), l = var A / (var A + var B) in each window",
            "Piella and Heijmans (ICIP 2003), eq. 4", JOINT,
        ),
        Score(
            "QY", qy, True, "[-1, 1]",
            "as QS where SSIM(A, B) >= .75, elsewhere the larger of the two; 7 x 7 Gaussian of sigma 1.5",
            "Yang et al. (2008); Liu et al. (TPAMI 2012), section 3.3.3", JOINT,
        ),
        Score(
            "QCB", qcb, True, "[0, 1]",
            "preserved masked contrast after contrast-sensitivity filtering, weighted by saliency",
            "Chen and Blum (Image and Vision Computing 2009)", JOINT,
        ),
        Score(
            "QCV", qcv, False, "[0, inf)",
            "visible squared difference in 16 x 16 regions, weighted by the regions' saliency",
            "Chen and Varshney (Information Fusion 2007)", JOINT,
        ),
        Score(
            "SSIM", averaged(ssim), True, "[-1, 1]",
            "SSIM, Gaussian window 11 of sigma 1.5, K = .01, .03, range 255, valid windows",
            "Wang et al. (IEEE TIP 2004), eq. 13", MEAN,
        ),
        Score(
            "MS_SSIM", averaged(ms_ssim), True, "[0, 1]",
            "MS-SSIM, five levels with weights .0448, .2856, .3001, .2363, .1333, windows as SSIM",
            "Wang, Simoncelli and Bovik (Asilomar 2003), eq. 7", MEAN,
        ),
        Score(
            "FMI_pixel", fmi_pixel, True, "[0, 1]",
            "normalised mutual information of raw pixels in 3 x 3 windows, averaged",
            "Haghighat and Razian (AICT 2014), fast FMI", MEAN,
        ),
        Score(
            "FMI_dct", fmi_dct, True, "[0, 1]",
            "as FMI_pixel on the image's two-dimensional cosine transform", "Haghighat and Razian (AICT 2014)", MEAN,
        ),
        Score(
            "FMI_w", fmi_w, True, "[0, 1]",
            "as FMI_pixel on one level of the discrete Meyer wavelet transform",
            "Haghighat and Razian (AICT 2014)", MEAN,
        ),
        Score(
            "Nabf", nabf, False, "[0, 1]",
            "share of edges in the fused image that are stronger than in both sources",
            "Shreyamsha Kumar (Signal, Image and Video Processing 2013), eq. 17", JOINT,
        ),
        Score(
            "QNCIE", nonlinear_correlation, True, "[0.802, 1]",
            "1 + sum (l / 3) log256(l / 3) over the eigenvalues l of the 3 x 3 matrix of nonlinear correlation",
            "Wang and Shen (2008); Liu et al. (TPAMI 2012), Q_NCIE", JOINT,
        ),
        Score(
            "TE", tsallis_information, True, "[0, inf)",
            "[I(A, F) + I(B, F)] / [H(A) + H(B) - I(A, B)] by Tsallis entropy of order 0.43137",
            "Liu et al. (TPAMI 2012), Q_TE, after Cvejic et al. (2006) and Nava et al. (2008)", JOINT,
        ),
        Score(
            "MSE", mse, False, "[0, 1]",
            "mean((source - F)^2)", "mean of the two errors, as papers print it", MEAN, "0-1",
        ),
        Score(
            "RMSE", rmse, False, "[0, 1]",
            "sqrt(mean((source - F)^2))",
            "VIFB (Zhang et al., CVPRW 2020) with the root that its name says", MEAN, "0-1",
        ),
        Score("PSNR", psnr, True, "[0, inf) dB", "10 log10(1 / MSE)", "of the mean MSE", MEAN, "0-1"),
    ),
)  # fmt: skip
