"""Defocus of both cameras."""

import numpy as np

from fuse2task.data.degradation.radiance import to_code, to_grey, to_linear
from fuse2task.data.degradation.shot import Shot
from fuse2task.runtime.offline import go_offline

BLUR_RADIUS = (1, 2, 3, 5, 8)  # pixels, of the circle of confusion


def blur_visible(shot: Shot, level: int) -> np.ndarray:
    """A disc for each point, in linear light, where a lamp makes a disc and not a stain."""
    return to_code(_defocused(to_linear(shot.visible), level))


def blur_infrared(shot: Shot, level: int) -> np.ndarray:
    """The same disc, as an infrared image is linear in what the sensor receives."""
    return to_grey(255 * _defocused(shot.infrared.astype(np.float32) / 255, level))


def _defocused(light: np.ndarray, level: int) -> np.ndarray:
    go_offline()  # albumentations asks the network for a newer release otherwise
    import albumentations as A

    radius = BLUR_RADIUS[level - 1]
    return A.Defocus(radius=(radius, radius), alias_blur=(0.3, 0.3), p=1)(image=light)["image"]
