"""Devices, precision, random seeds, memory allocation."""

import ctypes
import sys
from types import SimpleNamespace

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


class Opened(list):
    def __init__(self):
        super().__init__()
        self.asked = []


@pytest.fixture
def opened(monkeypatch):
    """Names of the libraries that are opened; each has a `mallopt` that notes its arguments in `opened.asked`."""

    found = Opened()
    library = SimpleNamespace(mallopt=lambda parameter, value: found.asked.append((parameter, value)))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: found.append(name) or library)
    return found


def test_asks_glibc_to_keep_what_is_freed(opened, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    keep_freed_memory()
    assert opened == [None]  # this process
    assert opened.asked == [(-3, 1 << 30), (-1, 1 << 30)]


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_opens_no_library_elsewhere(opened, monkeypatch, platform):
    monkeypatch.setattr(sys, "platform", platform)
    keep_freed_memory()
    assert opened == []


def test_a_library_without_mallopt_is_left_alone(opened, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: opened.append(name))  # musl: no mallopt
    keep_freed_memory()
    assert opened == [None]  # it was looked at, and nothing was asked
    assert opened.asked == []
