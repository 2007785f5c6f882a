"""What a fusion method is to the dataset writer."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fuse2task.data.dataset import Pair
from fuse2task.data.images import luma, with_chroma_of

Colour = Literal["rgb", "gray"]


@dataclass(frozen=True)
class Fused:
    """A fused pair in both colour modes: rgb (H, W, 3) and gray (H, W), uint8."""

    rgb: np.ndarray
    gray: np.ndarray

    def in_mode(self, color: Colour) -> np.ndarray:
        """The pixels of one colour mode."""
        return self.rgb if color == "rgb" else self.gray


class Method(ABC):
    """Turns a registered pair into a fused image.

    batch_pixels: how many pixels `fuse_batch` takes at once with profit; 0 where one pair after the other is as fast.
    """

    name: str
    batch_pixels = 0

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """JSON values that decide the output (weights, precision, version); hashed into the manifest."""

    @abstractmethod
    def fuse(self, pair: Pair, infrared: np.ndarray, visible: np.ndarray) -> Fused:
        """Fuse infrared (H, W) with visible (H, W, 3) RGB or (H, W) grey, all uint8."""

    def fuse_batch(self, pairs: Sequence[Pair], images: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Fused]:
        """As `fuse`, of pairs of one size with their infrared and visible images."""
        return [self.fuse(pair, *both) for pair, both in zip(pairs, images, strict=True)]

    def check(self, pairs: Sequence[Pair]) -> None:  # noqa: B027 - most methods can fuse any pair
        """Raise RequestError if some of `pairs` cannot be fused, before any work is done."""


class LumaMethod(Method):
    """A method that fuses grey images; colour is the visible image's chroma."""

    @abstractmethod
    def fuse_luma(self, infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """(H, W) uint8 from two (H, W) uint8."""

    def fuse(self, pair: Pair, infrared: np.ndarray, visible: np.ndarray) -> Fused:
        gray = self.fuse_luma(infrared, luma(visible))
        return Fused(with_chroma_of(gray, visible), gray)
