"""Methods without weights: the single modalities, average, maximum, Laplacian pyramid."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from fuse2task.data.dataset import Pair
from fuse2task.data.images import as_rgb, luma
from fusion.methods.base import Fused, LumaMethod, Method

LEVELS = 5


class Visible(Method):
    """The visible image as it is: the untouched pixels of the file."""

    name = "visible"

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, "version": 1}

    def fuse(self, pair: Pair, infrared: np.ndarray, visible: np.ndarray) -> Fused:
        return Fused(as_rgb(visible), luma(visible))


class Infrared(Method):
    """The infrared image, grey in three channels."""

    name = "infrared"

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, "version": 1}

    def fuse(self, pair: Pair, infrared: np.ndarray, visible: np.ndarray) -> Fused:
        return Fused(as_rgb(infrared), infrared)


class Arithmetic(LumaMethod):
    """A pixel rule on luma, computed in float and rounded."""

    def __init__(self, name: str, rule: Callable[[np.ndarray, np.ndarray], np.ndarray]):
        self.name, self.rule = name, rule

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, "version": 1}

    def fuse_luma(self, infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
        fused = self.rule(infrared.astype(np.float32), visible.astype(np.float32))
        return np.clip(np.rint(fused), 0, 255).astype(np.uint8)


def average(infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Pixel mean."""
    return (infrared + visible) / 2


def laplacian_pyramid(infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Burt & Adelson (1983): 5 levels, the detail of larger magnitude, the mean of the bases; (H, W) float32."""
    levels = min(LEVELS, int(np.log2(min(infrared.shape))) - 1)
    details = []
    for _ in range(levels):
        smaller = [cv2.pyrDown(image) for image in (infrared, visible)]
        size = infrared.shape[1::-1]
        ir, vi = (
            image - cv2.pyrUp(small, dstsize=size) for image, small in zip((infrared, visible), smaller, strict=True)
        )
        details.append(np.where(np.abs(ir) > np.abs(vi), ir, vi))
        infrared, visible = smaller
    fused = (infrared + visible) / 2
    for detail in reversed(details):
        fused = cv2.pyrUp(fused, dstsize=detail.shape[1::-1]) + detail
    return fused
