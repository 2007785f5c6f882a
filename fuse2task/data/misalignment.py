"""A probe of registration: the shift that makes the edges of a pair agree best."""

import cv2
import numpy as np
from scipy import fft

REACH = 8  # pixels of the image in each direction
_SHORT_SIDE = 480  # larger images are reduced by a whole factor


def edge_shift(infrared: np.ndarray, visible: np.ndarray) -> tuple[float, float] | None:
    """Shift (dx, dy) in pixels of the visible image against the infrared one, each within +-8.

    The gradient magnitudes, log-compressed so that a few strong edges do not decide alone, are correlated by
    FFT; the peak within reach is refined by a parabola. A probe, no measurement: sensors see different edges.

    Args:
        infrared: (H, W) uint8.
        visible: (H, W) uint8, the luma.

    Returns:
        The shift, or None where an image is too small or has no edges.
    """
    factor = max(1, min(infrared.shape) // _SHORT_SIDE)
    reach = max(1, REACH // factor)
    first, second = (_edges(image, factor) for image in (infrared, visible))
    if min(first.shape) < 4 * reach or not first.any() or not second.any():
        return None
    shape = [fft.next_fast_len(side + reach, real=True) for side in first.shape]
    spectrum = np.conj(fft.rfft2(first, shape)) * fft.rfft2(second, shape)
    surface = np.roll(fft.irfft2(spectrum, shape), (reach + 1, reach + 1), axis=(0, 1))
    window = surface[: 2 * reach + 3, : 2 * reach + 3]  # one more on each side, for the parabola
    row, column = np.unravel_index(np.argmax(window[1:-1, 1:-1]), (2 * reach + 1, 2 * reach + 1))
    dy = row - reach + _vertex(window[row : row + 3, column + 1])
    dx = column - reach + _vertex(window[row + 1, column : column + 3])
    return float(np.clip(dx * factor, -REACH, REACH)), float(np.clip(dy * factor, -REACH, REACH))


def _edges(image: np.ndarray, factor: int) -> np.ndarray:
    """Zero-mean compressed gradient magnitude, float32, of the reduced image without its border."""
    if factor > 1:
        size = (image.shape[1] // factor, image.shape[0] // factor)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    pixels = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 2.0)
    magnitude = np.log1p(np.hypot(cv2.Sobel(pixels, cv2.CV_32F, 1, 0), cv2.Sobel(pixels, cv2.CV_32F, 0, 1)))
    inner = magnitude[2:-2, 2:-2]
    return inner - inner.mean() if inner.size and np.ptp(inner) > 1e-3 else np.zeros_like(inner)


def _vertex(values: np.ndarray) -> float:
    """Top of the parabola through three values at -1, 0, 1; 0 where the middle is not the highest."""
    left, middle, right = (float(value) for value in values)
    bend = left - 2 * middle + right
    return 0.5 * (left - right) / bend if bend < 0 and middle >= max(left, right) else 0.0
