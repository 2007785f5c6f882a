"""Haze, rain and snow: veils by estimated depth, drops and flakes, in both bands."""

from dataclasses import dataclass

import cv2
import numpy as np

from fuse2task.data.degradation.sensor import Camera, Shot, airlight, to_code, to_grey, to_linear
from fuse2task.data.images import luma
from fuse2task.data.synthetic.canvas import View

FARTHEST = 100.0  # metres, of what stands on the ground
SKY = 3000.0  # metres
_SMOOTH = 6.0  # grey levels of gradient below which sky is smooth
NEAREST = 0.3  # metres; what is nearer would be on the window
APERTURE = 3.0  # millimetres, of a lens focused far away: blurs what is near
_WIDTHS = (0.35, 0.7, 1.4, 2.8, 5.6, 11.2)  # limits of the classes of Gaussian blur, pixels
HAZE_VISIBILITY = (2000, 1000, 500, 250, 120)  # metres, meteorological visibility
RAIN_RATE = (5, 15, 40, 80, 150)  # millimetres an hour
SNOW_VISIBILITY = (2000, 1000, 500, 250, 125)  # metres
EXPOSURE = {"visible": 0.008, "infrared": 0.012}  # seconds; the second is a microbolometer's time constant
_KOSCHMIEDER = 3.912  # extinction times visibility at 2 % contrast
_FORWARD = 0.3  # share of scattered light that keeps nearly its direction: the glow about lamps
_RAIN_DROPS = (1.0, 6.0)  # millimetres, diameters that are drawn one by one
_RAIN_REACH = 5.0  # metres to which they are
_FLAKES = (1.0, 1.5, 10.0)  # millimetres: least, mean excess, greatest diameter
_FLAKE_AREA = np.pi / 4 * 8.5e-6  # square metres, mean of these
_SNOW_REACH = 4.0
_NO_COVER = np.zeros((1, 1), np.float32)


