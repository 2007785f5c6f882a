"""Parts of the renderer against numbers worked out by hand: perspective, occlusion, the two sensors."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuse2task.data.synthetic.canvas import Canvas, Item, View
from fuse2task.data.synthetic.objects import Material, bar, disc, rectangle, tinted
from fuse2task.data.synthetic.scene import backdrop
from fuse2task.data.synthetic.sensors import Weather, infrared_image, visible_image

GREY = Material((0.18, 0.18, 0.18), emissivity=1.0, solar=0.0)
DAY = Weather(night=False, daylight=(1, 1, 1), air=20, sky=-10, sun=10, lamps=(), shadow=0.5)
NIGHT = replace(DAY, night=True, daylight=(0, 0, 0))
FLAT_TEXTURE = np.zeros((200, 200), np.float32)


def upright(name: str | None, distance: float, left: float, top: float, right: float, bottom: float) -> Item:
    return Item(name, distance, 0.0, [(rectangle(left, top, right, bottom), GREY)])


def filled(material: Material, distance: float = 1e6) -> Canvas:
    """A canvas that shows nothing but one surface."""
    canvas = Canvas(View.of((200, 200)))
    canvas.paint(Item(None, distance, 0.0, [(rectangle(-1, -1, 201, 201), material)]))
    return canvas


def seen(material: Material, weather: Weather, distance: float = 1e6) -> np.ndarray:
    return visible_image(filled(material, distance), weather, FLAT_TEXTURE, np.random.default_rng(0))


def felt(material: Material, weather: Weather) -> np.ndarray:
    return infrared_image(filled(material), weather, FLAT_TEXTURE, np.random.default_rng(0)).astype(float)


def test_perspective_is_a_pinhole():
    view = View.of((320, 256))
    near, far = (view.upright(rectangle(-1, 0, 1, 2), 0.0, z) for z in (5.0, 10.0))
    assert np.ptp(near, axis=0) == pytest.approx(2 * np.ptp(far, axis=0))
    assert np.ptp(far, axis=0) == pytest.approx([0.2 * view.focal] * 2)
    assert far[:, 1].min() == pytest.approx(view.horizon)  # 2 m high, as the camera is


@given(x=st.floats(-20, 20), ahead=st.floats(3, 100))
def test_road_points_go_to_pixels_and_back(x, ahead):
    view = View.of((321, 257))
    column, row = view.flat(np.array([[x, ahead]]))[0]
    assert np.allclose(view.road_at(np.array(row), np.array(column)), (x, ahead), rtol=1e-9, atol=1e-9)
    foot = view.upright(np.array([[0.0, 0.0]]), x, ahead)[0]
    assert np.allclose(foot, (column, row))


def test_shapes_have_the_areas_of_their_formulas():
    def area(outline: np.ndarray) -> float:
        x, y = outline.T
        return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2

    assert area(rectangle(1, 2, 4, 6)) == pytest.approx(12)
    assert area(disc(3, 4, 2)) == pytest.approx(8 * 4 * np.sin(np.pi / 8))  # regular polygon with 16 corners
    assert area(bar((0, 0), (3, 4), 0.5)) == pytest.approx(2.5)


def test_near_objects_hide_far_ones_and_boxes_are_what_is_left():
    canvas = Canvas(View.of((200, 200)))
    assert canvas.paint(upright("near", 5, 50, 50, 99, 99))
    assert canvas.paint(upright("far", 9, 80, 50, 149, 99))  # 30 % hidden
    near, far = canvas.boxes
    assert (near.x, near.y, near.w, near.h) == (50, 50, 50, 50)
    assert (far.x, far.y, far.w, far.h) == (100, 50, 50, 50)
    assert (canvas.instances == 1).sum() == (canvas.instances == 2).sum() == 2500


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ((60, 50, 109, 99), "more than half hidden"),
        ((-60, 0, 20, 40), "more than half out of the picture"),
        ((120, 120, 127, 127), "too small"),
        ((300, 300, 350, 350), "out of the picture"),
    ],
)
def test_objects_that_show_too_little_are_neither_painted_nor_labelled(box, why):
    canvas = Canvas(View.of((200, 200)))
    canvas.paint(upright("near", 5, 50, 50, 99, 99))
    before = canvas.surface.copy(), len(canvas.materials)
    assert not canvas.paint(upright("far", 9, *box)), why
    assert len(canvas.boxes) == 1
    assert np.array_equal(canvas.surface, before[0])
    assert len(canvas.materials) == before[1]


def test_scenery_hides_but_is_not_labelled():
    canvas = Canvas(View.of((200, 200)))
    canvas.paint(upright(None, 5, 50, 50, 59, 99))
    canvas.paint(upright("far", 9, 40, 50, 89, 99))
    assert canvas.instances[:, 50:60].max() == 0
    assert (canvas.boxes[0].x, canvas.boxes[0].w) == (40, 50)


@pytest.mark.parametrize(("linear", "level"), [(0.18, 117.7), (0.2140, 127.5), (0.5, 187.5), (0.0031308, 10.3)])
def test_visible_levels_follow_srgb(linear, level):
    """IEC 61966-2-1: 18 % grey is level 117.7 of 255, half level is 21.4 % grey, the toe ends at 0.04045."""
    image = seen(Material((linear,) * 3), DAY)
    assert image.mean() == pytest.approx(level, abs=1.0)


def test_light_is_reflectance_times_irradiance():
    half_light = replace(DAY, daylight=(0.5, 0.5, 0.5))
    assert seen(Material((0.8,) * 3), half_light).mean() == pytest.approx(
        seen(Material((0.4,) * 3), DAY).mean(), abs=0.5
    )


def test_shot_noise_grows_with_the_root_of_the_light():
    """Linear noise at full well 9000 is sqrt(0.5 / 9000); in levels, times the slope of sRGB at 0.5."""
    image = seen(Material((0.5,) * 3), DAY).astype(float)
    slope = 255 * 1.055 / 2.4 * 0.5 ** (1 / 2.4 - 1)
    # The lens blur comes before the noise, so neighbouring pixels are independent.
    assert image[..., 0].std() == pytest.approx(np.hypot(slope * np.sqrt(0.5 / 9000 + 1e-6), 12**-0.5), rel=0.05)
    assert abs(np.corrcoef(image[:, :-1, 0].ravel(), image[:, 1:, 0].ravel())[0, 1]) < 0.02


def test_lamps_shine_at_night_alone():
    lamp = replace(GREY, emission=(2.0, 2.0, 2.0))
    assert seen(lamp, NIGHT).min() == 255
    assert seen(lamp, DAY).mean() == pytest.approx(seen(GREY, DAY).mean(), abs=0.1)
    assert seen(GREY, NIGHT).mean() < 5


def test_headlights_come_back_from_reflecting_surfaces():
    sheeting = replace(GREY, retro=22.0)
    assert seen(sheeting, NIGHT, distance=8.0).mean() > 100 > 40 > seen(GREY, NIGHT, distance=8.0).mean()
    assert seen(sheeting, NIGHT, distance=16.0).mean() < seen(sheeting, NIGHT, distance=8.0).mean()


def test_a_street_lamp_lights_what_stands_near_it():
    lit = replace(NIGHT, lamps=((0.0, 12.0, 4.0),))
    near, far = (seen(GREY, lit, distance).mean() for distance in (12.0, 40.0))
    assert near > 3 * far


def test_infrared_is_linear_in_temperature():
    """30 K over 255 levels at night, 38 K by day."""
    for weather, span in ((NIGHT, 30.0), (DAY, 38.0)):
        levels = [felt(replace(GREY, heat=heat), weather).mean() for heat in (0.0, 5.0, 10.0)]
        assert np.diff(levels) == pytest.approx([5 * 255 / span] * 2, abs=0.6)


def test_apparent_temperature_mixes_own_and_sky_by_emissivity():
    """Sky 6 K below air and a surface 10 K above it: emissivity 0.75 shows 0.75 * 10 - 0.25 * 6 = 6 K."""
    weather = replace(NIGHT, sky=14.0)
    mixed = felt(replace(GREY, heat=10.0, emissivity=0.75), weather).mean()
    assert mixed == pytest.approx(felt(replace(GREY, heat=6.0), weather).mean(), abs=0.6)


def test_skin_and_sun_warm_what_they_should():
    """Skin is at 33 degrees whatever the air; a black surface is `sun` above air."""
    skin = [felt(replace(GREY, skin=1.0), replace(NIGHT, air=air)).mean() for air in (13.0, 18.0)]
    assert skin[0] - skin[1] == pytest.approx(5 * 255 / 30, abs=0.6)  # levels count from air
    sunny, warm = felt(replace(GREY, solar=1.0), DAY).mean(), felt(replace(GREY, heat=10.0), DAY).mean()
    assert sunny == pytest.approx(warm, abs=0.2)


def test_infrared_noise_is_that_of_an_uncooled_sensor():
    """0.18 K read noise and a 0.1 K column pattern, at 8.5 levels a kelvin."""
    image = felt(GREY, NIGHT)
    columns = image.mean(axis=0)
    assert columns.std() == pytest.approx(0.1 * 8.5, rel=0.2)
    assert (image - columns).std() == pytest.approx(np.hypot(0.18 * 8.5, 12**-0.5), rel=0.05)


def test_tinted_colours_stay_in_range():
    assert tinted((0.2, 0.4, 0.9), 1.5) == pytest.approx((0.3, 0.6, 1.0))


def test_things_beside_the_picture_are_left_out():
    canvas = Canvas(View.of((200, 200)))
    for box in ((-90, 50, -50, 99), (250, 50, 290, 99), (50, -90, 99, -50), (50, 250, 99, 290)):
        canvas.paint(upright(None, 5, *box))
    assert canvas.surface.max() == -1


@given(width=st.integers(64, 300), height=st.integers(64, 300), seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_the_backdrop_leaves_no_pixel_empty(width, height, seed):
    view = View.of((width, height))
    canvas = Canvas(view)
    for item in sorted(backdrop(view, np.random.default_rng(seed)), key=lambda item: (item.flat, item.distance)):
        canvas.paint(item)
    assert canvas.surface.min() >= 0
    assert canvas.instances.max() == 0
