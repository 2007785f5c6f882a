"""What runs on a GPU stays on it: forward passes, losses and inference networks on fake CUDA tensors, which need no
hardware. Every operation's results must be on the device: a copy to the CPU or a constant made there would be a
transfer a step, and reading a value (`.item()`) raises by itself."""

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fusion.losses import fusion_loss, plus_loss, reconstruction_loss
from fusion.network.crossfuse import CrossFuseNetwork
from fusion.network.inference import InferenceNetwork
from fusion.network.layers import AutoEncoder
from fusion.network.plus import CrossFusePlus, PlusAutoEncoder
from fusion.training.stages import FrozenEncoders

CUDA = torch.device("cuda")
NETWORKS = (CrossFuseNetwork, CrossFusePlus)


class OnDevice(TorchDispatchMode):
    """Fails at an operation whose result is not on the GPU; remembers the kinds of number that matrices had."""

    def __init__(self) -> None:
        super().__init__()
        self.products: set[torch.dtype] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                assert tensor.device.type == "cuda", f"{function} gives a tensor on the {tensor.device}"
        if function in (torch.ops.aten.convolution.default, torch.ops.aten.addmm.default, torch.ops.aten.mm.default):
            self.products.add(out.dtype)
        return out


@pytest.fixture(autouse=True)
def autocast_without_hardware(monkeypatch):
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda *_: True)


def on_gpu(network: torch.nn.Module) -> torch.nn.Module:
    """The network with its tensors replaced by fake ones on the GPU; call it among fake tensors."""
    for module in network.modules():
        for name, value in module.named_parameters(recurse=False):
            fake = torch.empty(value.shape, dtype=value.dtype, device=CUDA)
            module._parameters[name] = torch.nn.Parameter(fake, value.requires_grad)
        for name, value in module.named_buffers(recurse=False):
            module._buffers[name] = torch.empty(value.shape, dtype=value.dtype, device=CUDA)
    return network


def pair(size: tuple[int, ...] = (2, 1, 96, 128)) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.empty(size, device=CUDA), torch.empty(size, device=CUDA)


@pytest.mark.slow
@pytest.mark.parametrize("kind", NETWORKS)
def test_training_stays_on_the_device(kind):
    network = kind().train()
    with FakeTensorMode():
        on_gpu(network)
        infrared, visible = pair()
        with OnDevice() as watched, torch.autocast("cuda", torch.bfloat16):
            out = network(infrared, visible)
            losses = [fusion_loss(out, infrared, visible), plus_loss(out, infrared, visible, 10.0, 1.0)]
    assert out.shape == infrared.shape
    assert {loss.dtype for found in losses for loss in found.values()} == {torch.float32}
    assert torch.bfloat16 in watched.products


@pytest.mark.slow
def test_features_of_frozen_encoders_stay_on_the_device():
    network = CrossFuseNetwork().train()
    with FakeTensorMode():
        on_gpu(network)
        infrared, visible = pair()
        with OnDevice() as watched, torch.autocast("cuda", torch.bfloat16):
            deep = FrozenEncoders(network, None)(infrared, visible, torch.arange(2, device=CUDA))
            losses = fusion_loss(network(infrared, visible, *deep), infrared, visible)
    assert [tuple(features.shape) for features in deep] == 2 * [(2, 128, 12, 16)]
    assert losses["total"].dtype == torch.float32
    assert watched.products == {torch.bfloat16, torch.float32}  # shallow features and the last layers are fp32


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "ms_ssim"), [(AutoEncoder, "release"), (PlusAutoEncoder, "standard")])
def test_auto_encoders_stay_on_the_device(kind, ms_ssim):
    network = kind().train()
    with FakeTensorMode():
        on_gpu(network)
        image, _ = pair((2, 1, 192, 192))
        with OnDevice():
            losses = reconstruction_loss(network(image), image, ms_ssim)
    assert {loss.device.type for loss in losses.values()} == {"cuda"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", NETWORKS)
def test_inference_stays_on_the_device(kind):
    network = InferenceNetwork(kind().eval(), torch.device("meta"), "bf16")  # made as for any device but a CPU
    with FakeTensorMode():
        on_gpu(network)
        infrared, visible = pair((1, 1, 120, 161))
        with OnDevice() as watched:
            out = network(infrared, visible)
    assert (out.shape, out.dtype) == (infrared.shape, torch.float32)
    assert torch.bfloat16 in watched.products


@pytest.mark.parametrize(
    "leave", [torch.Tensor.cpu, lambda image: image * torch.ones(1), lambda image: image.sum().item()]
)
def test_what_leaves_the_device_is_noticed(leave):
    with FakeTensorMode():
        image, _ = pair()
        with OnDevice(), pytest.raises((AssertionError, RuntimeError)):
            leave(image)
