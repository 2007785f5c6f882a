"""What scores share: local filters of image batches, in any float type on any device, and results computed once.

Not scipy.ndimage: it takes one image at a time, on the CPU alone.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, Optional, ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class _Results:
    """Results of one block. kept: ids of tensors that outlive the blocks within."""

    def __init__(self, outer: Optional["_Results"], tensors: tuple[Tensor, ...]):
        self.outer, self.tensors = outer, tensors
        self.kept = {id(tensor) for tensor in tensors}
        self.found: dict[Any, tuple[Any, Any]] = {}

    def owner(self, tensors: set[int]) -> "_Results":
        """The outermost block that keeps all of these tensors; this one if none does."""
        return self.outer.owner(tensors) if self.outer is not None and tensors <= self.outer.kept else self


_current: ContextVar[_Results | None] = ContextVar("results", default=None)


@contextlib.contextmanager
def sharing(*kept: Tensor) -> Iterator[None]:
    """Within the block a function marked `shared` runs once for the same tensors; memory is freed at its end.

    Blocks nest: what an inner block computes from `kept` alone (the sources, say, while methods change) stays until
    the end of the outer one.
    """
    token = _current.set(_Results(_current.get(), kept))
    try:
        yield
    finally:
        _current.reset(token)


def shared(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Mark a pure function of tensors and hashable values as worth sharing (a histogram, a gradient, say)."""

    @functools.wraps(function)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        current = _current.get()
        if current is None:
            return function(*args, **kwargs)
        given = (*args, *kwargs.items())
        tensors = {id(value) for value in given if isinstance(value, Tensor)}
        block = current.owner(tensors)
        key = (function, *(id(value) if isinstance(value, Tensor) else value for value in given))
        if key not in block.found:
            result = function(*args, **kwargs)
            # The arguments are kept with the result: an id is only unique as long as its tensor lives.
            block.found[key] = (given, result)
            if tensors <= block.kept:
                block.kept |= {id(value) for value in _parts(result) if isinstance(value, Tensor)}
        return block.found[key][1]

    return wrapper


def _parts(result: Any) -> Iterable[Any]:
    return [part for one in result for part in _parts(one)] if isinstance(result, tuple) else [result]


def gaussian(size: int, sigma: float) -> tuple[float, ...]:
    """`size` taps of a Gaussian centred between the ends, of sum 1: one axis of MATLAB's fspecial('gaussian')."""
    offsets = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    taps = [torch.exp(-(offset**2) / (2 * sigma**2)).item() for offset in offsets]
    return tuple(tap / sum(taps) for tap in taps)


def correlate(images: Tensor, down: Sequence[float], across: Sequence[float]) -> Tensor:
    """Valid correlation of (..., H, W) with the separable window down x across: (..., H - len + 1, W - len + 1).

    Sums of shifted images: on a CPU in float64 ten times as fast as torch's own convolution.
    """
    for taps, axis in ((across, -1), (down, -2)):
        length = max(images.shape[axis] - len(taps) + 1, 0)
        total: Tensor | None = None
        for offset, tap in enumerate(taps if length else ()):
            if tap != 0.0:
                part = images.narrow(axis, offset, length)
                total = part * tap if total is None else total.add_(part, alpha=tap)
        images = torch.zeros_like(images.narrow(axis, 0, length)) if total is None else total
    return images


@shared
def smooth(images: Tensor, taps: tuple[float, ...]) -> Tensor:
    """Valid correlation of (..., H, W) with the square window taps x taps."""
    return correlate(images, taps, taps)


@shared
def smooth_product(a: Tensor, b: Tensor, taps: tuple[float, ...]) -> Tensor:
    """`smooth` of a * b."""
    return correlate(a * b, taps, taps)


@shared
def local_variance(image: Tensor, taps: tuple[float, ...]) -> Tensor:
    """Weighted variance in every valid window taps x taps, not below 0."""
    return (smooth_product(image, image, taps) - smooth(image, taps) ** 2).clamp_(min=0)


def local_covariance(a: Tensor, b: Tensor, taps: tuple[float, ...]) -> Tensor:
    """Weighted covariance in every valid window taps x taps."""
    return smooth_product(a, b, taps) - smooth(a, taps) * smooth(b, taps)


def padded(images: Tensor, margin: int, mode: str = "constant") -> Tensor:
    """(..., H, W) with `margin` more pixels on every side; modes of torch.nn.functional.pad."""
    wide = F.pad(images.reshape(-1, 1, *images.shape[-2:]), (margin,) * 4, mode=mode)
    return wide.reshape(*images.shape[:-2], *wide.shape[-2:])
