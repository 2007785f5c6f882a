"""Checkpoints."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from fuse2task.runtime.checkpoints import (
    load_checkpoint,
    load_into,
    pack_int8,
    save_checkpoint,
    tensor_hash,
    unpack_int8,
)
from fuse2task.runtime.errors import RequestError


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4))


def test_weights_come_back_bit_for_bit_with_their_metadata(network, tmp_path):
    digest = save_checkpoint(tmp_path / "w.safetensors", network.state_dict(), "test.net", recipe={"lr": 0.1})
    tensors, about = load_checkpoint(tmp_path / "w.safetensors", "test.net")
    assert about["recipe"] == {"lr": 0.1}
    assert about["tensor_hash"] == digest == tensor_hash(tensors)
    assert all(torch.equal(tensors[name], value) for name, value in network.state_dict().items())


def test_equal_weights_give_equal_bytes(network, tmp_path):
    for name in ("a", "b"):
        save_checkpoint(tmp_path / name, network.state_dict(), "test.net")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_other_networks_and_altered_files_are_refused(network, tmp_path):
    path = tmp_path / "w.safetensors"
    save_checkpoint(path, network.state_dict(), "test.net")
    with pytest.raises(RequestError, match=r"holds test\.net, but other\.net is needed"):
        load_checkpoint(path, "other.net")
    with pytest.raises(RequestError, match="another network"):
        load_into(torch.nn.Linear(2, 2), load_checkpoint(path, "test.net")[0], path)
    wider = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 5), torch.nn.BatchNorm2d(4))  # the same names
    with pytest.raises(RequestError, match=r"1 of another shape or kind of number; first: 0\.weight"):
        load_into(wider, load_checkpoint(path, "test.net")[0], path)
    for dtype in (torch.int8, torch.complex64):
        cast = {name: value.to(dtype) for name, value in network.state_dict().items()}
        with pytest.raises(RequestError, match="kind of number"):
            load_into(network, cast, path)
    load_into(network, {name: value.half() if value.is_floating_point() else value for name, value in
                        network.state_dict().items()}, path)  # fmt: skip
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(RequestError, match="do not match their own hash"):
        load_checkpoint(path, "test.net")
    path.write_bytes(data[:40])
    with pytest.raises(RequestError, match="not a readable safetensors"):
        load_checkpoint(path, "test.net")
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(RequestError, match="tensors without a format"):
        load_checkpoint(path, "test.net")
    with pytest.raises(RequestError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none", "test.net")


@given(st.integers(1, 70), st.floats(1e-12, 1e4), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_int8_is_within_half_a_step_and_leaves_small_tensors(channels, size, seed):
    rng = torch.Generator().manual_seed(seed)
    kernel = torch.randn(channels, 64, 9, 9, generator=rng) * size
    kernel[0] = 0
    tensors = {"conv.weight": kernel, "conv.bias": torch.randn(9000, generator=rng), "small.weight": kernel[:1, :9]}
    packed = pack_int8(tensors)
    assert packed["conv.weight"].dtype == torch.int8
    assert packed["conv.weight.scale"].dtype == torch.float16
    back = unpack_int8(packed, Path("w"))
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in ("conv.bias", "small.weight"))
    step = kernel.abs().flatten(1).amax(1).clamp(min=127 * 6.2e-5) / 127 * 1.002
    assert bool(((back["conv.weight"] - kernel).abs().flatten(1).amax(1) <= step / 2 * 1.001).all())
    with pytest.raises(RequestError, match=r"conv\.weight is int8 without a scale"):
        unpack_int8({"conv.weight": packed["conv.weight"]}, Path("w"))
