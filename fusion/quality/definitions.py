"""What a score and a profile are, and what profiles are made of: grey conversions, sums over sources and channels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import value_hash
from fusion.quality.filters import shared, sharing

Compute = Callable[[Tensor, Tensor, Tensor], Tensor]
MATLAB_GRAY = (0.298936021293775, 0.587043074451121, 0.114020904255103)


@dataclass(frozen=True, kw_only=True)
class Score:
    """One column of the table.

    compute: (infrared, visible, fused) as the profile prepares them -> (B,) float64. range: values it can take,
    with the unit. formula, source: what is computed, and where it was published. aggregation: how the two sources
    (and channels) become one number. scale: the pixel range that it works on. version: to be raised whenever the
    numbers change, whatever the words say.
    """

    name: str = field(kw_only=False)
    compute: Compute = field(kw_only=False)
    range: str
    formula: str
    source: str
    higher_is_better: bool = True
    aggregation: str = "fused image alone"
    scale: str = "0-255"
    version: int = 1


@dataclass(frozen=True)
class Profile:
    """A named set of definitions, as one evaluation kit or one book of definitions has them.

    prepare: a file's uint8 pixels, (H, W) grey or (H, W, 3) RGB, to what `compute` wants: (H, W) or (3, H, W) uint8.
    channel: what `prepare` does, in words. dtype: of the arithmetic.
    """

    name: str
    about: str
    source: str
    channel: str
    prepare: Callable[[np.ndarray], np.ndarray]
    scores: tuple[Score, ...]
    dtype: str = "float64"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the scores, in column order."""
        return tuple(score.name for score in self.scores)

    @property
    def hash(self) -> str:
        """Hash of what the numbers depend on: names, versions and parameters, not the words of the definitions."""
        scores = [[score.name, score.version, score.scale] for score in self.scores]
        return value_hash([self.name, self.prepare.__name__, self.dtype, scores])

    def chosen(self, names: Sequence[str] | None) -> tuple[Score, ...]:
        """The scores called `names` in column order, all for None. Raises RequestError: a name it does not define."""
        if unknown := sorted(set(names or ()) - set(self.names)):
            known = ", ".join(self.names)
            raise RequestError(f"profile {self.name} does not define {', '.join(unknown)}; it has {known}")
        return tuple(score for score in self.scores if names is None or score.name in names)


def definition(profile: Profile, score: Score) -> dict[str, str]:
    """Everything that defines one score in one profile, as texts."""
    return {
        "profile": profile.name,
        "channel": profile.channel,
        "scale": score.scale,
        "dtype": profile.dtype,
        "aggregation": score.aggregation,
        "formula": score.formula,
        "range": score.range,
        "better": "higher" if score.higher_is_better else "lower",
        "source": score.source,
        "version": str(score.version),
    }


def score_batch(
    profile: Profile, infrared: Tensor, visible: Tensor, fused: Tensor, names: Sequence[str] | None = None
) -> dict[str, Tensor]:
    """Scores of a batch, (B,) float64 each, NaN where a score is not defined for an image.

    Args:
        infrared, visible, fused: stacked results of `profile.prepare`, uint8 or float64, on one device, of equal
            count, height and width; where a profile keeps colour, grey (B, H, W) may stand beside (B, 3, H, W).

    Raises RequestError: shapes differ, or an unknown name.
    """
    images = [image.double() for image in (infrared, visible, fused)]
    if len({(len(image), *image.shape[-2:]) for image in images}) > 1:
        shapes = [" x ".join(map(str, image.shape)) for image in images]
        raise RequestError(f"images of different shapes cannot be scored together\n{listing(shapes)}")
    with sharing(), torch.inference_mode():
        return {score.name: score.compute(*images).double() for score in profile.chosen(names)}


def of_fused(function: Callable[[Tensor], Tensor]) -> Compute:
    """A score of the fused image alone."""
    return lambda _infrared, _visible, fused: function(fused)


def summed(function: Callable[[Tensor, Tensor], Tensor]) -> Compute:
    """function(infrared, fused) + function(visible, fused)."""
    return lambda infrared, visible, fused: function(infrared, fused) + function(visible, fused)


def averaged(function: Callable[[Tensor, Tensor], Tensor]) -> Compute:
    """Half of `summed`."""
    return lambda *images: summed(function)(*images) / 2


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
    return ((pixels.astype(np.int64) @ np.array([19595, 38470, 7471]) + 32768) >> 16).astype(np.uint8)


def planar(pixels: np.ndarray) -> np.ndarray:
    """(H, W) uint8 of a grey file, (3, H, W) of a colour file."""
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
