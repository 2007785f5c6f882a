"""Intermediate results that several scores need (histograms, gradients, local moments) are computed once."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Optional, ParamSpec, TypeVar

from torch import Tensor

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class _Results:
    """Results of one block. kept: ids of tensors that outlive the blocks within."""

    def __init__(self, outer: Optional["_Results"], kept: tuple[Tensor, ...]):
        self.outer, self.tensors = outer, kept
        self.kept = {id(tensor) for tensor in kept}
        self.found: dict[Any, tuple[Any, Any]] = {}

    def owner(self, tensors: set[int]) -> "_Results":
        """The outermost block that keeps all of these tensors; this one if none does."""
        if self.outer is not None and tensors <= self.outer.kept:
            return self.outer.owner(tensors)
        return self


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
    """Mark a pure function of tensors and hashable values as worth sharing."""

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


def _parts(result: Any) -> Iterator[Any]:
    if isinstance(result, tuple):
        for part in result:
            yield from _parts(part)
    else:
        yield result
