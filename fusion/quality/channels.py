"""Grey and colour: what each kit makes of a colour file, which moves every score, and scores channel by channel."""

import numpy as np
from torch import Tensor

from fusion.quality.definitions import Compute
from fusion.quality.sharing import shared

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


def planar(pixels: np.ndarray) -> np.ndarray:
    """(H, W) uint8 of a grey file, (3, H, W) of a colour file."""
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def channelwise(function: Compute, rounded: bool = True) -> Compute:
    """`function` of grey images for each channel of a colour fused image, as VIFB's kit has it; mean of the channels.

    Sources and fused image are (B, H, W) grey or (B, 3, H, W). A grey source stands against all channels of a colour
    fused image. Where the fused image is grey, colour sources turn grey: rounded to whole levels, or not.
    """

    def compute(infrared: Tensor, visible: Tensor, fused: Tensor) -> Tensor:
        if fused.ndim == 3:
            return function(_gray(infrared, rounded), _gray(visible, rounded), fused)
        return function(_planes(infrared), _planes(visible), _planes(fused)).unflatten(0, (-1, 3)).mean(dim=1)

    return compute


def side_by_side(images: Tensor) -> Tensor:
    """(B, 3, H, W) as one wide grey image (B, H, 3 W), as MATLAB's [m, n] = size(image) reads it; grey as it is."""
    return images if images.ndim == 3 else images.movedim(1, 2).flatten(2)


@shared
def _planes(images: Tensor) -> Tensor:
    return images.repeat_interleave(3, dim=0) if images.ndim == 3 else images.flatten(0, 1)


@shared
def _gray(images: Tensor, rounded: bool) -> Tensor:
    if images.ndim == 3:
        return images
    red, green, blue = (plane * weight for plane, weight in zip(images.unbind(1), MATLAB_GRAY, strict=True))
    luma = red.add_(green).add_(blue)
    # Without the last digits three equal channels are that channel, and Qabf finds its equal edges.
    return luma.add_(0.5).floor_() if rounded else luma.round_(decimals=9)
