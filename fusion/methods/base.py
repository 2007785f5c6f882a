"""Interface of fusion methods, and methods without weights: single modalities, pixel rules, folders of images."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fuse2task.data.dataset import Pair, named_files
from fuse2task.data.images import SUFFIXES, as_rgb, image_size, luma, read_visible, with_chroma_of
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import file_digest, value_hash
from fuse2task.runtime.progress import say

Colour = Literal["rgb", "gray"]
Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]


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
    inputs: files and folders that it reads, which no output may touch.
    """

    name: str
    batch_pixels = 0
    inputs: tuple[Path, ...] = ()

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


class SingleCamera(Method):
    """One camera's image as it is, `visible` or `infrared`; infrared is grey in three channels."""

    def __init__(self, name: str):
        self.name = name

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, "version": 1}

    def fuse(self, pair: Pair, infrared: np.ndarray, visible: np.ndarray) -> Fused:
        image = visible if self.name == "visible" else infrared
        return Fused(as_rgb(image), luma(image))


class ValueSwap(Method):
    """The visible image in hue, saturation, value with infrared as its value; without colour that is infrared.

    Carper, Lillesand & Kiefer, The use of intensity-hue-saturation transformations for merging SPOT panchromatic and
    multispectral image data (PE&RS 56, 1990), in HSV: where the ratios of channels stay, hue and saturation do.
    """

    name = "hsv"

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, "version": 1}

    def fuse(self, pair: Pair, infrared: np.ndarray, visible: np.ndarray) -> Fused:
        colour = as_rgb(visible).astype(np.float32)
        value = colour.max(axis=2, keepdims=True)
        colour = np.where(value > 0, colour / np.maximum(value, 1), 1)  # black has no saturation
        rgb = np.rint(colour * infrared[..., None]).astype(np.uint8)
        return Fused(rgb, luma(rgb))


class Arithmetic(LumaMethod):
    """A rule on luma, computed in float and rounded."""

    def __init__(self, name: str, rule: Rule):
        self.name, self.rule = name, rule

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, "version": 1}

    def fuse_luma(self, infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
        fused = self.rule(infrared.astype(np.float32), visible.astype(np.float32))
        return np.clip(np.rint(fused), 0, 255).astype(np.uint8)


def average(infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Pixel mean."""
    return (infrared + visible) / 2


RULES: dict[str, Rule] = {"average": average, "maximum": np.maximum}


class FolderMethod(Method):
    """Fused images of another method, named by pair id (`/` in an id may be a folder or `__`).

    Grey files get the visible image's chroma in colour mode; colour files are used as they are.
    """

    def __init__(self, name: str, folder: Path):
        self.name, self.folder = name, Path(folder)
        self.inputs = (self.folder,)
        self.files = named_files(self.folder, SUFFIXES, "fused images")
        self.used: list[str] = []

    def identity(self) -> dict[str, Any]:
        files = {key: file_digest(self.files[key]) for key in self.used}
        return {"name": self.name, "version": 1, "files": value_hash(files)}

    def check(self, pairs: Sequence[Pair]) -> None:
        """Every pair has a file of its size; files of no pair are counted and reported."""
        if missing := [f"{pair.id}: no fused image" for pair in pairs if pair.id not in self.files]:
            raise RequestError(
                f"{self.folder}: {len(missing)} of {len(pairs)} pairs have no fused image; add them, or give --split "
                f"a list of the pairs to compare\n{listing(missing)}"
            )
        sizes = ((self.files[pair.id], image_size(self.files[pair.id]), pair.size) for pair in pairs)
        if wrong := [f"{path}: {w}x{h}, the pair is {own[0]}x{own[1]}" for path, (w, h), own in sizes if (w, h) != own]:
            raise RequestError(f"{self.folder}: fused images of another size than their pairs\n{listing(wrong)}")
        self.used = sorted(pair.id for pair in pairs)
        if len(self.files) > len(pairs):
            say(f"{self.folder}: {len(self.files) - len(pairs)} images belong to no pair of this dataset; not used")

    def fuse(self, pair: Pair, infrared: np.ndarray, visible: np.ndarray) -> Fused:
        pixels = read_visible(self.files[pair.id])
        return Fused(with_chroma_of(pixels, visible) if pixels.ndim == 2 else pixels, luma(pixels))
