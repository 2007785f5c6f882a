"""Qabf, QG, Nabf and EI against NumPy transcriptions of their definitions, and against published numbers."""

import csv
import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import correlate, sobel

from fuse2task.data.images import read_visible
from fusion.quality.definitions import matlab_gray
from fusion.quality.edges import edge_intensity, nabf, qabf, qg

RIGHT = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
DOWN = RIGHT.T


def published_qabf(a, b, f):
    """Xydeas and Petrovic, Electronics Letters 2000, eq. 1-8; protocols' constants and ties, pixel by pixel."""

    def edges(image):
        right, down = (correlate(image, kernel, mode="constant") for kernel in (RIGHT, DOWN))
        # Hong's conv2 turns the kernels, and his vertical one points up.
        return np.hypot(right, down), np.vectorize(lambda x, y: math.pi / 2 if x == 0 else math.atan(-y / x))(
            right, down
        )

    strengths, angles = zip(*map(edges, (a, b, f)), strict=True)
    kept = 0.0
    for source in (0, 1):
        for g, angle, gf, anglef in zip(
            *(values.ravel() for values in (strengths[source], angles[source], strengths[2], angles[2])), strict=True
        ):
            relative = gf / g if g > gf else gf if g == gf else g / gf
            turn = 1 - abs(angle - anglef) / (math.pi / 2)
            quality = 0.9994 / (1 + math.exp(-15 * (relative - 0.5))) * 0.9879 / (1 + math.exp(-22 * (turn - 0.8)))
            kept += quality * g
    return kept / (strengths[0].sum() + strengths[1].sum())


def toolbox_qg(a, b, f):
    """metricXydeas of the toolbox of Liu et al. (TPAMI 2012): its guards against zeros, in its order."""

    def edges(image):
        right, down = (correlate(image, kernel, mode="constant") for kernel in (RIGHT, DOWN))
        return np.sqrt(right**2 + down**2), np.arctan(down / (right + 1e-5 * (right == 0)))

    fused, fused_angle = edges(f)
    kept, weights = 0.0, 0.0
    for image in (a, b):
        source, angle = edges(image)
        larger = source > fused
        source = source + 1e-5 * (source == 0)
        weaker = fused / source
        fused = fused + 1e-5 * (fused == 0)
        relative = np.where(larger, weaker, source / fused)
        aligned = np.abs(np.abs(angle - fused_angle) - np.pi / 2) * 2 / np.pi
        kept = kept + source / (1 + np.exp(-10 * (relative - 0.5))) / (1 + np.exp(-20 * (aligned - 0.75)))
        weights = weights + source
    return (kept / weights).mean()


def kumar_nabf(a, b, f, least=0.001):
    """Shreyamsha Kumar, SIViP 2013, the modified N_ABF, with the constants of his code."""

    def edges(image):
        right, down = (correlate(image, kernel / 8, mode="mirror") for kernel in (RIGHT, DOWN))
        with np.errstate(all="ignore"):
            angle = np.where((right == 0) & (down == 0), 0, np.arctan(right / down))
        return np.sqrt(right**2 + down**2), angle

    (ga, aa), (gb, ab), (gf, af) = map(edges, (a, b, f))
    added, weights = 0.0, 0.0
    for g, angle in ((ga, aa), (gb, ab)):
        with np.errstate(all="ignore"):
            relative = np.where((g == 0) | (gf == 0), 0, np.where(g > gf, gf / g, g / gf))
        aligned = np.abs(np.abs(angle - af) - np.pi / 2) * 2 / np.pi
        strength = 0.9999 / (1 + np.exp(-19 * (relative - 0.5)))
        quality = np.sqrt(strength * 0.9995 / (1 + np.exp(-22 * (aligned - 0.5))))
        weight = np.where(g >= 2, g**1.5, least)
        added = added + (gf > ga) * (gf > gb) * (1 - quality) * weight
        weights = weights + weight
    return added.sum() / weights.sum()


PAIRS = [(qabf, published_qabf), (qg, toolbox_qg), (nabf, kumar_nabf)]


