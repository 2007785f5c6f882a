"""The two cameras: reflected and emitted light for one, apparent temperature for the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fuse2task.data.synthetic.canvas import Canvas, View

_SKIN = 33.0  # degrees Celsius
_THERMAL_SPAN = {True: (-7.0, 23.0), False: (-9.0, 29.0)}  # by night?: kelvin about air that become 0 and 255
_HEADLIGHTS = 0.045  # irradiance 8 m ahead of the camera car, full daylight being 1

# IEC 61966-2-1 (sRGB) transfer curve over 4096 linear levels.
_LINEAR = np.linspace(0, 1, 4096)
_CODED = np.where(_LINEAR <= 0.0031308, 12.92 * _LINEAR, 1.055 * _LINEAR ** (1 / 2.4) - 0.055)
_SRGB = np.rint(255 * _CODED).astype(np.uint8)


@dataclass(frozen=True)
class Weather:
    """Light and heat of a scene.

    daylight: irradiance, RGB, full sun being 1. air, sky: degrees Celsius. sun: kelvin by which a black
    surface is warmer than air (by day from the sun, in the evening from what it has stored). lamps: (x,
    distance, height) in metres of burning street lamps. shadow: share of daylight left in a shadow.
    """

    night: bool
    daylight: tuple[float, float, float]
    air: float
    sky: float
    sun: float
    lamps: Sequence[tuple[float, float, float]]
    shadow: float


def visible_image(canvas: Canvas, weather: Weather, texture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 sRGB: reflectance times light, lamps with their glow, shot and read noise.

    texture: (H, W) float32 of about unit variance that mottles every surface.
    """
    view, surface = canvas.view, canvas.surface
    reflectance, retro, emission = (
        np.array([getattr(material, name) for material in canvas.materials], np.float32)
        for name in ("reflectance", "retro", "emission")
    )
    x, distance = np.array([(item.x, item.distance) for item in canvas.owners], np.float32).T
    light: np.ndarray = np.broadcast_to(np.array(weather.daylight, np.float32), (len(x), 3))
    if weather.night:
        # Headlights reach a standing surface in full, and come back from reflecting ones many times over.
        direct = _lamp_light(weather, x, distance) + (1 + retro) * _headlights(x, distance)
        light = light + direct[:, None]
    image = (reflectance * light)[surface]
    rows = slice(int(view.horizon), None)
    ground = _flat(canvas)[surface[rows]]
    image[rows][ground] = (reflectance[surface[rows]] * _ground_light(canvas, weather, retro))[ground]
    image *= np.clip(1 + 0.1 * texture, 0.4, 1.6)[..., None]
    if weather.night:
        image += emission[surface] + _glow(emission[surface], view)
    image = cv2.GaussianBlur(image, (0, 0), max(0.0016 * view.unit, 0.3))
    full_well, read = (2500, 0.0018) if weather.night else (9000, 0.001)
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    image += noise * np.sqrt(np.maximum(image, 0) / full_well + read**2)
    return _SRGB[(np.clip(image, 0, 1) * (len(_SRGB) - 1) + 0.5).astype(np.int16)]


def infrared_image(canvas: Canvas, weather: Weather, texture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W) uint8, linear in apparent temperature over a fixed span about air.

    Apparent temperature is emissivity * own + (1 - emissivity) * sky. Blurred more than the visible image,
    with the column pattern and read noise of an uncooled sensor (0.1 to 0.2 K).
    """
    view, surface, materials = canvas.view, canvas.surface, canvas.materials
    air = weather.air
    own = np.array([m.heat + m.solar * weather.sun + m.skin * (_SKIN - air) for m in materials], np.float32)
    emissivity = np.array([m.emissivity for m in materials], np.float32)
    apparent: np.ndarray = (emissivity * own + (1 - emissivity) * (weather.sky - air))[surface]
    if not weather.night:
        rows = slice(int(view.horizon), None)
        shaded = _shadows(canvas, weather)[rows]
        apparent[rows] -= _flat(canvas)[surface[rows]] * (1 - shaded) * 0.4 * weather.sun
    blurred = cv2.GaussianBlur(apparent + 0.35 * texture, (0, 0), max(0.0035 * view.unit, 0.5))
    columns = 0.1 * rng.standard_normal(view.width, dtype=np.float32)
    kelvin = blurred + columns + 0.18 * rng.standard_normal(blurred.shape, dtype=np.float32)
    low, high = _THERMAL_SPAN[weather.night]
    return np.rint(np.clip((kelvin - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def _ground_light(canvas: Canvas, weather: Weather, retro: np.ndarray) -> np.ndarray:
    """(h, W, 3) irradiance of the road below the horizon, headlights as often as paint returns them."""
    view = canvas.view
    top = int(view.horizon)
    daylight = np.array(weather.daylight, np.float32)
    if not weather.night:
        return _shadows(canvas, weather)[top:, :, None] * daylight
    rows, columns = np.arange(top, view.height, dtype=np.float32), np.arange(view.width, dtype=np.float32)
    x, ahead = view.road_at(rows[:, None], columns[None])
    head = _headlights(x, ahead)
    grazing = head * np.minimum(1.5 / ahead, 0.5)
    direct = _lamp_light(weather, x, ahead) + grazing + retro[canvas.surface[top:]] * head * 0.6
    return direct[..., None] + daylight


def _lamp_light(weather: Weather, x: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Irradiance by the street lamps: a point source of height h over a plane, I h / (d^2 + h^2)^(3/2)."""
    total = np.zeros(np.broadcast_shapes(x.shape, distance.shape), np.float32)
    for lamp_x, lamp_distance, height in weather.lamps:
        squared = (x - lamp_x) ** 2 + (distance - lamp_distance) ** 2 + height**2
        total += 0.16 * height**3 / (squared * np.sqrt(squared))
    return total


def _headlights(x: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Irradiance of the camera car's own low beam on a surface that faces it."""
    near = np.maximum(distance, 4.0)
    return _HEADLIGHTS * (8.0 / near) ** 2 * np.exp(-((x / near / 0.5) ** 2))


def _shadows(canvas: Canvas, weather: Weather) -> np.ndarray:
    """(H, W) share of daylight under the labelled objects that stand on the road."""
    view = canvas.view
    shade = np.ones((view.height, view.width), np.float32)
    standing = {id(item): item for item in canvas.owners if item.name is not None and not item.flat}
    for item in standing.values():
        left, _, right, _ = item.bounds
        foot = view.flat(np.array([[item.x + 0.35, item.distance]]))[0]
        depth = min(0.09 * (right - left), 0.3 * view.focal / item.distance)
        axes = (max(int(0.55 * (right - left)), 1), max(int(depth), 1))
        cv2.ellipse(shade, np.rint(foot).astype(int).tolist(), axes, 0, 0, 360, weather.shadow, -1)
    return cv2.GaussianBlur(shade, (0, 0), max(0.006 * view.unit, 0.5))


def _glow(emission: np.ndarray, view: View) -> np.ndarray:
    """Light scattered in the lens about lamps."""
    small = cv2.resize(emission, (max(view.width // 4, 8), max(view.height // 4, 8)), interpolation=cv2.INTER_AREA)
    near, wide = (cv2.GaussianBlur(small, (0, 0), max(s * view.unit, least)) for s, least in ((0.004, 0.5), (0.015, 1)))
    return cv2.resize(0.16 * near + 0.12 * wide, (view.width, view.height), interpolation=cv2.INTER_LINEAR)


def _flat(canvas: Canvas) -> np.ndarray:
    return np.array([item.flat for item in canvas.owners])
