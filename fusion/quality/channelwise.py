"""Scores channel by channel, as VIFB's kit takes them: red against red, then the mean over the channels."""

from torch import Tensor

from fusion.quality.channels import MATLAB_GRAY
from fusion.quality.definitions import Compute
from fusion.quality.sharing import shared


def channelwise(function: Compute, rounded: bool = True) -> Compute:
    """`function` of grey images, channel by channel of a colour fused image, and the mean of the channels' scores.

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
