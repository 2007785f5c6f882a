"""Score profiles: the function behind each score, and those of five evaluation kits in their place.

What is computed, in words, stands in definitions.yaml, which also says which scores a profile has, in which order.
"""

import math
from pathlib import Path
from typing import Any

import yaml

from fuse2task.runtime.errors import RequestError
from fusion.quality import definitions, edges, fidelity, information, perception, pixels, similarity
from fusion.quality.definitions import Compute, Profile, Score, averaged, channelwise, of_fused, summed
from fusion.quality.feature_information import fmi_dct, fmi_edge, fmi_pixel, fmi_w


def _of_stretched(function: Compute) -> Compute:
    """`function` of the three images stretched to 0-255, as normalize1 of Liu et al. does."""
    return lambda *images: function(*(information.stretched(image) for image in images))


# fmt: off
PAPERS: dict[str, Compute] = {
    "EN": of_fused(information.entropy), "CE": averaged(information.cross_entropy),
    "MI": summed(information.mutual_information), "NMI": information.normalised_mutual_information,
    "QNCIE": information.nonlinear_correlation, "TE": information.tsallis_information,
    "SD": of_fused(pixels.standard_deviation), "SF": of_fused(pixels.spatial_frequency),
    "AG": of_fused(pixels.average_gradient), "CC": averaged(pixels.pearson), "SCD": pixels.correlation_of_differences,
    "MSE": pixels.mse, "RMSE": pixels.rmse, "PSNR": pixels.psnr, "VIF": summed(fidelity.vif),
    "EI": of_fused(edges.edge_intensity), "Qabf": edges.qabf, "QG": edges.qg, "QM": edges.qm, "Nabf": edges.nabf,
    "SSIM": averaged(similarity.ssim), "MS_SSIM": averaged(similarity.ms_ssim), "QS": similarity.qs,
    "QY": similarity.qy, "QCB": perception.qcb, "QCV": perception.qcv,
    "FMI_pixel": fmi_pixel, "FMI_dct": fmi_dct, "FMI_w": fmi_w,
}
UNTRIMMED_AG = of_fused(lambda fused: pixels.average_gradient(fused, trimmed=False))
KITS: dict[str, dict[str, Compute]] = {
    "standard": {},
    "vifb": {
        **{name: channelwise(PAPERS[name]) for name in ("EN", "SD", "AG", "EI", "CE", "QCB", "QCV")},
        "SF": of_fused(pixels.frequency_side_by_side),
        "MI": channelwise(summed(information.stretched_mutual_information)),
        "Qabf": channelwise(edges.qabf, rounded=False),
        "SSIM": channelwise(summed(similarity.ssim)),
        "RMSE": channelwise(averaged(pixels.root_over_pixels), rounded=False),
        "PSNR": channelwise(pixels.psnr_of_roots, rounded=False),
    },
    "tang": {
        "SF": of_fused(lambda fused: pixels.spatial_frequency(fused / 255)), "SD": of_fused(pixels.byte_deviation),
        "PSNR": pixels.grey_level_psnr, "MI": summed(information.byte_mutual_information),
        "VIF": summed(fidelity.byte_vif), "Qabf": lambda *images: edges.qabf(*(image / 255 for image in images)),
        "Nabf": lambda infrared, visible, fused: edges.nabf(visible, fused, infrared),
        "SSIM": averaged(similarity.matlab_unit_ssim), "MS_SSIM": similarity.mef_ms_ssim, "FMI_pixel": fmi_edge,
    },
    "cddfuse": {
        "AG": UNTRIMMED_AG, "VIF": summed(fidelity.vif_or_one), "SSIM": summed(similarity.uniform_ssim),
        "MI": summed(lambda source, fused: information.mutual_information(source, fused) * math.log(2)),
        "MSE": averaged(pixels.squared_error), "PSNR": pixels.peak_psnr,
    },
    "ivif_zoo": {
        "EN": of_fused(information.zoo_entropy), "AG": UNTRIMMED_AG, "PSNR": pixels.grey_level_psnr,
        "VIF": summed(fidelity.padded_vif), "QCB": perception.zoo_qcb, "QY": similarity.unnormalised_qy,
        "Nabf": lambda infrared, visible, fused: edges.nabf(infrared, visible, fused, least_weight=0.0),
        "SSIM": summed(similarity.unit_ssim), "MS_SSIM": summed(similarity.unit_ms_ssim),
        "CE": information.sigmoid_cross_entropy, "NMI": information.zoo_normalised_information,
        "QNCIE": information.linear_correlation_information, "TE": information.entropy_excess,
        "EI": of_fused(lambda fused: edges.edge_intensity(fused, "constant")),
    },
    "liu": {
        "NMI": _of_stretched(information.normalised_mutual_information),
        "QNCIE": _of_stretched(information.nonlinear_correlation),
        "TE": information.tsallis_information_of_kit,
    },
}
# fmt: on
PREPARE = {"vifb": definitions.planar, "cddfuse": definitions.opencv_gray, "ivif_zoo": definitions.pil_gray}
WORDS = yaml.safe_load(Path(__file__).with_name("definitions.yaml").read_text("utf-8"))


def _profile(name: str, kit: str = "", scores: dict[str, dict[str, Any]] | None = None, **about: str) -> Profile:
    functions = PAPERS | KITS[name]

    def score(of: str, kit: str = kit, file: str = "", **changes: Any) -> Score:
        words = WORDS["scores"][of] | changes
        return Score(of, functions[of], **words | {"source": "; ".join(filter(None, (kit, file, words["source"])))})

    chosen = tuple(score(of, **changes) for of, changes in (scores or {of: {} for of in WORDS["scores"]}).items())
    return Profile(name, prepare=PREPARE.get(name, definitions.matlab_gray), scores=chosen, **about)


PROFILES: dict[str, Profile] = {name: _profile(name, **words) for name, words in WORDS["profiles"].items()}
STANDARD, VIFB, TANG, CDDFUSE, IVIF_ZOO, LIU = PROFILES.values()


def find_profile(name: str) -> Profile:
    """The profile called `name`. Raises RequestError: there is none; the message names all."""
    if name not in PROFILES:
        raise RequestError(f"no profile {name!r}; there are {', '.join(PROFILES)}")
    return PROFILES[name]
