"""Profiles of kits against the numbers that the kits published, and against the libraries they call."""

import csv
import math

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity

from fuse2task.data.images import read_visible
from fusion.quality.definitions import opencv_gray, pil_gray, score_batch
from fusion.quality.profiles import CDDFUSE, IVIF_ZOO, STANDARD, TANG

PROFILES = [TANG, CDDFUSE, IVIF_ZOO]
QUICK = {profile.name: [name for name in profile.names if not name.startswith("FMI")] for profile in PROFILES}


def scores(profile, images, names=None):
    batch = [torch.from_numpy(np.ascontiguousarray(profile.prepare(image)))[None] for image in images]
    return {name: values.item() for name, values in score_batch(profile, *batch, names).items()}


def real_triple(root, method="SeAFusion", image="05.png"):
    return [read_visible(root / folder / image) for folder in ("ir", "vi", f"fused/{method}")]


def test_tang_prints_what_the_kit_published(shared_path):
    root = shared_path("data", "TNO_scores")
    published: dict[tuple[str, str], dict[str, float]] = {}
    with (root / "scores.csv").open() as file:
        for row in csv.DictReader(file):
            if row["image"] in ("05.png", "14.png", "20.png", "27.png"):
                published.setdefault((row["method"], row["image"]), {})[row["metric"]] = float(row["as_published"])
    assert len(published) == 12
    for key, expected in published.items():
        found = scores(TANG, real_triple(root, *key), list(expected))
        assert len(expected) == 11
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-4 if name == "Qabf" else 1e-7), (key, name)


def test_cddfuse_uses_nats_its_own_peak_and_a_range_of_two(shared_path):
    images = real_triple(shared_path("data", "TNO_scores"))
    found = scores(CDDFUSE, images)
    a, b, f = (opencv_gray(image).astype(np.float64) for image in images)
    error = (((a - f) ** 2).mean() + ((b - f) ** 2).mean()) / 2
    expected = {
        "SD": f.std(),
        "AG": np.sqrt(sum(gradient**2 for gradient in np.gradient(f)) / 2).mean(),
        "MI": sum(nats(x) + nats(f) - nats(x, f) for x in (a, b)),
        "MSE": error,
        "PSNR": 10 * math.log10(f.max() ** 2 / error),
        "CC": (np.corrcoef(a.ravel(), f.ravel())[0, 1] + np.corrcoef(b.ravel(), f.ravel())[0, 1]) / 2,
        "SSIM": sum(structural_similarity(f, x, data_range=2) for x in (a, b)),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-8)


def nats(*images):
    counts = np.unique(np.stack([image.ravel() for image in images]), axis=1, return_counts=True)[1]
    shares = counts / images[0].size
    return -(shares * np.log(shares)).sum()


def test_ivif_zoo_sums_over_sources_with_the_constants_of_range_one(shared_path):
    images = real_triple(shared_path("data", "TNO_scores"))
    found = scores(IVIF_ZOO, images, ["SSIM", "PSNR", "MSE", "Nabf", "EI"])
    a, b, f = (pil_gray(image).astype(np.float64) for image in images)
    gaussian = {"gaussian_weights": True, "use_sample_covariance": False, "sigma": 1.5, "data_range": 1}
    assert found["SSIM"] == pytest.approx(sum(structural_similarity(x, f, **gaussian) for x in (a, b)), rel=1e-8)
    error = (((a - f) ** 2).mean() + ((b - f) ** 2).mean()) / 2 / 255**2
    assert found["PSNR"] == pytest.approx(20 * math.log10(255 / math.sqrt(error)), rel=1e-12)
    assert found["MSE"] == pytest.approx(error, rel=1e-12)
    gradients = (cv2.Sobel(f, cv2.CV_64F, *axis, borderType=cv2.BORDER_CONSTANT) for axis in ((1, 0), (0, 1)))
    assert found["EI"] == pytest.approx(np.hypot(*gradients).mean(), rel=1e-12)
    assert found["Nabf"] < scores(STANDARD, images, ["Nabf"])["Nabf"]


