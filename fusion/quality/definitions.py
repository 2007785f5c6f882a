"""What a score and a profile are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import value_hash
from fusion.quality.sharing import sharing

Compute = Callable[[Tensor, Tensor, Tensor], Tensor]


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
        """The scores called `names`, in column order; all of them for None.

        Raises:
            RequestError: a name that the profile does not define.
        """
        unknown = sorted(set(names or ()) - set(self.names))
        if unknown:
            raise RequestError(
                f"profile {self.name} does not define {', '.join(unknown)}; it has {', '.join(self.names)}"
            )
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

    Raises:
        RequestError: shapes differ, or an unknown name.
    """
    if len({(len(image), *image.shape[-2:]) for image in (infrared, visible, fused)}) > 1:
        shapes = [" x ".join(map(str, image.shape)) for image in (infrared, visible, fused)]
        raise RequestError(f"images of different shapes cannot be scored together\n{listing(shapes)}")
    images = [image.double() for image in (infrared, visible, fused)]
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
    return lambda infrared, visible, fused: (function(infrared, fused) + function(visible, fused)) / 2
