"""Devices, precision, seeds and progress lines."""

import numpy as np
import pytest
import torch

from fuse2task.runtime.device import pick_device, pick_precision
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.progress import Meter
from fuse2task.runtime.provenance import versions, versions_hash
from fuse2task.runtime.seeding import generator, seed_everything


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


def test_meter_logs_plain_lines_with_rate_and_time_left(capsys):
    with Meter("work", 10, "pairs", interval=0) as meter:
        meter.advance(4, "loss 1.5")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("work: 4/10 pairs, ")
    assert "s left" in lines[0]
    assert "loss 1.5" in lines[0]


def test_versions_name_what_decides_the_numbers():
    assert {"fuse2task", "torch", "numpy", "pycocotools"} <= set(versions())
    assert len(versions_hash()) == 12
