"""Classical fusion methods: what their papers say of them, and what others made of the same images."""

import colorsys

import cv2
import numpy as np
import pytest

from fuse2task.data.dataset import Pair
from fuse2task.data.images import luma, read_infrared, read_visible
from fusion.methods import make_method
from fusion.methods.gradient_transfer import gradient_transfer, l1_denoised
from fusion.methods.multiscale import (
    compose,
    decompose,
    dual_tree_compose,
    dual_tree_decompose,
    laplacian_pyramid,
    ratio_pyramid,
)
from fusion.methods.registry import CLASSICAL
from fusion.methods.weighting import diffused, guided_filter, guided_weights, principal_weights

NAMES = (*CLASSICAL, "hsv")
ROWS, COLUMNS = np.mgrid[:32, :32]
LEVELS = np.float32((7 * ROWS**2 + 3 * COLUMNS + ROWS * COLUMNS) % 256)  # an image without symmetries, (32, 32)


def fused(name, infrared, visible):
    height, width = infrared.shape
    return make_method(name).fuse(Pair("a", "test", "ir.png", "vi.png", (width, height)), infrared, visible)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.mark.parametrize("size", [(16, 16), (17, 40), (61, 33)])
@pytest.mark.parametrize("name", NAMES)
def test_any_size_is_fused_the_same_way_twice(name, size, rng):
    infrared, visible = rng.integers(0, 256, size, dtype=np.uint8), rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    first, second = fused(name, infrared, visible), fused(name, infrared, visible)
    assert first.rgb.shape == (*size, 3)
    assert first.gray.shape == size
    assert first.rgb.dtype == first.gray.dtype == np.uint8
    np.testing.assert_array_equal(first.rgb, second.rgb)
    assert np.ptp(first.gray) > 100


@pytest.mark.parametrize("name", NAMES)
def test_equal_images_come_back_and_constant_ones_stay_between_both(name, rng):
    image = rng.integers(0, 256, (40, 50), dtype=np.uint8)
    np.testing.assert_allclose(fused(name, image, image).gray, image, atol=1)
    for infrared, visible in ((0, 254), (254, 0), (0, 0), (90, 30)):
        found = fused(name, np.full((20, 24), infrared, np.uint8), np.full((20, 24), visible, np.uint8)).gray
        assert np.ptp(found) == 0
        assert min(infrared, visible) <= found[0, 0] <= max(infrared, visible)


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (250, 301)])
def test_laplacian_pyramid_keeps_equal_images_and_the_stronger_detail(size):
    image = np.random.default_rng(0).uniform(0, 255, size).astype(np.float32)
    np.testing.assert_allclose(laplacian_pyramid(image, image), image, atol=1e-3)
    flat = np.full(size, 100, np.float32)
    edge = flat.copy()
    edge[:, size[1] // 2 :] = 200
    fused = laplacian_pyramid(flat, edge)
    assert np.abs(np.diff(fused, axis=1)).max() > 60


def test_ratio_pyramid_prefers_the_larger_contrast_to_the_larger_difference():
    bright, dim = np.full((64, 64), 160, np.float32), np.full((64, 64), 10, np.float32)
    bright[:, 32:], dim[:, :32] = 200, 40  # 25 % up, and down to a quarter

    def step(image):
        return image[32, 32] / image[32, 31]

    assert step(ratio_pyramid(bright, dim)) < 0.6 < 1 < step(laplacian_pyramid(bright, dim))


def test_details_of_wavelets_are_those_of_pywavelets():
    # pywt.dwt2(roll(LEVELS, 1), "sym4", "periodization"), rolled back by two samples: V, H, D at [3, :4]
    expected = [
        [7.1848, -62.4758, -17.0770, 5.5745],
        [180.1441, -80.3182, -111.6821, -114.6753],
        [10.4813, -71.2843, -13.1184, 1.4435],
    ]
    np.testing.assert_allclose(decompose(LEVELS)[1][0][:, 3, :4], expected, atol=1e-3)


def test_wavelets_reconstruct_perfectly_and_keep_the_energy(rng):
    image = rng.uniform(0, 255, (48, 80)).astype(np.float32)
    for analyse, synthesise in ((decompose, compose), (dual_tree_decompose, dual_tree_compose)):
        base, details = analyse(image)
        np.testing.assert_allclose(synthesise(base, details), image, atol=1e-3)
        energy = sum((np.abs(part.astype(np.complex128)) ** 2).sum() for part in (base, *details))
        assert energy == pytest.approx((image.astype(float) ** 2).sum(), rel=1e-5)


def test_energy_of_dual_tree_details_hardly_changes_with_the_images_shift():
    disk = np.float32(np.hypot(*(np.mgrid[:128, :128] - 64)) < 20)

    def variation(analyse):
        shifted = (np.roll(disk, shift, 1) for shift in range(16))
        energy = np.array([[(np.abs(bands) ** 2).sum() for bands in analyse(image)[1]] for image in shifted])
        return (energy.std(0) / energy.mean(0))[1:]

    assert (variation(dual_tree_decompose) < 0.01).all()
    assert (variation(decompose) > 0.05).all()


def test_guided_filter_is_opencvs():
    guide = np.float32((5 * ROWS + 11 * COLUMNS**2) % 32 / 31)[:6, :6]
    image = np.float32((ROWS + COLUMNS) % 3 == 0)[:6, :6]
    expected = [  # cv2.ximgproc.guidedFilter(guide, image, 2, 0.01), which computes in float32, rows 2 and 5
        [0.4115129, 0.2558334, 0.2556764, 0.3497849, 0.2751929, 0.2784177],
        [0.1412560, 0.6103340, 0.5451946, 0.1433694, 0.4248637, 0.3688211],
    ]
    np.testing.assert_allclose(guided_filter(guide, image, 2, 0.01)[[2, 5]], expected, atol=5e-5)


def test_weights_of_guided_filtering_sum_to_one_and_choose_the_salient_image(rng):
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (64, 64)).astype(np.float32), (0, 0), 1)
    flat = np.full_like(texture, 100)
    infrared, visible = flat.copy(), texture.copy()
    infrared[:, 32:], visible[:, 32:] = texture[:, 32:], flat[:, 32:]
    for radius, eps in ((45, 0.3), (7, 1e-6)):
        weights = guided_weights(infrared, visible, radius, eps)
        np.testing.assert_allclose(weights.sum(0), 1, atol=1e-6)
        assert weights.min() >= 0
    assert weights[0, :, 45:].mean() > 0.9 > 0.1 > weights[0, :, :20].mean()