def test_grey_is_the_librarys_own():
    # Every third level of each channel, so that ties of rounding occur.
    pixels = np.stack(np.meshgrid(*[np.arange(0, 256, 3)] * 3), axis=-1).reshape(86, -1, 3).astype(np.uint8)
    np.testing.assert_array_equal(pil_gray(pixels), np.asarray(Image.fromarray(pixels).convert("L")))
    weights = np.array([299, 587, 114])
    exact = pixels.astype(int) @ weights
    clear = exact % 1000 != 500
    np.testing.assert_array_equal(opencv_gray(pixels)[clear], ((exact + 500) // 1000)[clear])
    one = pixels[..., 0]
    assert (opencv_gray(one) == one).all()
    assert (pil_gray(np.repeat(one[..., None], 3, axis=2)) == one).all()
    assert (opencv_gray(np.repeat(one[..., None], 3, axis=2)) == one).all()


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_degenerate_images_give_numbers_or_nan(profile):
    varied = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    black, flat = np.zeros_like(varied), np.full_like(varied, 90)
    for images in ((flat, flat, flat), (black, black, varied), (varied, varied, varied), (varied, black, black)):
        found = scores(profile, images, QUICK[profile.name])
        assert not [name for name, value in found.items() if math.isinf(value)]
    found = scores(profile, (varied, 255 - varied, varied // 2), QUICK[profile.name])
    too_small = {"VIF", "MS_SSIM"} if profile is not IVIF_ZOO else {"MS_SSIM"}
    assert {name for name, value in found.items() if math.isnan(value)} == too_small & set(profile.names)


def test_cddfuse_calls_the_fidelity_to_a_flat_source_one():
    varied = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    found = scores(CDDFUSE, (np.full_like(varied, 9), varied, varied), ["VIF"])
    assert found["VIF"] == pytest.approx(2, rel=1e-9)
    assert math.isnan(scores(CDDFUSE, (varied, varied, np.zeros_like(varied)), ["PSNR"])["PSNR"])
    assert math.isnan(scores(CDDFUSE, (varied, varied, varied), ["PSNR"])["PSNR"])


def test_tang_scores_the_infrared_image_as_nabfs_fused_one(shared_path):
    """The kit's call is analysis_nabf(ir, vi, fused), its signature (fused, source, source)."""
    infrared, visible, fused = real_triple(shared_path("data", "TNO_scores"), "DenseFuse")
    kit = scores(TANG, (infrared, visible, fused), ["Nabf"])["Nabf"]
    assert kit == pytest.approx(scores(STANDARD, (visible, fused, infrared), ["Nabf"])["Nabf"], rel=3e-15)
    sensible = scores(STANDARD, (infrared, visible, fused), ["Nabf"])["Nabf"]
    assert (kit, sensible) == pytest.approx((0.0050254773, 0.0332633445), rel=1e-7)


@pytest.mark.slow
def test_cddfuse_rounds_to_the_published_row_of_roadscene(shared_path):
    """Its README prints EN 7.44, SD 54.67, SF 16.36, MI 2.30, SCD 1.81, VIF .69, Qabf .52, SSIM .98 for 50 pairs.

    The images at hand are a re-run, .01 lower in EN and SD.
    """
    root = shared_path("data", "RoadScene")
    names = ["EN", "SD", "SF", "MI", "SCD", "VIF", "Qabf", "SSIM"]
    rows = []
    for stem in (root / "test50.txt").read_text().split():
        files = [next((root / folder).glob(f"{stem}.*")) for folder in ("cropinfrared", "crop_LR_visible")]
        fused = next((root / "fused" / "CDDFuse").glob(f"{stem}.*"))
        # The evaluator reads the luma that the JPEG files store; by way of RGB, EN and MI are .002 lower.
        images = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in (*files, fused)]
        rows.append(list(scores(CDDFUSE, images, names).values()))
    assert len(rows) == 50
    means = dict(zip(scores(CDDFUSE, images, names), np.mean(rows, axis=0).round(2), strict=True))
    assert means == {
        "EN": 7.43, "SD": 54.66, "SF": 16.36, "MI": 2.30, "SCD": 1.81, "VIF": 0.69, "Qabf": 0.52, "SSIM": 0.98,
    }  # fmt: skip
