"""The kinds of degradation: what changes which image, and what each level means."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fuse2task.data.degradation import geometry, sensor, weather
from fuse2task.data.degradation.sensor import Shot
from fuse2task.runtime.errors import RequestError

LEVELS = (0, 1, 2, 3, 4, 5)  # 0 is the source as it is

Effect = Callable[[Shot, int], np.ndarray]


@dataclass(frozen=True)
class Kind:
    """One kind. visible, infrared: what makes the degraded image; None leaves that image alone.

    meaning: of levels 1 to 5, in words and numbers.
    """

    visible: Effect | None
    infrared: Effect | None
    meaning: tuple[str, ...]

    def changes(self) -> tuple[str, ...]:
        """The modalities that it changes."""
        effects = (("visible", self.visible), ("infrared", self.infrared))
        return tuple(name for name, effect in effects if effect is not None)


def _lines(form: str, *columns: Sequence[object]) -> tuple[str, ...]:
    return tuple(form.format(*values) for values in zip(*columns, strict=True))


_KELVIN = [f"{value:g}" for value in sensor.NOISE_NETD]
_HAZE = [
    f"{(0.55 / 10) ** weather.kim_exponent(visibility / 1000):.2f}" for visibility in weather.HAZE_VISIBILITY
]  # fmt: skip
_RAIN = [f"{weather.rain_extinction(rate) * 1000:.1f}" for rate in weather.RAIN_RATE]
_BAD = ["1 hot pixel", *(f"{100 * share:g} % of the pixels, half of them hot (255), half dead (0)"
                         for share in sensor.BAD_PIXELS[1:])]  # fmt: skip

KINDS: dict[str, Kind] = {
    "rain": Kind(
        weather.rain_visible, weather.rain_infrared,
        _lines("{} mm/h, extinction {}/km", weather.RAIN_RATE, _RAIN),
    ),
    "snow": Kind(
        weather.snow_visible, weather.snow_infrared,
        _lines("meteorological visibility {} m, in both bands", weather.SNOW_VISIBILITY),
    ),
    "haze": Kind(
        weather.haze_visible, weather.haze_infrared,
        _lines("meteorological visibility {} m; infrared extinction {} of the visible one",
               weather.HAZE_VISIBILITY, _HAZE),
    ),
    "night": Kind(
        sensor.night_visible, None,
        _lines(f"{{:g}} stops darker, white gives {{}} photoelectrons, read noise {sensor.READ_NOISE:g} rms",
               sensor.NIGHT_STOPS, sensor.NIGHT_ELECTRONS),
    ),
    "noise": Kind(
        sensor.noise_visible, sensor.noise_infrared,
        _lines(f"visible: white gives {{}} photoelectrons, read noise {sensor.READ_NOISE:g} rms; infrared: NETD {{}} K"
               f" at {sensor.KELVIN_SPAN:g} K for 0 to 255, columns {sensor.COLUMN_SHARE:g} of it",
               sensor.NOISE_ELECTRONS, _KELVIN),
    ),
    "blur": Kind(
        sensor.blur_visible, sensor.blur_infrared,
        _lines("defocus, circle of confusion of {} px radius", sensor.BLUR_RADIUS),
    ),
    "misalign": Kind(
        geometry.misalign_visible, geometry.misalign_infrared,
        _lines("one image shifted by {:g} px and turned by {:g} degrees", geometry.SHIFT, geometry.TURN),
    ),
    "hotpixel": Kind(None, sensor.hotpixel_infrared, tuple(_BAD)),
    "jpeg": Kind(
        sensor.jpeg_visible, sensor.jpeg_infrared,
        _lines("JPEG quality {}, chroma 4:2:0", sensor.JPEG_QUALITY),
    ),
}  # fmt: skip


def kind_of(name: str, level: int) -> Kind:
    """The kind of that name.

    Raises:
        RequestError: there is none of that name, or no such level.
    """
    if name not in KINDS:
        raise RequestError(f"unknown kind {name!r}; known are {', '.join(KINDS)}")
    if level not in LEVELS:
        raise RequestError(f"level {level}: levels are 0 (as it is) to {LEVELS[-1]} (worst)")
    return KINDS[name]
