"""One channel out of a colour file: the kits round and weight differently, which moves every score."""

import numpy as np

MATLAB_GRAY = (0.298936021293775, 0.587043074451121, 0.114020904255103)


def matlab_gray(pixels: np.ndarray) -> np.ndarray:
    """MATLAB's rgb2gray: round(0.298936 R + 0.587043 G + 0.114021 B), (H, W) uint8; grey files as they are."""
    if pixels.ndim == 2:
        return pixels
    return np.floor(pixels.astype(np.float64) @ np.array(MATLAB_GRAY) + 0.5).clip(0, 255).astype(np.uint8)


def opencv_gray(pixels: np.ndarray) -> np.ndarray:
    """OpenCV's BGR2GRAY in float32, rounded half to even, (H, W) uint8; grey files as they are."""
    if pixels.ndim == 2:
        return pixels
    import cv2

    return np.round(cv2.cvtColor(pixels.astype(np.float32), cv2.COLOR_RGB2GRAY)).clip(0, 255).astype(np.uint8)


def pil_gray(pixels: np.ndarray) -> np.ndarray:
    """Pillow's mode L: (19595 R + 38470 G + 7471 B + 32768) >> 16, (H, W) uint8; grey files as they are."""
    if pixels.ndim == 2:
        return pixels
    weights = np.array([19595, 38470, 7471], dtype=np.int64)
    return ((pixels.astype(np.int64) @ weights + 32768) >> 16).astype(np.uint8)
