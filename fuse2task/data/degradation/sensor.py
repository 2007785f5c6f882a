"""Camera degradations in linear light: low light, noise, bad pixels, defocus, JPEG."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np

from fuse2task.runtime.compute import generator

Camera = Literal["visible", "infrared"]
_CODES = np.arange(256) / 255
_TO_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)
_STEPS = 1 << 14  # fine enough that no level shifts by half a code
_LEVELS = np.arange(_STEPS + 1) / _STEPS
_CODED = np.where(_LEVELS <= 0.0031308, 12.92 * _LEVELS, 1.055 * _LEVELS ** (1 / 2.4) - 0.055)
_TO_CODE = np.rint(255 * _CODED).astype(np.uint8)
_MEAN_REFLECTANCE = 0.35  # of what stands about a road, relative to the light that the air scatters
NOISE_ELECTRONS = (5000, 1500, 500, 150, 50)  # photoelectrons of white
READ_NOISE = 3.0  # electrons rms
NOISE_NETD = (0.1, 0.25, 0.5, 1.0, 2.0)  # kelvin rms, temporal
COLUMN_SHARE = 0.5  # fixed column pattern, rms over temporal rms
KELVIN_SPAN = 40.0  # taken for the range that 0 to 255 stand for
BAD_PIXELS = (0, 1e-4, 5e-4, 2e-3, 1e-2)  # share of all; level 1 is a single hot pixel
NIGHT_STOPS = (1.0, 2.0, 3.0, 4.0, 5.0)  # exposure values by which the image is darker
NIGHT_ELECTRONS = (4000, 1200, 400, 120, 40)  # photoelectrons of a white surface
BLUR_RADIUS = (1, 2, 3, 5, 8)  # pixels, of the circle of confusion
JPEG_QUALITY = (70, 40, 20, 10, 5)  # of libjpeg, chroma halved in both directions


def to_linear(pixels: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1], float32, of sRGB coded uint8 (IEC 61966-2-1)."""
    return _TO_LINEAR[pixels]


def to_code(light: np.ndarray) -> np.ndarray:
    """sRGB coded uint8 of linear light; what is outside [0, 1] is clipped."""
    return _TO_CODE[(np.clip(light, 0, 1) * _STEPS + 0.5).astype(np.int32)]


def to_grey(level: np.ndarray) -> np.ndarray:
    """uint8 of float grey levels in [0, 255], rounded and clipped; an infrared image is linear as it is."""
    return np.rint(np.clip(level, 0, 255)).astype(np.uint8)


def airlight(light: np.ndarray) -> np.ndarray:
    """Light that air, fog and drops scatter into the camera: (3,) or () float32, linear, at most 0.9.

    A stand-in for the horizon's radiance, which is not known: the mean of the image over the mean reflectance
    of a street, its colour half way to neutral. So it is bright by day and nearly black by night, where the
    brightest pixels (as in He et al., dark channel prior, 2009) would be lamps.
    """
    mean = light.mean(axis=(0, 1)) / _MEAN_REFLECTANCE
    return np.minimum(0.5 * (mean + mean.mean()), 0.9).astype(np.float32)


@dataclass(frozen=True)
class Shot:
    """A registered pair and what its random fields are fixed by.

    visible: (H, W, 3) RGB or (H, W) grey uint8, sRGB coded. infrared: (H, W) uint8. id: the pair's.
    """

    visible: np.ndarray
    infrared: np.ndarray
    id: str
    seed: int
    kind: str

    def image(self, camera: Camera) -> np.ndarray:
        """The image of one camera."""
        return self.visible if camera == "visible" else self.infrared

    def random(self, part: str) -> np.random.Generator:
        """A generator of this image: the same at every level, so that a level adds to the one below."""
        return generator(self.seed, "degrade", self.kind, part, "image", self.id)

    def sensor_random(self, part: str) -> np.random.Generator:
        """A generator of the camera: the same for every image, as a broken pixel is."""
        return generator(self.seed, "degrade", self.kind, part, "sensor")