def smooth_triple(height, width, levels=256):
    """Random images with flat places and equal edges, where the definitions' special cases lie."""
    rng = np.random.default_rng((height, width))
    images = [cv2.resize(rng.integers(0, levels, (4, 4)).astype(np.uint8), (width, height)) for _ in range(3)]
    images[2][: height // 2] = images[0][: height // 2]
    images[1][:, : width // 3] = 7
    return [image.astype(np.float64) for image in images]


def tensors(*images):
    return [torch.from_numpy(np.ascontiguousarray(image, dtype=np.float64))[None] for image in images]


@pytest.mark.parametrize(("score", "definition"), PAIRS)
@given(size=st.tuples(st.integers(3, 24), st.integers(3, 24)), levels=st.sampled_from([4, 256]))
@settings(max_examples=25)
def test_images_of_any_size_follow_the_definition(score, definition, size, levels):
    images = smooth_triple(*size, levels)
    assert score(*tensors(*images)).item() == pytest.approx(definition(*images), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("score", "definition"), PAIRS)
def test_a_real_pair_follows_the_definition(shared_path, score, definition):
    root = shared_path("data", "TNO_scores")
    folders = ("ir", "vi", "fused/SeAFusion")
    images = [matlab_gray(read_visible(root / folder / "05.png"))[60:160, 80:200] for folder in folders]
    expected = definition(*(image.astype(np.float64) for image in images))
    assert score(*tensors(*images)).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_qabf_equals_the_published_numbers(shared_path):
    root = shared_path("data", "TNO_scores")
    with (root / "scores.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "Qabf"]
    assert len(rows) == 24
    for row in rows:
        folders = ("ir", "vi", f"fused/{row['method']}")
        images = tensors(*(matlab_gray(read_visible(root / folder / row["image"])) for folder in folders))
        assert qabf(*images).item() == pytest.approx(float(row["value"]), rel=1e-8)
        # On [0, 1] rounding decides which strengths are equal.
        assert qabf(*(image / 255 for image in images)).item() == pytest.approx(float(row["as_published"]), rel=1e-4)


def test_edge_intensity_equals_scipys_sobel_and_vifbs_numbers(shared_path):
    fused = smooth_triple(20, 31)[2]
    expected = np.hypot(sobel(fused, 0, mode="nearest"), sobel(fused, 1, mode="nearest")).mean()
    assert edge_intensity(*tensors(fused)).item() == pytest.approx(expected, rel=1e-12)
    root = shared_path("data", "VIFB_scores")
    with (root / "scores.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "EI"]
    assert len(rows) == 12
    for row in rows:
        image = read_visible(root / "fused" / row["method"] / row["image"])
        channels = torch.from_numpy(np.atleast_3d(image).astype(np.float64)).movedim(-1, 0)
        assert f"{edge_intensity(channels).mean().item():.5g}" == f"{float(row['value']):.5g}"


def test_a_batch_equals_its_images_one_by_one():
    triples = [tensors(*smooth_triple(18, 22)), tensors(*smooth_triple(22, 18))]
    batch = [torch.cat([one, other.mT]) for one, other in zip(*triples, strict=True)]
    for score, _ in PAIRS:
        one_by_one = [score(*(image[i : i + 1] for image in batch)).item() for i in (0, 1)]
        np.testing.assert_allclose(score(*batch), one_by_one, rtol=1e-12)


def test_keeping_everything_is_best():
    image = tensors(np.random.default_rng(0).integers(0, 256, (16, 16)))[0]
    assert qabf(image, image, image).item() == pytest.approx(0.9994 * 0.9879 / (1 + math.exp(-4.4)), rel=1e-6)
    assert qg(image, image, image).item() == pytest.approx(1 / (1 + math.exp(-5)) ** 2, rel=1e-9)
    assert nabf(image, image, image).item() == 0
    assert nabf(image, image, 2 * image).item() > 0.05


def test_flat_and_black_images():
    black, flat = (torch.full((1, 16, 16), level, dtype=torch.float64) for level in (0.0, 90.0))
    varied = tensors(np.random.default_rng(0).integers(0, 256, (16, 16)))[0]
    for images in ((flat, flat, flat), (flat, varied, black), (varied, black, flat), (varied, varied, black)):
        assert all(0 <= score(*images).item() <= 1 for score, _ in PAIRS)
    assert qabf(black, black, varied).isnan().item()
    assert 0 < qg(black, black, varied).item() < 0.01
    assert nabf(black, black, varied).item() > 0.9
    assert nabf(flat, flat, varied, 0.0).isnan().item()
    assert edge_intensity(flat).item() == 0
