"""The `vifb` profile against the numbers that VIFB published, and what its kit does with grey files."""

import csv

import numpy as np
import pytest
import torch

from fuse2task.data.images import read_visible
from fusion.quality.definitions import averaged, channelwise, matlab_gray, of_fused, score_batch
from fusion.quality.edges import qabf
from fusion.quality.information import entropy
from fusion.quality.profiles import VIFB as PROFILE
from fusion.quality.similarity import ssim

METHODS = ("ADF", "GTF", "LatLRR", "MSVD")


def stack(*files: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack([PROFILE.prepare(pixels) for pixels in files]))


def scored(infrared: np.ndarray, visible: np.ndarray, fused: np.ndarray) -> dict[str, float]:
    values = score_batch(PROFILE, stack(infrared), stack(visible), stack(fused))
    return {name: value.item() for name, value in values.items()}


@pytest.fixture(scope="module")
def published(shared_path):
    with (shared_path("data", "VIFB_scores") / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {(row["method"], row["image"], row["metric"]): float(row["value"]) for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("image", ["carLight.jpg", "labMan.jpg", "walking.jpg"])
def test_every_published_digit(shared_path, published, image):
    root = shared_path("data", "VIFB_scores")
    infrared, visible = read_visible(root / "ir" / image), read_visible(root / "vi" / image)
    for method in METHODS:
        values = scored(infrared, visible, read_visible(root / "fused" / method / image))
        found = {name: float(f"{value:.5g}") for name, value in values.items()}
        assert found == {name: published[method, image, name] for name in PROFILE.names}


def random_files(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A grey infrared, a colour visible and a colour fused file of 40 x 32 pixels."""
    rng = np.random.default_rng(seed)
    infrared, visible = (
        rng.integers(0, 256, (32, 40), dtype=np.uint8),
        rng.integers(0, 256, (32, 40, 3), dtype=np.uint8),
    )
    return infrared, visible, ((visible.astype(int) + infrared[..., None]) // 2).astype(np.uint8)


def in_colour(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def test_a_grey_infrared_file_counts_as_three_equal_channels():
    infrared, visible, fused = random_files()
    assert scored(infrared, visible, fused) == scored(in_colour(infrared), visible, fused)


def test_spatial_frequency_runs_from_one_channel_into_the_next():
    infrared, visible, fused = random_files()
    wide = np.concatenate([fused[..., k] for k in range(3)], axis=1).astype(float)
    expected = np.sqrt(((np.diff(wide, axis=1) ** 2).sum() + (np.diff(wide, axis=0) ** 2).sum()) / wide.size)
    assert scored(infrared, visible, fused)["SF"] == pytest.approx(expected, rel=1e-12)


def test_a_grey_fused_file_is_compared_with_luma():
    infrared, visible, _ = random_files()
    fused = infrared // 2 + 40
    found = scored(in_colour(infrared), visible, fused)
    grey = scored(infrared, matlab_gray(visible), fused)
    # rgb2gray rounds what is still uint8 there, and not what the kit has made double before.
    unrounded = {"Qabf", "RMSE", "PSNR"}
    assert {name: found[name] for name in PROFILE.names if name not in unrounded} == pytest.approx(
        {name: grey[name] for name in PROFILE.names if name not in unrounded}, rel=1e-12
    )
    luma = (visible @ np.array([0.298936021293775, 0.587043074451121, 0.114020904255103])).round(9)
    roots = [np.sqrt(((source - fused.astype(float)) ** 2).sum()) / fused.size for source in (infrared, luma)]
    assert found["RMSE"] == pytest.approx(np.mean(roots), rel=1e-9)
    assert found["PSNR"] == pytest.approx(20 * np.log10(255 / np.sqrt(np.mean(roots))), rel=1e-9)
    tensors = (torch.from_numpy(np.asarray(image, float))[None] for image in (infrared, luma, fused))
    assert found["Qabf"] == pytest.approx(qabf(*tensors).item(), rel=1e-9)


def test_channelwise_is_the_mean_of_the_channels_of_each_image():
    files = [random_files(seed) for seed in range(3)]
    infrared, visible, fused = (stack(*column).double() for column in zip(*files, strict=True))
    similar = channelwise(averaged(ssim))(infrared, visible, fused)
    informed = channelwise(of_fused(entropy))(infrared, visible, fused)
    for k in range(3):
        channels = [(infrared[k : k + 1], visible[k : k + 1, c], fused[k : k + 1, c]) for c in range(3)]
        assert similar[k].item() == pytest.approx(np.mean([averaged(ssim)(*images).item() for images in channels]))
        assert informed[k].item() == pytest.approx(np.mean([entropy(images[2]).item() for images in channels]))


@pytest.mark.parametrize("level", [0, 77])
def test_flat_files_are_finite_or_not_defined(level):
    infrared, visible, fused = random_files()
    flat = np.full_like(infrared, level)
    for images in (
        (flat, visible, fused),
        (flat, in_colour(flat), fused),
        (infrared, visible, flat),
        (flat, flat, flat),
    ):
        assert not np.isinf(list(scored(*images).values())).any()
