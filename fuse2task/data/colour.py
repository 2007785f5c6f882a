"""BT.601 luma and chroma: fusion works on luma, chroma is the visible image's."""

import cv2
import numpy as np


def luma(visible: np.ndarray) -> np.ndarray:
    """Y of OpenCV's 8-bit YCrCb: (H, W) uint8 from (H, W, 3) RGB or (H, W) grey uint8."""
    return visible if visible.ndim == 2 else cv2.cvtColor(visible, cv2.COLOR_RGB2YCrCb)[..., 0]


def with_chroma_of(fused: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """(H, W, 3) RGB uint8 with the luma of `fused` (H, W) and the Cr, Cb of `visible`; grey stays grey."""
    if visible.ndim == 2:
        return as_rgb(fused)
    ycrcb = cv2.cvtColor(visible, cv2.COLOR_RGB2YCrCb)
    ycrcb[..., 0] = fused
    return cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2RGB)


def as_rgb(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) from (H, W) by repetition; (H, W, 3) is returned as it is."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
