"""Haze, rain and snow in front of both cameras, in linear light and in apparent temperature."""

import cv2
import numpy as np

from fuse2task.data.degradation.depth import metres
from fuse2task.data.degradation.particles import Particles, opacity, scatter
from fuse2task.data.degradation.radiance import airlight, to_code, to_grey, to_linear
from fuse2task.data.degradation.shot import Shot

HAZE_VISIBILITY = (2000, 1000, 500, 250, 120)  # metres, meteorological visibility
RAIN_RATE = (5, 15, 40, 80, 150)  # millimetres an hour
SNOW_VISIBILITY = (2000, 1000, 500, 250, 125)  # metres
EXPOSURE = {"visible": 0.008, "infrared": 0.012}  # seconds; the second is a microbolometer's time constant

_KOSCHMIEDER = 3.912  # extinction times visibility at 2 % contrast
_FORWARD = 0.3  # share of scattered light that goes on nearly straight: the glow about lamps
_RAIN_DROPS = (1.0, 6.0)  # millimetres, diameters that are drawn one by one
_RAIN_REACH = 5.0  # metres to which they are
_FLAKES = (1.0, 1.5, 10.0)  # millimetres: least, mean excess, greatest diameter
_FLAKE_AREA = np.pi / 4 * 8.5e-6  # square metres, mean of these
_SNOW_REACH = 4.0


def haze_visible(shot: Shot, level: int) -> np.ndarray:
    """Atmospheric scattering, I = J t + A (1 - t) with t = exp(-beta d), beta = 3.912 / visibility.

    Koschmieder (1924); depth d from `depth.metres`, A from `radiance.airlight`. Three tenths of the
    scattered light are a blurred image instead of airlight.
    """
    return to_code(_veiled(shot.visible, _KOSCHMIEDER / HAZE_VISIBILITY[level - 1], metres(shot.visible, sky=True)))


def haze_infrared(shot: Shot, level: int) -> np.ndarray:
    """The same veil at 10 um, towards the temperature of the air.

    Extinction falls with wavelength as (0.55 / 10)^q, q by visibility after Kim et al. (Proc. SPIE 4214, 2001):
    thermal cameras see through haze, and no better than others through fog below 500 m.
    """
    visibility = HAZE_VISIBILITY[level - 1]
    beta = _KOSCHMIEDER / visibility * (0.55 / 10) ** kim_exponent(visibility / 1000)
    return _thermal(shot.infrared, np.exp(-beta * metres(shot.infrared, sky=False)))


def kim_exponent(visibility: float) -> float:
    """Exponent q of extinction over wavelength for a visibility in kilometres (Kim et al., 2001)."""
    if visibility > 50:
        return 1.6
    if visibility > 6:
        return 1.3
    if visibility > 1:
        return 0.16 * visibility + 0.34
    return max(visibility - 0.5, 0.0)


def rain_visible(shot: Shot, level: int) -> np.ndarray:
    """Streaks of the near drops, as bright as the airlight that they refract, and the veil of the far ones."""
    veiled = _veiled(shot.visible, rain_extinction(RAIN_RATE[level - 1]), metres(shot.visible, sky=True) - _RAIN_REACH)
    return _covered(veiled, shot.visible, _rain(shot, level, "visible"))


def rain_infrared(shot: Shot, level: int) -> np.ndarray:
    """Drops as warm as the air: the same extinction, as they are larger than either wavelength."""
    far = np.exp(-rain_extinction(RAIN_RATE[level - 1]) * np.maximum(metres(shot.infrared, sky=False) - _RAIN_REACH, 0))
    return _thermal(shot.infrared, far * (1 - _rain(shot, level, "infrared")))


def rain_extinction(rate: float) -> float:
    """1/m for a rain rate in mm/h: 1.076 R^0.67 dB/km (ITU-R P.1814, after Carbonneau & Wisely 1998)."""
    return 1.076 * rate**0.67 / 4343


