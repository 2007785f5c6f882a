"""Devices, precision, random seeds, memory allocation."""

import ctypes
import sys

import numpy as np
import pytest
import torch

from fuse2task.runtime.compute import generator, keep_freed_memory, pick_device, pick_precision, seed_everything
from fuse2task.runtime.errors import RequestError


def test_devices():
    assert pick_device("cpu").type == "cpu"
    assert pick_device().type in ("cpu", "cuda", "mps")
    with pytest.raises(RequestError, match="use auto or cpu"):
        pick_device("cuda:99")
    with pytest.raises(RequestError, match="use auto or cpu"):
        pick_device("toaster")


def test_precision_is_ours_to_decide():
    assert pick_precision("auto", torch.device("cpu")) == "fp32"
    assert pick_precision("bf16", torch.device("cpu")) == "bf16"


def test_generators_are_fixed_by_their_key_alone():
    first = generator(0, "stage", 3).integers(0, 2**31, 4)
    np.testing.assert_array_equal(first, generator(0, "stage", 3).integers(0, 2**31, 4))
    assert not np.array_equal(first, generator(0, "stage", 4).integers(0, 2**31, 4))


def test_seeding_torch():
    seed_everything(5)
    a = torch.rand(3)
    seed_everything(5)
    assert torch.equal(a, torch.rand(3))


def test_asks_glibc_to_keep_what_is_freed(monkeypatch):
    asked = []

    class Library:
        @staticmethod
        def mallopt(parameter: int, value: int) -> int:
            asked.append((parameter, value))
            return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Library)
    monkeypatch.setattr(sys, "platform", "linux")
    keep_freed_memory()
    assert asked == [(-3, 1 << 30), (-1, 1 << 30)]


def test_does_nothing_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", None)
    keep_freed_memory()


def test_a_library_without_mallopt_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    keep_freed_memory()
