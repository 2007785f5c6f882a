"""A depth cue from one image: the road as a plane, the sky far away, edges where the image has them."""

import cv2
import numpy as np

from fuse2task.data.colour import luma
from fuse2task.data.synthetic.view import View

FARTHEST = 100.0  # metres, of what stands on the ground
SKY = 3000.0  # metres
_SMOOTH = 6.0  # grey levels of gradient below which sky is smooth


def metres(image: np.ndarray, sky: bool) -> np.ndarray:
    """Distance in metres: (H, W) float32, of an image (H, W, 3) RGB or (H, W), uint8.

    No depth comes with these data sets. A pinhole camera 2 m above a flat road, its horizon at half height, gives
    each row its distance, `FARTHEST` at most and above the horizon. With `sky`, what is smooth, brighter than the
    image's mean and connected with the upper border is sky. The logarithm of these is fitted to the luma by a
    guided filter (He, Sun & Tang, TPAMI 2013), so that depth changes where the image does. The other image
    of a pair has no say: its edges would show in the veil and help whoever sees this one alone. An object that
    stands up gets more metres at its head than at its feet.
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
