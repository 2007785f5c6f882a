"""Catalogue of image-quality scores: the papers' definitions, which profiles take as they are or with changes."""

from fusion.quality import edges, feature_information, fidelity, information, perception, pixels, similarity
from fusion.quality.definitions import Score, averaged, of_fused, summed

# fmt: off
SUM, MEAN = "sum over both sources", "mean over both sources"
STRETCHED = "stretched to 0-255"
JOINT = "both sources at once, as in the formula"

EN = Score(
    "EN", of_fused(information.entropy), range="[0, 8] bits", formula="-sum p log2 p over 256 grey levels",
    source="Shannon (1948); van Aardt (J. Appl. Remote Sensing 2008)",
)
SD = Score(
    "SD", of_fused(pixels.standard_deviation), range="[0, 127.5] grey levels", formula="sqrt(mean((F - mean F)^2))",
    source="population standard deviation; Rao (1997)",
)
SF = Score(
    "SF", of_fused(pixels.spatial_frequency), range="[0, 360.6] grey levels",
    formula="sqrt(mean row difference^2 + mean column difference^2), each over its own count",
    source="Eskicioglu and Fisher (IEEE Trans. Comm. 1995), eq. 5",
)
AG = Score(
    "AG", of_fused(pixels.average_gradient), range="[0, 255] grey levels",
    formula="sum sqrt((gx^2 + gy^2) / 2) / ((H - 1)(W - 1)), central differences, one-sided at the border",
    source="Cui et al. (Optics Communications 2015), eq. 10",
)
EI = Score(
    "EI", of_fused(edges.edge_intensity), range="[0, 1141) grey levels",
    formula="mean length of the Sobel gradient, borders repeated",
    source="Rajalingam and Priya (2018), as VIFB defines it",
)
CE = Score(
    "CE", averaged(information.cross_entropy), range="bits, 0 for equal histograms; may be negative",
    higher_is_better=False,
    formula="sum p log2(p / q), p of the source and q of the fused image, over the levels that both have",
    source="Bulanon et al. (Biosystems Engineering 2009), as VIFB defines it", aggregation=MEAN,
)
MI = Score(
    "MI", summed(information.mutual_information), range="[0, 16] bits",
    formula="H(A) + H(F) - H(A, F), 256 x 256 joint histogram",
    source="Qu, Zhang and Yan (Electronics Letters 2002), eq. 1", aggregation=SUM,
)
NMI = Score(
    "NMI", information.normalised_mutual_information, range="[0, 2]",
    formula="2 [MI(A, F) / (H(A) + H(F)) + MI(B, F) / (H(B) + H(F))]",
    source="Hossny et al. (Electronics Letters 2008); Liu et al. (TPAMI 2012), Q_MI", aggregation=JOINT,
)
CC = Score(
    "CC", averaged(pixels.pearson), range="[-1, 1]", formula="Pearson's r of source and fused image",
    source="Deshmukh and Bhosale (2010)", aggregation=MEAN,
)
SCD = Score(
    "SCD", pixels.correlation_of_differences, range="[-2, 2]", formula="r(F - B, A) + r(F - A, B)",
    source="Aslantas and Bendes (AEU 2015), eqs. 2-4", aggregation=JOINT,
)
VIF = Score(
    "VIF", summed(fidelity.vif), range="[0, inf), 2 for perfect sources",
    formula="VIFp: 4 scales, Gaussian windows 17, 9, 5, 3 of sigma N / 5, valid, noise variance 2",
    source="Sheikh and Bovik (IEEE TIP 2006), authors' vifp_mscale", aggregation=SUM,
)
QABF = Score(
    "Qabf", edges.qabf, range="[0, 0.99]",
    formula="strength and direction of Sobel edges kept, weighted by the sources' strength; zeros around the image",
    source="Xydeas and Petrovic (Electronics Letters 2000), eqs. 1-8, constants of Hong's code", aggregation=JOINT,
)
QG = Score(
    "QG", edges.qg, range="(0, 1)",
    formula="as Qabf with k = -10, -20, thresholds .5, .75, and the mean over pixels of each pixel's own share",
    source="Liu et al. (TPAMI 2012), section 3.2.1; Xydeas and Petrovic (SPIE 4051, 2000)", aggregation=JOINT,
)
QM = Score(
    "QM", edges.qm, range="[0, 3]",
    formula="exp(-|difference|) of Haar details in 3 bands, weighted by their energy; levels 1, 2 to powers 2/3, 1/3",
    source="Wang and Wang (ICSP 2008); Liu et al. (TPAMI 2012)", aggregation=JOINT,
)
QS = Score(
    "QS", similarity.qs, range="[-1, 1]",
    formula="mean of l SSIM(A, F) + (1 - l) SSIM(B, F), l = var A / (var A + var B) in each window",
    source="Piella and Heijmans (ICIP 2003), eq. 4", aggregation=JOINT,
)
QY = Score(
    "QY", similarity.qy, range="[-1, 1]",
    formula="as QS where SSIM(A, B) >= .75, elsewhere the larger of the two; 7 x 7 Gaussian of sigma 1.5",
    source="Yang et al. (Information Fusion 2008); Liu et al. (TPAMI 2012), section 3.3.3", aggregation=JOINT,
)
QCB = Score(
    "QCB", perception.qcb, range="[0, 1]",
    formula="preserved masked contrast after contrast-sensitivity filtering, weighted by saliency",
    source="Chen and Blum (Image and Vision Computing 2009)", aggregation=JOINT, scale=STRETCHED,
)
QCV = Score(
    "QCV", perception.qcv, range="[0, inf)", higher_is_better=False,
    formula="visible squared difference in 16 x 16 regions, weighted by the regions' saliency (Sobel to the power 5)",
    source="Chen and Varshney (Information Fusion 2007)", aggregation=JOINT, scale=STRETCHED,
)
SSIM = Score(
    "SSIM", averaged(similarity.ssim), range="[-1, 1]",
    formula="SSIM, Gaussian window 11 of sigma 1.5, K = .01, .03, range 255, valid windows",
    source="Wang et al. (IEEE TIP 2004), eq. 13", aggregation=MEAN,
)
MS_SSIM = Score(
    "MS_SSIM", averaged(similarity.ms_ssim), range="[0, 1]",
    formula="MS-SSIM, five levels with weights .0448, .2856, .3001, .2363, .1333, windows as SSIM",
    source="Wang, Simoncelli and Bovik (Asilomar 2003), eq. 7", aggregation=MEAN,
)
FMI_PIXEL = Score(
    "FMI_pixel", feature_information.fmi_pixel, range="at most 1",
    formula="normalised mutual information of raw pixels in 3 x 3 windows, averaged",
    source="Haghighat and Razian (AICT 2014), fast FMI", aggregation=MEAN,
)
FMI_DCT = Score(
    "FMI_dct", feature_information.fmi_dct, range="at most 1",
    formula="as FMI_pixel on the image's two-dimensional cosine transform",
    source="Haghighat and Razian (AICT 2014)", aggregation=MEAN,
)
FMI_W = Score(
    "FMI_w", feature_information.fmi_w, range="at most 1",
    formula="as FMI_pixel on one level of the discrete Meyer wavelet transform",
    source="Haghighat and Razian (AICT 2014)", aggregation=MEAN,
)
NABF = Score(
    "Nabf", edges.nabf, range="[0, 1]", higher_is_better=False,
    formula="share of edges in the fused image that are stronger than in both sources",
    source="Shreyamsha Kumar (Signal, Image and Video Processing 2013), eq. 17", aggregation=JOINT,
)
QNCIE = Score(
    "QNCIE", information.nonlinear_correlation, range="[0.802, 1]",
    formula="1 + sum (l / 3) log256(l / 3) over the eigenvalues l of the 3 x 3 matrix of nonlinear correlation",
    source="Wang and Shen (2008); Liu et al. (TPAMI 2012), Q_NCIE", aggregation=JOINT,
)
TE = Score(
    "TE", information.tsallis_information, range="[0, inf)",
    formula="[I(A, F) + I(B, F)] / [H(A) + H(B) - I(A, B)] by Tsallis entropy of order 0.43137",
    source="Liu et al. (TPAMI 2012), Q_TE, after Cvejic et al. (2006) and Nava et al. (2008)", aggregation=JOINT,
)
MSE = Score(
    "MSE", pixels.mse, range="[0, 1]", higher_is_better=False, formula="mean((source - F)^2)",
    source="mean of the two errors, as papers print it", aggregation=MEAN, scale="0-1",
)
RMSE = Score(
    "RMSE", pixels.rmse, range="[0, 1]", higher_is_better=False, formula="sqrt(mean((source - F)^2))",
    source="VIFB (Zhang et al., CVPRW 2020) with the root that its name says", aggregation=MEAN, scale="0-1",
)
PSNR = Score(
    "PSNR", pixels.psnr, range="[0, inf) dB", formula="10 log10(1 / MSE)", source="of the mean MSE", aggregation=MEAN,
    scale="0-1",
)
# fmt: on