def snow_visible(shot: Shot, level: int) -> np.ndarray:
    """Flakes of 1 to 10 mm, near ones large and out of focus, and the veil of the far ones."""
    beta = _KOSCHMIEDER / SNOW_VISIBILITY[level - 1]
    veiled = _veiled(shot.visible, beta, metres(shot.visible, sky=True) - _SNOW_REACH)
    return _covered(veiled, shot.visible, _snow(shot, level, "visible"))


def snow_infrared(shot: Shot, level: int) -> np.ndarray:
    """Flakes as cold as the air, which are as opaque at 10 um as in daylight."""
    beta = _KOSCHMIEDER / SNOW_VISIBILITY[level - 1]
    far = np.exp(-beta * np.maximum(metres(shot.infrared, sky=False) - _SNOW_REACH, 0))
    return _thermal(shot.infrared, far * (1 - _snow(shot, level, "infrared")))


def _veiled(visible: np.ndarray, beta: float, distance: np.ndarray) -> np.ndarray:
    """Linear light behind a scattering medium."""
    light = to_linear(visible)
    through = np.exp(-beta * np.maximum(distance, 0))
    glow = cv2.GaussianBlur(light, (0, 0), 0.03 * min(light.shape[:2]))
    scattered = (1 - _FORWARD) * airlight(light) + _FORWARD * glow
    if light.ndim == 3:
        through = through[..., None]
    return light * through + scattered * (1 - through)


def _covered(light: np.ndarray, visible: np.ndarray, cover: np.ndarray) -> np.ndarray:
    if light.ndim == 3:
        cover = cover[..., None]
    return to_code(light * (1 - cover) + airlight(to_linear(visible)) * cover)


def _thermal(infrared: np.ndarray, through: np.ndarray) -> np.ndarray:
    # Air is taken to be as warm as the middle of what the camera sees.
    air = float(np.median(infrared))
    return to_grey(air + (infrared.astype(np.float32) - air) * through)


def _rain(shot: Shot, level: int, camera: str) -> np.ndarray:
    """Opacity of the near drops: Marshall & Palmer (1948) sizes, N(D) = 8000 exp(-4.1 R^-0.21 D) /m3/mm."""
    rng = shot.random(camera)
    size = (shot.infrared.shape[1], shot.infrared.shape[0])
    heaviest, slope = _marshall_palmer(RAIN_RATE[-1]), _marshall_palmer(RAIN_RATE[level - 1])
    least, greatest = _RAIN_DROPS
    density = 8000 / heaviest * (np.exp(-heaviest * least) - np.exp(-heaviest * greatest))
    drops = scatter(rng, size, density, (least, 1 / heaviest, greatest), _RAIN_REACH)
    wind = rng.normal(0, 1.5)
    drops = drops.kept(np.exp((heaviest - slope) * drops.diameter))
    fall = 9.65 - 10.3 * np.exp(-0.6 * drops.diameter)  # m/s by millimetres (Atlas, Srivastava & Sekhon 1973)
    path = np.stack([np.full_like(fall, wind), fall], axis=1) * (1000 * EXPOSURE[camera])
    return opacity(drops, path, size)


def _marshall_palmer(rate: float) -> float:
    return 4.1 * rate**-0.21


def _snow(shot: Shot, level: int, camera: str) -> np.ndarray:
    """Opacity of the near flakes, of which there are as many as the visibility asks for."""
    rng = shot.random(camera)
    size = (shot.infrared.shape[1], shot.infrared.shape[0])
    density = _KOSCHMIEDER / SNOW_VISIBILITY[-1] / _FLAKE_AREA
    flakes: Particles = scatter(rng, size, density, _FLAKES, _SNOW_REACH)
    wind = np.array([rng.normal(0, 1.5), 1.0], np.float32)  # m/s; flakes fall at 1
    eddies = rng.normal(0, 0.4, (len(flakes.x), 2)).astype(np.float32)
    share = SNOW_VISIBILITY[-1] / SNOW_VISIBILITY[level - 1]
    path = (wind + eddies)[flakes.rank < share] * (1000 * EXPOSURE[camera])
    return opacity(flakes.kept(share), path, size)