def noise(shot: Shot, level: int, camera: Camera) -> np.ndarray:
    """Noise of either camera.

    Visible: Poisson photoelectrons of linear light and Gaussian read noise, amplified back to the same brightness.
    Infrared: temporal noise of the stated NETD, and a pattern of columns that is the same in every image.
    """
    if camera == "visible":
        electrons = photons(to_linear(shot.visible), NOISE_ELECTRONS, level, shot.random(camera))
        return to_code(electrons / NOISE_ELECTRONS[level - 1])
    unit = 255 / KELVIN_SPAN * NOISE_NETD[level - 1]
    temporal = shot.random(camera).standard_normal(shot.infrared.shape, dtype=np.float32)
    columns = shot.sensor_random("columns").standard_normal(shot.infrared.shape[1], dtype=np.float32)
    return to_grey(shot.infrared + unit * (temporal + COLUMN_SHARE * columns))


def hotpixel(shot: Shot, level: int, camera: Camera) -> np.ndarray:
    """Hot (255) and dead (0) pixels in turn, at places that are the same in every image of this size."""
    pixels = shot.image(camera).copy()
    count = max(round(BAD_PIXELS[level - 1] * pixels.size), 1)
    places = shot.sensor_random("pixels").permutation(pixels.size)[:count]
    pixels.flat[places] = np.where(np.arange(count) % 2 == 0, 255, 0)
    return pixels


def photons(light: np.ndarray, electrons: tuple[float, ...], level: int, rng: np.random.Generator) -> np.ndarray:
    """Photoelectrons that are read out at `level`, float32, of linear light in [0, 1].

    electrons: of white at level 1, 2 ..., falling. Each level keeps some of the photons of the level above it, so
    that counts are Poisson at every level and levels share their noise. Read noise is added last.
    """
    read = rng.standard_normal(light.shape, dtype=np.float32)
    counts = rng.poisson(light * electrons[0])
    for brighter, darker in pairwise(electrons[:level]):
        counts = rng.binomial(counts, darker / brighter)
    return counts + READ_NOISE * read


def night(shot: Shot, level: int, camera: Camera) -> np.ndarray:
    """Photons are counted at a lower light, and the gain brings back only a part of the brightness."""
    counts = photons(to_linear(shot.image(camera)), NIGHT_ELECTRONS, level, shot.random(camera))
    return to_code(counts / (NIGHT_ELECTRONS[level - 1] * 2 ** NIGHT_STOPS[level - 1]))


def blur(shot: Shot, level: int, camera: Camera) -> np.ndarray:
    """A disc for each point, in linear light, where a lamp makes a disc and not a stain."""
    if camera == "visible":
        return to_code(_defocused(to_linear(shot.visible), level))
    return to_grey(255 * _defocused(shot.infrared.astype(np.float32) / 255, level))


def _defocused(light: np.ndarray, level: int) -> np.ndarray:
    """Float image under an anti-aliased disc: the kernel of Hendrycks & Dietterich (ICLR 2019), blurred by 0.3 px."""
    radius = BLUR_RADIUS[level - 1]
    reach = np.arange(-max(8, radius), max(8, radius) + 1)
    disc = (reach[:, None] ** 2 + reach**2 <= radius**2).astype(np.float32)
    kernel = cv2.GaussianBlur(disc / disc.sum(), (3, 3), sigmaX=0.3)
    return np.clip(cv2.filter2D(light, -1, kernel), 0, 1)


def jpeg(shot: Shot, level: int, camera: Camera) -> np.ndarray:
    """The image after JPEG."""
    pixels = shot.image(camera)
    stored = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    _, encoded = cv2.imencode(".jpg", stored, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY[level - 1]))
    decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED))
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB) if pixels.ndim == 3 else decoded
