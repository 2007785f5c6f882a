"""What each kind does to pixels, against physics and libraries that this project did not write."""

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio

from fuse2task.data.degradation import sensor, weather
from fuse2task.data.degradation.kinds import KINDS, LEVELS
from fuse2task.data.degradation.sensor import Shot, airlight, to_code, to_linear
from fuse2task.data.degradation.weather import Particles, metres, opacity, scatter
from fuse2task.data.synthetic.scene import render

EFFECTS = [(name, modality) for name, kind in KINDS.items() for modality in kind.changes]


@pytest.fixture(scope="module")
def shots():
    """Four synthetic pairs, day and night."""
    scenes = [render(5, index, (160, 128), night=index % 2 == 1, task="detection") for index in range(4)]
    return lambda kind, seed=0: [
        Shot(scene.visible, scene.infrared, f"{index}", seed, kind) for index, scene in enumerate(scenes)
    ]


def flat(visible: int = 128, infrared: int = 128, kind: str = "noise", shape: tuple[int, int] = (200, 200)) -> Shot:
    return Shot(np.full((*shape, 3), visible, np.uint8), np.full(shape, infrared, np.uint8), "flat", 0, kind)


def effect_of(name, modality):
    return lambda shot, level: KINDS[name].effect(shot, level, modality)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "modality"), EFFECTS)
def test_levels_are_monotone_in_psnr(shots, name, modality):
    effect = effect_of(name, modality)
    means = [
        np.mean([peak_signal_noise_ratio(getattr(shot, modality), effect(shot, level)) for shot in shots(name)])
        for level in LEVELS[1:]
    ]
    assert (np.diff(means) < 0).all(), means
    assert means[0] < 62
    assert means[-1] > 5


@pytest.mark.parametrize(("name", "modality"), EFFECTS)
def test_effects_are_fixed_by_their_key_and_leave_the_source_alone(shots, name, modality):
    shot = shots(name)[0]
    before = shot.visible.copy(), shot.infrared.copy()
    effect = effect_of(name, modality)
    first = effect(shot, 4)
    assert first.dtype == np.uint8
    assert first.shape == getattr(shot, modality).shape
    assert np.array_equal(first, effect(shot, 4))
    assert np.array_equal(before[0], shot.visible)
    assert np.array_equal(before[1], shot.infrared)
    other = effect(shots(name, seed=1)[0], 4)
    assert np.array_equal(first, other) == (name in ("haze", "blur", "jpeg"))


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if "visible" in kind.changes])
def test_grey_visible_images_stay_grey(shots, name):
    shot = shots(name)[0]
    grey = Shot(shot.visible[..., 1].copy(), shot.infrared, "g", 0, name)
    assert KINDS[name].effect(grey, 3, "visible").shape == grey.visible.shape


def test_code_and_light_are_inverse_and_srgb():
    codes = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_code(to_linear(codes)), codes)
    assert to_linear(np.uint8(188)) == pytest.approx(0.5029, abs=1e-4)  # half the light, IEC 61966-2-1
    assert to_linear(np.uint8(10)) == pytest.approx(10 / 255 / 12.92)


def test_depth_falls_with_the_row_and_sky_is_far():
    visible = np.full((120, 160), 90, np.uint8)
    visible[:30] = 220
    distance = metres(visible, sky=True)
    assert distance[:20].min() > 1000
    assert distance[70:].max() < 60
    assert (np.diff(distance[70:110, 80]) < 0).all()
    assert metres(visible, sky=False).max() <= 100.5


def test_haze_is_koschmieders_law_on_a_flat_field():
    # A field as bright as its airlight does not change; contrast falls as exp(-3.912 d / V).
    shot = flat(kind="haze")
    light = to_linear(shot.visible)
    veiled = to_linear(weather.haze(shot, 4, "visible"))
    through = np.exp(-3.912 / 250 * metres(shot.visible, sky=False))[..., None]
    expected = light * through + (1 - through) * (0.7 * airlight(light) + 0.3 * light)
    assert np.abs(veiled - expected).max() < 0.004
    # 2 % of the contrast is left at the visibility: the definition of it.
    assert np.exp(-weather._KOSCHMIEDER) == pytest.approx(0.02, abs=1e-4)


def test_published_extinction():
    assert [weather.kim_exponent(v) for v in (0.2, 0.5, 1, 3, 10, 60)] == pytest.approx([0, 0, 0.5, 0.82, 1.3, 1.6])
    assert weather.rain_extinction(50) * 4343 == pytest.approx(14.8, abs=0.05)  # dB/km


def test_a_drop_takes_the_light_of_its_disc():
    size = (101, 101)
    focal = 1.05 * 101
    one = np.ones(1, np.float32)
    drop = Particles(50 * one, 50 * one, 2 * one, 4 * one, 0 * one)
    area = np.pi / 4 * (4 * focal / 2000) ** 2
    for path in ([0, 0], [0, 300], [150, 150]):
        cover = opacity(drop, np.array([path], np.float32), size)
        assert -np.log1p(-cover).sum() == pytest.approx(area, rel=0.01)
    long = opacity(drop, np.array([[0, 300]], np.float32), size)
    assert ndimage.center_of_mass(long) == pytest.approx((50, 50), abs=0.05)
    assert (long.max(axis=1) > 1e-6).sum() == pytest.approx(300 * focal / 2000, abs=4)


