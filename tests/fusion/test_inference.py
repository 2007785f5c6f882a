"""The network made for inference against the trained one, the release's outputs, and its own parts."""

import copy
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.methods import make_method
from fusion.network.crossfuse import CrossFuseNetwork
from fusion.network.inference import (
    InferenceNetwork,
    PackedLinear,
    UpsampledConv,
    fold_norm,
    joined_in_place,
    pick_inference_precision,
)
from fusion.network.layers import Conv, DenseBlock, upsample
from fusion.network.plus import PlusFusionDecoder
from fusion.network.spectral_block import SpectralDenseBlock, impulse_response
from fusion.release import import_release

CPU = torch.device("cpu")
sides = st.integers(16, 120)


@pytest.fixture(scope="module")
def network():
    """Random weights, with statistics in the normalisation that folding must not miss.

    The deep features are lifted off zero: where the sum of their box means is near it, a weight's rounding alone
    moves a whole patch by hundredths of a grey level, in the trained network (against fp64) as in the faster one.
    """
    torch.manual_seed(0)
    made = CrossFuseNetwork().eval()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values in (module.weight, module.bias, module.running_mean):
                torch.nn.init.normal_(values, 0.3, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    for encoder in (made.encoder_ir, made.encoder_vi):
        torch.nn.init.constant_(encoder.dense2.adjust.conv.bias, 1)
    return made


@pytest.fixture(scope="module")
def fast(network):
    return InferenceNetwork(network, CPU)


def _pair(height, width, batch=1, seed=0):
    """Smooth images with noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(torch.rand(2 * batch, 1, 5, 6, generator=generator), (height, width), mode="bilinear")
    return (200 * coarse + 40 * torch.rand(2 * batch, 1, height, width, generator=generator)).split(batch)


def _near(found, expected):
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("case", ["250x301", "256x256"])
def test_equals_the_release(golden, release_files, case):
    expected = np.load(golden / f"case_{case}.npz")
    made = InferenceNetwork(import_release(*release_files(int(expected["seed"]))), CPU)
    infrared, visible = (torch.from_numpy(expected[key]).float()[:, None] for key in ("ir", "vi"))
    fused = made(infrared, visible)[:, 0].numpy()
    assert np.percentile(np.abs(fused - expected["fused"]), 99.9) < 1e-3


def test_the_benchmarks_baseline_equals_the_release(golden, release_files, monkeypatch):
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "inference.py"
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location("benchmark_of_inference", path)
    baseline = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(baseline)
    expected = np.load(golden / "case_250x301.npz")
    weights = import_release(*release_files(int(expected["seed"])))
    infrared, visible = (torch.from_numpy(expected[key][:1]).float()[:, None] for key in ("ir", "vi"))
    with torch.no_grad():
        fused = baseline.fuse_per_tile(weights, infrared, visible)[:, 0].numpy()
    assert np.percentile(np.abs(fused - expected["fused"][:1]), 99.9) < 1e-3


@pytest.mark.slow
@settings(max_examples=10)
@given(height=sides, width=sides)
def test_equals_the_trained_network_at_any_size(network, fast, height, width):
    pair = _pair(height, width, seed=height * 1000 + width)
    with torch.no_grad():
        _near(fast(*pair), network(*pair))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(16, 16), (16, 300), (263, 17), (264, 331)])
def test_equals_the_trained_network_on_thin_and_several_tiled_images(network, fast, size):
    pair = _pair(*size)
    with torch.no_grad():
        _near(fast(*pair), network(*pair))


@pytest.mark.slow
def test_a_batch_equals_its_pairs_one_by_one(fast):
    infrared, visible = _pair(150, 170, batch=3)
    together = fast(infrared, visible)
    apart = torch.cat([fast(infrared[i : i + 1], visible[i : i + 1]) for i in range(3)])
    assert (together - apart).abs().max() < 1e-3
    assert (together[0] - together[1]).abs().max() > 1


@pytest.mark.slow
def test_the_trained_network_stays_as_it_was(network):
    trained = copy.deepcopy(network).train()
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    made = InferenceNetwork(trained, CPU)
    assert not made(*_pair(64, 80)).requires_grad
    after = trained.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())
    assert trained.training
    assert all(parameter.requires_grad for parameter in trained.parameters())
    trained(*_pair(64, 80)).sum().backward()
    assert all(parameter.grad is not None for parameter in trained.encoder_ir.parameters())


def test_too_small_or_unequal_images_are_refused(fast):
    for shapes in (((1, 1, 15, 40),) * 2, ((1, 1, 32, 32), (1, 1, 32, 40))):
        with pytest.raises(ValueError, match="16x16"):
            fast(*(torch.zeros(shape) for shape in shapes))


@pytest.mark.slow
def test_bf16_stays_within_three_grey_levels(network):
    pair = _pair(200, 230)
    made = InferenceNetwork(network, CPU, "bf16")
    with torch.no_grad():
        difference = (made(*pair) - network(*pair)).abs()
    assert (difference <= 3).float().mean() >= 0.999
    assert difference.max() > 1e-3  # it was bf16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-2), ("bf16", 3)])
def test_a_gpu_gives_the_same_image(network, precision, limit):
    pair = _pair(264, 331, batch=2)
    made = InferenceNetwork(network, torch.device("cuda"), precision)
    with torch.no_grad():
        difference = (made(*(image.cuda() for image in pair)).cpu() - network(*pair)).abs()
    assert (difference <= limit).float().mean() >= 0.999


def test_auto_is_bf16_only_where_a_cpu_has_amx(monkeypatch):
    for has_amx, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda has_amx=has_amx: has_amx)
        assert pick_inference_precision("auto", CPU) == expected
        assert pick_inference_precision("fp32", CPU) == "fp32"
        assert pick_inference_precision("bf16", CPU) == "bf16"


@settings(max_examples=15)
@given(height=st.integers(4, 130), width=st.integers(4, 130), batch=st.integers(1, 2))
def test_spectral_block_equals_its_layers(height, width, batch):
    torch.manual_seed(height)
    block = DenseBlock(4, growth=6, outputs=8)
    x = torch.randn(batch, 4, height, width)
    with torch.no_grad():
        torch.testing.assert_close(SpectralDenseBlock(block)(x), block(x), rtol=1e-4, atol=2e-5)


def test_large_maps_in_several_bands_equal_one(monkeypatch):
    torch.manual_seed(0)
    block = DenseBlock(2, growth=3, outputs=4)
    x = torch.randn(1, 2, 120, 90)
    spectral = SpectralDenseBlock(block)
    with torch.no_grad():
        whole = spectral(x)
        monkeypatch.setattr("fusion.network.spectral_block.WINDOWS", 1)
        torch.testing.assert_close(spectral(x), whole)


def test_impulse_response_is_the_block_as_one_convolution():
    torch.manual_seed(1)
    block = DenseBlock(3, growth=5, outputs=7).double()
    x = torch.randn(1, 3, 20, 22, dtype=torch.float64)
    response, bias = impulse_response(block)
    with torch.no_grad():
        expected = block(x)[..., 4:-4, 4:-4]
        found = F.conv2d(x, response.transpose(0, 1).flip(2, 3), bias)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@given(height=st.integers(2, 20), width=st.integers(2, 20))
@settings(max_examples=15)
def test_upsampled_convolution_equals_upsampling_then_convolving(height, width):
    torch.manual_seed(width)
    layer = Conv(3, 5, 3, norm=True).eval()
    torch.nn.init.uniform_(layer.norm.running_var, 0.5, 2)
    torch.nn.init.normal_(layer.norm.running_mean)
    x = torch.randn(2, 3, height, width)
    with torch.no_grad():
        torch.testing.assert_close(UpsampledConv(*fold_norm(layer))(x), layer(upsample(x)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("packed", [True, False])
def test_packed_linear_equals_linear(packed, monkeypatch):
    if not packed:
        monkeypatch.setattr("fusion.network.inference.has_packed_linear", lambda dtype: False)
    torch.manual_seed(0)
    linear, x = torch.nn.Linear(24, 40), torch.randn(2, 7, 24)
    assert PackedLinear(linear).packed == packed
    with torch.no_grad():
        expected = linear(x)
        torch.testing.assert_close(PackedLinear(linear)(x), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(PackedLinear(linear, gelu=True)(x), F.gelu(expected), rtol=1e-5, atol=1e-5)
        rounded = PackedLinear(linear, torch.bfloat16)(x)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, expected, rtol=2e-2, atol=2e-2)


def test_a_method_fuses_a_batch_as_its_pairs(tmp_path):
    rng = np.random.default_rng(4)
    images = [(rng.integers(0, 256, (40, 48), np.uint8), rng.integers(0, 256, (40, 48, 3), np.uint8)) for _ in range(3)]
    method = make_method("crossfuse-plus", device="cpu")
    assert method.batch_pixels == 0
    together = method.fuse_batch([None] * 3, images)
    for fused, both in zip(together, images, strict=True):
        alone = method.fuse(None, *both)
        for ours, theirs in ((fused.gray, alone.gray), (fused.rgb, alone.rgb)):
            assert np.abs(ours.astype(int) - theirs).max() <= 1
            assert (ours != theirs).mean() < 1e-3
    assert (together[0].gray != together[1].gray).mean() > 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(2, 2), (5, 7), (16, 33)])
def test_maps_are_joined_in_place_as_they_are_one_by_one(dtype, size):
    torch.manual_seed(0)
    parts = [torch.rand(2, channels, *size).contiguous(memory_format=torch.channels_last) for channels in (3, 4, 2)]
    expected = PlusFusionDecoder().joined(parts, dtype)
    found = joined_in_place(parts, dtype)
    assert torch.equal(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