def metres(image: np.ndarray, sky: bool) -> np.ndarray:
    """Distance in metres: (H, W) float32, of an image (H, W, 3) RGB or (H, W), uint8, as no data set has depth.

    A pinhole camera 2 m above a flat road, its horizon at half height, gives each row its distance, `FARTHEST` at most
    and above the horizon. With `sky`, what is smooth, brighter than the image's mean and connected with the upper
    border is sky. The logarithm of these is fitted to the luma by a guided filter (He, Sun & Tang, TPAMI 2013), so that
    depth changes where the image does. The other image of a pair has no say: its edges would show in the veil. An
    object that stands up gets more metres at its head than at its feet.
    """
    grey = luma(image)
    height, width = grey.shape
    view = View(width, height, View.of((width, height)).focal, 0.5 * height)
    _, ahead = view.road_at(np.arange(height, dtype=np.float32)[:, None], np.zeros((1, 1), np.float32))
    rows = np.where(np.arange(height) > view.horizon, np.minimum(ahead[:, 0], FARTHEST), FARTHEST)
    distance = np.repeat(rows[:, None], width, axis=1)
    if sky:
        distance[_sky(grey, int(view.horizon))] = SKY
    guide = cv2.GaussianBlur(grey, (0, 0), 0.8).astype(np.float32) / 255
    fitted = np.exp(_guided(guide, np.log(distance).astype(np.float32), max(view.unit // 30, 2), 1e-3))
    return np.clip(fitted, rows.min(), SKY).astype(np.float32)


def _sky(grey: np.ndarray, horizon: int) -> np.ndarray:
    """(H, W) bool."""
    pixels = cv2.GaussianBlur(grey, (0, 0), 1.5).astype(np.float32)
    slope = np.hypot(cv2.Sobel(pixels, cv2.CV_32F, 1, 0), cv2.Sobel(pixels, cv2.CV_32F, 0, 1)) / 4
    candidate = (slope < _SMOOTH) & (grey > grey.mean())
    candidate[horizon:] = False
    _, labels = cv2.connectedComponents(candidate.astype(np.uint8))
    at_border = np.unique(labels[0])
    return np.isin(labels, at_border[at_border > 0])


def _guided(guide: np.ndarray, values: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    def mean(image: np.ndarray) -> np.ndarray:
        return cv2.blur(image, (2 * radius + 1, 2 * radius + 1))

    guide_mean, value_mean = mean(guide), mean(values)
    slope = (mean(guide * values) - guide_mean * value_mean) / (mean(guide * guide) - guide_mean**2 + epsilon)
    return mean(slope) * guide + mean(value_mean - slope * guide_mean)


@dataclass(frozen=True)
class Particles:
    """N particles, each field (N,) float32.

    x, y: pixels in the image or a little outside. distance: metres. diameter: millimetres.
    rank: [0, 1), uniform; a thinner cloud keeps the lower ranks.
    """

    x: np.ndarray
    y: np.ndarray
    distance: np.ndarray
    diameter: np.ndarray
    rank: np.ndarray

    def kept(self, share: np.ndarray | float) -> "Particles":
        """Those whose rank is below `share`: a cloud that is thinner, of the same particles."""
        chosen = self.rank < share
        return Particles(*(values[chosen] for values in vars(self).values()))


def scatter(
    rng: np.random.Generator, size: tuple[int, int], per_cubic_metre: float, diameters: tuple[float, float, float],
    farthest: float,
) -> Particles:  # fmt: skip
    """A Poisson cloud in the view of a camera with images of `size` (width, height), from 0.3 m to `farthest` metres.

    diameters: least, mean excess over it, and greatest, in millimetres, of an exponential distribution.
    """
    view = View.of(size)
    margin = 0.1 * view.unit
    span = (size[0] + 2 * margin) * (size[1] + 2 * margin)
    cubes = farthest**3 - NEAREST**3
    count = rng.poisson(per_cubic_metre * span / view.focal**2 * cubes / 3)
    uniform = rng.random((5, count), dtype=np.float32)
    least, excess, greatest = diameters
    beyond = 1 - np.exp(-(greatest - least) / excess)
    x, y = (uniform[axis] * (side + 2 * margin) - margin for axis, side in enumerate(size))
    diameter = least - excess * np.log1p(-uniform[3] * beyond)
    return Particles(x, y, np.cbrt(NEAREST**3 + uniform[2] * cubes), diameter, uniform[4])


def opacity(particles: Particles, path: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Share of each pixel's light that the particles take during the exposure: (H, W) float32 in [0, 1).

    A particle's disc is smeared along its way, so that a faster one is longer and fainter, and blurred by its
    own width and by the aperture. Shares of several add up as opacities do, 1 - exp(-sum).
    path: (N, 2) millimetres (right, down) that each moves during the exposure. size: (width, height) of the image.
    """
    scale = View.of(size).focal / (1000 * particles.distance)  # pixels a millimetre
    disc = particles.diameter * scale
    sigma = np.hypot(particles.diameter, APERTURE) * scale / 4
    classes = np.digitize(sigma, _WIDTHS)
    total = np.zeros(size[::-1], np.float32)
    for number in np.unique(classes):
        chosen = classes == number
        way, area = path[chosen] * scale[chosen, None], np.pi / 4 * disc[chosen] ** 2
        layer = _drawn(particles.x[chosen], particles.y[chosen], way, area, size)
        total += cv2.GaussianBlur(layer, (0, 0), _WIDTHS[number - 1] * 2**0.5) if number else layer
    return 1 - np.exp(-total)


def _drawn(x: np.ndarray, y: np.ndarray, path: np.ndarray, area: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Lines of total weight `area` (square pixels), with bilinear weights: (H, W) float32."""
    width, height = size
    counts = np.ceil(np.hypot(path[:, 0], path[:, 1])).astype(np.int64) + 1
    owner = np.repeat(np.arange(len(x)), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    along = (place + 0.5) / counts[owner] - 0.5
    px, py = x[owner] + along * path[owner, 0], y[owner] + along * path[owner, 1]
    left, top = np.floor(px).astype(np.int64), np.floor(py).astype(np.int64)
    fx, fy, weight = px - left, py - top, (area / counts)[owner]
    layer = np.zeros(width * height)
    for dx, dy, share in ((0, 0, (1 - fx) * (1 - fy)), (1, 0, fx * (1 - fy)), (0, 1, (1 - fx) * fy), (1, 1, fx * fy)):
        column, row = left + dx, top + dy
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        index = row[inside] * width + column[inside]
        layer += np.bincount(index, weights=(weight * share)[inside], minlength=width * height)
    return layer.reshape(height, width).astype(np.float32)


def haze(shot: Shot, level: int, camera: Camera) -> np.ndarray:
    """Atmospheric scattering, I = J t + A (1 - t) with t = exp(-beta d), beta = 3.912 / visibility (Koschmieder, 1924).

    Depth d from `metres`. Visible: A from `airlight`; three tenths of the scattered light are a blurred image instead.
    Infrared: the same veil at 10 um, towards the temperature of the air; its extinction is lower by `haze_share`.
    """
    visibility = HAZE_VISIBILITY[level - 1]
    beta = _KOSCHMIEDER / visibility
    return _veiled(shot, camera, beta if camera == "visible" else beta * haze_share(visibility))


def haze_share(visibility: float) -> float:
    """Extinction of haze at 10 um over that of visible light, for a visibility in metres.

    It falls with wavelength as (0.55 / 10)^q, q by visibility after Kim et al. (Proc. SPIE 4214, 2001): thermal
    cameras see through haze, and no better than others through fog below 500 m.
    """
    return (0.55 / 10) ** kim_exponent(visibility / 1000)


def kim_exponent(visibility: float) -> float:
    """Exponent q of extinction over wavelength for a visibility in kilometres (Kim et al., 2001)."""
    if visibility > 6:
        return 1.6 if visibility > 50 else 1.3
    return 0.16 * visibility + 0.34 if visibility > 1 else max(visibility - 0.5, 0.0)


def rain(shot: Shot, level: int, camera: Camera) -> np.ndarray:
    """Streaks of the near drops and the veil of the far ones.

    Visible: as bright as the airlight that they refract. Infrared: as warm as the air, and of the same extinction, as
    drops are larger than either wavelength.
    """
    return _veiled(shot, camera, rain_extinction(RAIN_RATE[level - 1]), _RAIN_REACH, _rain(shot, level, camera))


def rain_extinction(rate: float) -> float:
    """1/m for a rain rate in mm/h: 1.076 R^0.67 dB/km (ITU-R P.1814, after Carbonneau & Wisely 1998)."""
    return 1.076 * rate**0.67 / 4343


def snow(shot: Shot, level: int, camera: Camera) -> np.ndarray:
    """Flakes of 1 to 10 mm, near ones large and out of focus, and the veil of the far ones.

    They are as cold as the air, and as opaque at 10 um as in daylight.
    """
    return _veiled(shot, camera, _KOSCHMIEDER / SNOW_VISIBILITY[level - 1], _SNOW_REACH, _snow(shot, level, camera))


def _veiled(shot: Shot, camera: Camera, beta: float, reach: float = 0.0, cover: np.ndarray = _NO_COVER) -> np.ndarray:
    """The image behind a scattering medium from `reach` metres on, under particles of opacity `cover` before it."""
    pixels = shot.image(camera)
    through = np.exp(-beta * np.maximum(metres(pixels, sky=camera == "visible") - reach, 0))
    if camera == "infrared":
        air = float(np.median(pixels))  # as warm as the median of the image
        return to_grey(air + (pixels.astype(np.float32) - air) * (through * (1 - cover)))
    light = to_linear(pixels)
    if light.ndim == 3:
        through, cover = through[..., None], cover[..., None]
    glow, air_light = cv2.GaussianBlur(light, (0, 0), 0.03 * min(light.shape[:2])), airlight(light)
    scattered = (1 - _FORWARD) * air_light + _FORWARD * glow
    return to_code((light * through + scattered * (1 - through)) * (1 - cover) + air_light * cover)


def _rain(shot: Shot, level: int, camera: Camera) -> np.ndarray:
    """Opacity of the near drops: Marshall & Palmer (1948) sizes, N(D) = 8000 exp(-4.1 R^-0.21 D) /m3/mm."""
    rng = shot.random(camera)
    size = shot.infrared.shape[::-1]
    heaviest, slope = (4.1 * rate**-0.21 for rate in (RAIN_RATE[-1], RAIN_RATE[level - 1]))
    least, greatest = _RAIN_DROPS
    density = 8000 / heaviest * (np.exp(-heaviest * least) - np.exp(-heaviest * greatest))
    drops = scatter(rng, size, density, (least, 1 / heaviest, greatest), _RAIN_REACH)
    wind = rng.normal(0, 1.5)
    drops = drops.kept(np.exp((heaviest - slope) * drops.diameter))
    fall = 9.65 - 10.3 * np.exp(-0.6 * drops.diameter)  # m/s by millimetres (Atlas, Srivastava & Sekhon 1973)
    path = np.stack([np.full_like(fall, wind), fall], axis=1) * (1000 * EXPOSURE[camera])
    return opacity(drops, path, size)


def _snow(shot: Shot, level: int, camera: Camera) -> np.ndarray:
    """Opacity of the near flakes, of which there are as many as the visibility asks for."""
    rng = shot.random(camera)
    size = shot.infrared.shape[::-1]
    density = _KOSCHMIEDER / SNOW_VISIBILITY[-1] / _FLAKE_AREA
    flakes: Particles = scatter(rng, size, density, _FLAKES, _SNOW_REACH)
    wind = np.array([rng.normal(0, 1.5), 1.0], np.float32)  # m/s; flakes fall at 1
    eddies = rng.normal(0, 0.4, (len(flakes.x), 2)).astype(np.float32)
    share = SNOW_VISIBILITY[-1] / SNOW_VISIBILITY[level - 1]
    path = (wind + eddies)[flakes.rank < share] * (1000 * EXPOSURE[camera])
    return opacity(flakes.kept(share), path, size)
