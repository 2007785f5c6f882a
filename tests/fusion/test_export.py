"""Exported networks: equal to the eager one, within a grey level in onnxruntime, at every size."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fuse2task.runtime.errors import Fuse2TaskError
from fusion import export as export_shapes
from fusion.checkpoint import save_crossfuse
from fusion.export import exported
from fusion.network import attention, layers
from fusion.network.crossfuse import CrossFuseNetwork
from fusion.network.plus import CrossFusePlus

SIZES = [(256, 256), (480, 640), (333, 421), (16, 16), (40, 300)]  # (height, width); the fourth is one tile


def pair(height, width, seed=0):
    """Smooth images: white noise has no structure that padding could get wrong."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 1, 9, 9, generator=generator) * 255
    return F.interpolate(coarse, (height, width), mode="bilinear")[:, None].unbind()


@pytest.fixture(scope="module", params=[CrossFuseNetwork, CrossFusePlus])
def network(request):
    torch.manual_seed(0)
    return request.param().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "weights.safetensors"
    save_crossfuse(path, network, {})
    return path


@given(st.integers(2, 70), st.integers(2, 70), st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=60)
def test_padding_and_tiles_equal_the_networks(height, width, dy, dx):
    x = torch.arange(3.0 * height * width).reshape(1, 3, height, width)
    with torch.no_grad():
        assert torch.equal(export_shapes.pad_to(x, height + dy, width + dx), layers.pad_to(x, height + dy, width + dx))
        tiles = attention.to_tiles(x)
        assert torch.equal(export_shapes.to_tiles(x), tiles)
        assert torch.equal(export_shapes.from_tiles(tiles, 1, height, width), x)


@given(st.integers(2, 70), st.integers(2, 70))
@settings(max_examples=30)
def test_overlapping_tiles_equal_the_networks(height, width):
    x = torch.arange(2.0 * height * width).reshape(1, 2, height, width) / (height * width)
    tiles = attention.to_overlapping_tiles(x)
    assert torch.equal(export_shapes.to_overlapping_tiles(x), tiles)
    changed = tiles + torch.arange(len(tiles))[:, None, None, None]  # so that neighbours disagree where they meet
    blended = attention.from_overlapping_tiles(changed, x.shape)
    torch.testing.assert_close(export_shapes.from_overlapping_tiles(changed, x.shape), blended, rtol=0, atol=1e-4)


def test_the_networks_own_functions_come_back():
    own = attention.to_tiles, layers.pad_reflect
    with export_shapes.size_free():
        assert attention.to_tiles is export_shapes.to_tiles
        assert attention.pad_reflect is export_shapes.pad_reflect
    assert (attention.to_tiles, layers.pad_reflect) == own


@pytest.fixture(scope="module")
def cases(network):
    """(infrared, visible, what eager makes of them) at every size."""
    return [(*pair(*size), network(*pair(*size))) for size in SIZES]


@pytest.mark.slow
def test_onnx_is_within_a_grey_level_of_eager(run_cli, checkpoint, network, cases, tmp_path):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "model.onnx"
    assert run_cli("fusion", "export", checkpoint, "-o", path) == 0, run_cli.error
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["network"] == type(network).__name__.removesuffix("Network")
    for infrared, visible, expected in cases:
        (fused,) = session.run(["fused"], {"infrared": infrared.numpy(), "visible": visible.numpy()})
        eager = expected.numpy()
        assert np.ptp(eager) > 50, "the pair is fused into something flat"
        assert np.abs(fused - eager).max() < 0.1
        assert np.abs(np.floor(fused) - np.floor(eager)).max() <= 1


@pytest.mark.slow
def test_exported_program_equals_eager(run_cli, checkpoint, cases, tmp_path):
    path = tmp_path / "model.pt2"
    assert run_cli("fusion", "export", checkpoint, "-o", path, "--format", "torch-export") == 0, run_cli.error
    module = torch.export.load(path).module()
    for infrared, visible, eager in cases:
        torch.testing.assert_close(module(infrared, visible), eager, rtol=0, atol=1e-3)


def test_a_network_that_decides_by_size_is_refused():
    class Undecided(nn.Module):
        def forward(self, infrared, visible):
            return infrared + visible if infrared.shape[-1] % 2 else infrared - visible

    with pytest.raises(Fuse2TaskError, match="Undecided cannot be exported for every image size"):
        exported(Undecided())
