"""The kinds of degradation: what changes which image, and what each level means."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fuse2task.data.degradation import geometry, sensor, weather
from fuse2task.data.degradation.sensor import Camera, Shot

LEVELS = (0, 1, 2, 3, 4, 5)  # 0 is the source as it is


@dataclass(frozen=True)
class Kind:
    """One kind.

    effect: the degraded image of a camera at a level from 1 to 5. meaning: of such a level, in words and numbers.
    changes: the cameras that it has an effect for; it leaves another's image alone.
    """

    effect: Callable[[Shot, int, Camera], np.ndarray]
    meaning: Callable[[int], str]
    changes: tuple[Camera, ...] = ("visible", "infrared")


KINDS: dict[str, Kind] = {
    "rain": Kind(weather.rain, lambda level: (
        f"{weather.RAIN_RATE[level - 1]} mm/h, "
        f"extinction {weather.rain_extinction(weather.RAIN_RATE[level - 1]) * 1000:.1f}/km"
    )),
    "snow": Kind(weather.snow, lambda level: (
        f"meteorological visibility {weather.SNOW_VISIBILITY[level - 1]} m, in both bands"
    )),
    "haze": Kind(weather.haze, lambda level: (
        f"meteorological visibility {weather.HAZE_VISIBILITY[level - 1]} m; "
        f"infrared extinction {weather.haze_share(weather.HAZE_VISIBILITY[level - 1]):.2f} of the visible one"
    )),
    "night": Kind(sensor.night, lambda level: (
        f"{sensor.NIGHT_STOPS[level - 1]:g} stops darker, white gives {sensor.NIGHT_ELECTRONS[level - 1]} "
        f"photoelectrons, read noise {sensor.READ_NOISE:g} rms"
    ), changes=("visible",)),
    "noise": Kind(sensor.noise, lambda level: (
        f"visible: white gives {sensor.NOISE_ELECTRONS[level - 1]} photoelectrons, read noise {sensor.READ_NOISE:g} "
        f"rms; infrared: NETD {sensor.NOISE_NETD[level - 1]:g} K at {sensor.KELVIN_SPAN:g} K for 0 to 255, "
        f"columns {sensor.COLUMN_SHARE:g} of it"
    )),
    "blur": Kind(sensor.blur, lambda level: (
        f"defocus, circle of confusion of {sensor.BLUR_RADIUS[level - 1]} px radius"
    )),
    "misalign": Kind(geometry.misalign, lambda level: (
        f"one image shifted by {geometry.SHIFT[level - 1]:g} px and turned by {geometry.TURN[level - 1]:g} degrees"
    )),
    "hotpixel": Kind(sensor.hotpixel, lambda level: (
        "1 hot pixel" if level == 1 else
        f"{100 * sensor.BAD_PIXELS[level - 1]:g} % of the pixels, half of them hot (255), half dead (0)"
    ), changes=("infrared",)),
    "jpeg": Kind(sensor.jpeg, lambda level: f"JPEG quality {sensor.JPEG_QUALITY[level - 1]}, chroma 4:2:0"),
}  # fmt: skip