def test_gradient_transfer_goes_from_infrared_to_the_visible_gradients(rng):
    infrared, visible = (cv2.GaussianBlur(rng.uniform(0, 255, (40, 56)), (0, 0), 2).astype(np.float32) for _ in "ab")
    np.testing.assert_array_equal(gradient_transfer(infrared, visible, 0), infrared)
    offset = gradient_transfer(infrared, visible, 1000) - visible
    assert np.ptp(offset) < 1 < 50 < np.ptp(infrared - visible)
    assert offset.mean() == pytest.approx(np.median(infrared - visible), abs=1)


def test_total_variation_with_an_l1_term_drops_things_by_size_not_by_contrast():
    # A square costs its area if dropped, weight times its perimeter if kept (Chan & Esedoglu 2005).
    image = np.zeros((64, 64), np.float32)
    image[4:8, 4:8] = 200
    image[20:56, 20:56] = 30
    found = l1_denoised(image, 4)
    assert np.abs(found[2:10, 2:10]).max() < 3
    np.testing.assert_allclose(found[28:48, 28:48], 30, atol=0.5)


def test_diffusion_is_perona_and_maliks_keeps_the_mean_and_strong_edges(rng):
    image = rng.uniform(0, 255, (7, 9)).astype(np.float32)
    expected = image.astype(float)
    for _ in range(10):
        wide = np.pad(expected, 1, mode="edge")
        steps = [wide[a : a + 7, b : b + 9] - expected for a, b in ((0, 1), (2, 1), (1, 0), (1, 2))]
        expected = expected + 0.15 * sum(np.exp(-((step / 30) ** 2)) * step for step in steps)
    np.testing.assert_allclose(diffused(image), expected, atol=1e-2)
    edge = np.full((32, 32), 50, np.float32)
    edge[:, 16:] = 200
    noisy = edge + rng.normal(0, 4, edge.shape).astype(np.float32)
    smooth = diffused(noisy)
    assert smooth.mean() == pytest.approx(noisy.mean(), rel=1e-5)
    assert (smooth - edge).std() < 0.5 * (noisy - edge).std()
    assert (smooth[:, 16] - smooth[:, 15]).min() > 140


def test_principal_weights_are_the_first_eigenvectors(rng):
    image = rng.uniform(0, 100, (20, 30)).astype(np.float32)
    assert principal_weights(2 * image, image) == pytest.approx((2 / 3, 1 / 3))
    first, second = image, (0.3 * image + rng.uniform(0, 50, image.shape)).astype(np.float32)
    values, vectors = np.linalg.eig(np.cov(first.ravel(), second.ravel()))
    vector = vectors[:, values.argmax()]
    assert principal_weights(first, second) == pytest.approx(vector / vector.sum(), rel=1e-4)
    assert principal_weights(image, 100 - image) == pytest.approx((0.5, 0.5))


def test_hsv_has_the_visible_hue_and_saturation_and_infrared_as_value(rng):
    infrared, visible = rng.integers(100, 256, (16, 16), dtype=np.uint8), rng.integers(60, 256, (16, 16, 3), np.uint8)
    visible[0, 0] = 0
    found = fused("hsv", infrared, visible).rgb
    np.testing.assert_array_equal(found.max(2), infrared)
    assert len(set(found[0, 0].tolist())) == 1
    for before, after in zip(visible.reshape(-1, 3)[1:], found.reshape(-1, 3)[1:], strict=True):
        (hue, saturation, _), (new_hue, new_saturation, _) = (colorsys.rgb_to_hsv(*(p / 255)) for p in (before, after))
        assert new_saturation == pytest.approx(saturation, abs=0.01)
        turn = abs(new_hue - hue)
        assert min(turn, 1 - turn) * saturation < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("name", "worst", "least"), [("adf", 2.2, 0.995), ("gtf", 9.0, 0.92)])
def test_images_are_like_those_that_vifb_published(name, worst, least, shared_path):
    # Made by the authors' MATLAB programs, ADF's channel by channel; stored as JPEG.
    root = shared_path("data", "VIFB_scores")
    for scene in ("carLight", "labMan", "walking"):
        infrared, visible = read_infrared(root / "ir" / f"{scene}.jpg"), read_visible(root / "vi" / f"{scene}.jpg")
        theirs = luma(read_visible(next((root / "fused" / name.upper()).glob(f"{scene}*")))).astype(float)

        def difference(method, infrared=infrared, visible=visible, theirs=theirs):
            return np.abs(fused(method, infrared, visible).gray - theirs).mean()

        assert difference(name) < worst
        assert difference(name) < min(difference(other) for other in ("average", "laplacian", "infrared", "pca"))
        assert np.corrcoef(fused(name, infrared, visible).gray.ravel(), theirs.ravel())[0, 1] > least
