"""On a GPU that is there: training steps never make the CPU wait, and give the CPU's losses and gradients."""

import copy

import pytest
import torch

from fusion.losses import fusion_loss, plus_loss, reconstruction_loss
from fusion.network.crossfuse import CrossFuseNetwork
from fusion.network.inference import InferenceNetwork
from fusion.network.layers import AutoEncoder
from fusion.network.plus import CrossFusePlus, PlusAutoEncoder

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
CUDA = torch.device("cuda")
STEPS = {
    AutoEncoder: lambda network, infrared, _: reconstruction_loss(network(infrared), infrared),
    PlusAutoEncoder: lambda network, infrared, _: reconstruction_loss(network(infrared), infrared, "standard"),
    CrossFuseNetwork: lambda network, *pair: fusion_loss(network(*pair), *pair),
    CrossFusePlus: lambda network, *pair: plus_loss(network(*pair), *pair, 5.0, 20.0),
}


@pytest.fixture(autouse=True)
def single_precision():
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def made(kind: type[torch.nn.Module]) -> tuple[torch.nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(0)
    coarse = torch.nn.functional.interpolate(torch.rand(4, 1, 24, 24), (192, 192), mode="bilinear")
    return kind(), (200 * coarse + 40 * torch.rand_like(coarse)).split(2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", STEPS)
def test_a_step_gives_the_losses_and_gradients_of_the_cpu(kind):
    network, images = made(kind)
    on_gpu = copy.deepcopy(network).to(CUDA)
    norms, totals = [], []
    for model, pair in ((network, images), (on_gpu, [image.to(CUDA) for image in images])):
        losses = STEPS[kind](model.train(), *pair)
        losses["total"].backward()
        totals.append(losses["total"].item())
        squares = [parameter.grad.double().square().sum().cpu() for parameter in model.parameters()]
        norms.append(torch.stack(squares).sum().sqrt().item())
    # Near-zero denominators of the faithful network spread rounding over some 1e-3 from one processor to another.
    assert totals[1] == pytest.approx(totals[0], rel=1e-3)
    assert norms[1] == pytest.approx(norms[0], rel=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", STEPS)
def test_a_step_does_not_wait_for_the_device(kind):
    network, images = made(kind)
    network, pair = network.to(CUDA).train(), [image.to(CUDA) for image in images]
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            out = STEPS[kind](network, *pair)
        out["total"].backward()
        optimizer.step()
        optimizer.zero_grad()

    step()  # the first one chooses algorithms and makes the optimiser's state
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [CrossFuseNetwork, CrossFusePlus])
@pytest.mark.parametrize(("precision", "most"), [("fp32", 0.05), ("bf16", 8.0)])
def test_inference_gives_the_images_of_the_cpu(kind, precision, most):
    network, images = made(kind)
    found = InferenceNetwork(network.eval(), CUDA, precision)(*[image.to(CUDA) for image in images]).cpu()
    difference = (found - InferenceNetwork(network, torch.device("cpu"))(*images)).abs()
    assert difference.flatten().quantile(0.999) <= most