def test_clouds_have_the_density_and_sizes_asked_for():
    cloud = scatter(np.random.default_rng(0), (200, 200), 300.0, (1.0, 0.5, 6.0), 3.0)
    side = 240 / (1.05 * 200)
    expected = 300 * side**2 * (27 - 0.027) / 3
    assert len(cloud.x) == pytest.approx(expected, abs=5 * expected**0.5)
    assert cloud.diameter.min() >= 1
    assert cloud.diameter.mean() == pytest.approx(1.5, abs=0.03)
    assert cloud.distance.mean() == pytest.approx(3 * 3 / 4, abs=0.03)


def test_heavier_rain_and_snow_keep_the_lighter_ones_particles(shots):
    for name, field in (("rain", weather._rain), ("snow", weather._snow)):
        shot = shots(name)[0]
        lighter, heavier = field(shot, 2, "visible"), field(shot, 4, "visible")
        assert (heavier >= lighter - 1e-6).all()
        assert heavier.mean() > 1.5 * lighter.mean()


@pytest.mark.parametrize("level", LEVELS[1:])
def test_visible_noise_is_poisson_and_read_noise(level):
    electrons = sensor.NOISE_ELECTRONS[level - 1]
    light = np.full((300, 300), 0.5, np.float32)
    counts = sensor.photons(light, sensor.NOISE_ELECTRONS, level, np.random.default_rng(0))
    assert counts.mean() == pytest.approx(electrons / 2, rel=0.01)
    assert counts.var() == pytest.approx(electrons / 2 + 9, rel=0.02)


def test_fewer_photons_are_some_of_the_same():
    light = np.full((200, 200), 0.5, np.float32)
    many, few = (sensor.photons(light, (1000, 500), level, np.random.default_rng(0)) for level in (1, 2))
    # Thinned by half: the covariance is half the variance of the many, read noise is common.
    assert np.cov(many.ravel(), few.ravel())[0, 1] == pytest.approx(0.5 * 500 + 9, rel=0.05)


def test_infrared_noise_has_its_netd_and_a_column_pattern_of_the_camera():
    first = sensor.noise(flat(), 4, "infrared").astype(float) - 128
    columns = first.mean(axis=0)
    kelvin = 40 / 255
    assert (first - columns).std() * kelvin == pytest.approx(1.0, rel=0.03)
    assert columns.std() * kelvin == pytest.approx(0.5, rel=0.15)
    other = Shot(flat().visible, flat().infrared, "another", 0, "noise")
    second = sensor.noise(other, 4, "infrared").astype(float) - 128
    assert np.corrcoef(columns, second.mean(axis=0))[0, 1] > 0.95
    assert abs(np.corrcoef((first - columns).ravel(), (second - columns).ravel())[0, 1]) < 0.02


def test_bad_pixels_are_counted_nested_and_the_cameras():
    shot = flat(kind="hotpixel")
    bad = [sensor.hotpixel(shot, level, "infrared") != 128 for level in LEVELS[1:]]
    assert [mask.sum() for mask in bad] == [1, 4, 20, 80, 400]
    assert all((bigger | ~smaller).all() for smaller, bigger in pairwise(bad))
    assert sensor.hotpixel(shot, 1, "infrared").max() == 255
    worst = sensor.hotpixel(shot, 5, "infrared")
    assert ((worst == 255).sum(), (worst == 0).sum()) == (200, 200)
    other = Shot(shot.visible, shot.infrared, "another", 0, "hotpixel")
    assert np.array_equal(worst, sensor.hotpixel(other, 5, "infrared"))


def test_night_is_darker_by_its_stops():
    for level in (1, 3):
        dark = to_linear(KINDS["night"].effect(flat(200, kind="night"), level, "visible")).mean()
        assert np.log2(to_linear(np.uint8(200)) / dark) == pytest.approx(level, abs=0.03)


@pytest.mark.parametrize("level", LEVELS[1:])
def test_blur_makes_a_disc_of_its_radius(level):
    pixels = np.zeros((41, 41), np.float32)
    pixels[20, 20] = 1
    disc = sensor._defocused(pixels, level)
    radius = sensor.BLUR_RADIUS[level - 1]
    assert disc.sum() == pytest.approx(1, abs=1e-3)
    y, x = np.mgrid[-20:21, -20:21]
    inside = np.hypot(x, y) <= radius
    assert disc[inside].sum() > 0.9
    assert disc[inside].mean() == pytest.approx(1 / inside.sum(), rel=0.1)


def test_jpeg_is_pillows(shots):
    shot = shots("jpeg")[0]
    for level, quality in ((1, 70), (4, 10)):
        for pixels, made in (
            (shot.visible, KINDS["jpeg"].effect(shot, level, "visible")),
            (shot.infrared, KINDS["jpeg"].effect(shot, level, "infrared")),
        ):
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "jpeg", quality=quality, subsampling=2)
            reference = np.asarray(Image.open(buffer))
            assert np.abs(made.astype(int) - reference).mean() < 0.5


def test_the_page_tells_every_level():
    page = (Path(__file__).resolve().parents[2] / "docs" / "conditions.md").read_text()
    for name, kind in KINDS.items():
        for meaning in map(kind.meaning, LEVELS[1:]):
            assert meaning in page, f"docs/conditions.md does not tell of {name}: {meaning}"
