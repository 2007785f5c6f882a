"""JPEG compression of both images, as a recorder or a narrow link does it."""

import numpy as np

from fuse2task.data.degradation.shot import Shot
from fuse2task.runtime.offline import go_offline

JPEG_QUALITY = (70, 40, 20, 10, 5)  # of libjpeg, chroma halved in both directions


def jpeg_visible(shot: Shot, level: int) -> np.ndarray:
    """Luma and chroma of the image after JPEG."""
    if shot.visible.ndim == 2:
        return _compressed(shot.visible, level)
    # albumentations 2.0.8 hands RGB to OpenCV, which takes it for BGR and weighs red as blue.
    return np.ascontiguousarray(_compressed(np.ascontiguousarray(shot.visible[..., ::-1]), level)[..., ::-1])


def jpeg_infrared(shot: Shot, level: int) -> np.ndarray:
    """The one channel after JPEG."""
    return _compressed(shot.infrared, level)


def _compressed(pixels: np.ndarray, level: int) -> np.ndarray:
    go_offline()  # albumentations asks the network for a newer release otherwise
    import albumentations as A

    quality = JPEG_QUALITY[level - 1]
    return A.ImageCompression(compression_type="jpeg", quality_range=(quality, quality), p=1)(image=pixels)["image"]
