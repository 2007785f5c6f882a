"""Shared intermediate results: computed once, and no longer kept than they should be."""

import gc
import weakref

import torch

from fusion.quality.filters import shared, sharing

calls: list[str] = []


@shared
def doubled(image: torch.Tensor, name: str = "x") -> torch.Tensor:
    calls.append(name)
    return image * 2


def test_runs_once_for_the_same_tensor_and_values_within_a_block():
    calls.clear()
    image, equal = torch.ones(2), torch.ones(2)
    doubled(image)
    doubled(image)
    assert len(calls) == 2  # no block: nothing is kept
    with sharing():
        assert doubled(image) is doubled(image)
        assert doubled(equal) is not doubled(image)
        assert doubled(image, "y") is not doubled(image)
        assert doubled(image, name="z") is doubled(image, name="z")
    assert calls == ["x", "x", "x", "x", "y", "z"]
    with sharing():
        doubled(image)
    assert len(calls) == 7


def test_what_comes_from_kept_tensors_outlives_the_inner_block():
    calls.clear()
    source = torch.ones(2)
    with sharing(source):
        for _ in range(3):
            fused = torch.zeros(2)
            with sharing():
                doubled(doubled(source))
                doubled(fused)
    assert len(calls) == 2 + 3


def test_nothing_is_kept_after_the_block():
    image = torch.ones(2)
    with sharing():
        result = weakref.ref(doubled(image))
        assert result() is not None
    gc.collect()
    assert result() is None
