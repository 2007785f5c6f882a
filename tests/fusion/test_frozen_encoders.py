"""Deep features of frozen encoders: those of the encoders, computed once where a sample never changes."""

import pytest
import torch

from fusion.losses import fusion_loss
from fusion.network.attention import CrossAttention, TokenLinear
from fusion.network.crossfuse import CrossFuseNetwork
from fusion.training.samples import KeptTensors
from fusion.training.stages import FrozenEncoders


@pytest.fixture
def network():
    torch.manual_seed(3)
    network = CrossFuseNetwork().train()
    for encoder in (network.encoder_ir, network.encoder_vi):
        encoder.requires_grad_(False)
    return network


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(5)
    return [torch.rand(3, 1, 160, 160, generator=generator) * 255 for _ in range(2)]  # large enough for frequencies


def losses_and_gradients(network, batch, deep=()):
    network.zero_grad()
    losses = fusion_loss(network(*batch, *deep), *batch)
    losses["total"].backward()
    return losses, torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


@pytest.mark.slow
def test_features_are_those_of_the_encoders_and_train_alike(network, batch, tmp_path):
    kept = KeptTensors(tmp_path, "deep features")
    encoders, numbers = FrozenEncoders(network, kept), torch.tensor([4, 0, 9])
    with torch.no_grad():
        expected = [features[1] for features in network.features(*batch)]
    for _ in range(2):  # computed, then found
        deep = encoders(*batch, numbers)
        for ours, theirs in zip(deep, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
    losses, gradient = losses_and_gradients(network, batch)
    again, same_gradient = losses_and_gradients(network, batch, deep)
    assert {k: v.item() for k, v in again.items()} == pytest.approx({k: v.item() for k, v in losses.items()}, rel=1e-4)
    assert (gradient - same_gradient).norm() < 1e-3 * gradient.norm()


@pytest.mark.slow
def test_kept_features_are_not_computed_again_and_follow_their_number(network, batch, tmp_path, monkeypatch):
    encoders = FrozenEncoders(network, KeptTensors(tmp_path, "deep features"))
    computed, real = [], encoders._deep
    monkeypatch.setattr(encoders, "_deep", lambda *images: computed.append(len(images[0])) or real(*images))
    first = encoders(*batch, torch.tensor([1, 2, 3]))
    second = encoders(*(image.flip(0) for image in batch), torch.tensor([3, 2, 7]))
    assert computed == [1, 1, 1, 1]
    assert torch.equal(second[0][0], first[0][2])
    assert torch.equal(second[1][1], first[1][1])
    assert torch.equal(second[0][2], first[0][0])  # as it was in another batch


@pytest.mark.slow
def test_changing_samples_are_always_computed(network, batch):
    encoders, numbers = FrozenEncoders(network, None), torch.tensor([0, 1, 2])
    first = encoders(*batch, numbers)
    other = encoders(*(image.flip(-1) for image in batch), numbers)
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)])
def test_a_token_layer_trains_as_a_linear_one(shape):
    torch.manual_seed(1)
    layer, linear = TokenLinear(5, 4), torch.nn.Linear(5, 4)
    linear.load_state_dict(layer.state_dict())
    x, y = (torch.rand(shape, generator=torch.Generator().manual_seed(2), requires_grad=True) for _ in range(2))
    out, expected = layer(x), linear(y)
    torch.testing.assert_close(out, expected)
    weights = torch.arange(4.0)
    (out * weights).sum().backward()
    (expected * weights).sum().backward()
    for ours, theirs in ((x, y), (layer.weight, linear.weight), (layer.bias, linear.bias)):
        torch.testing.assert_close(ours.grad, theirs.grad)
    layer.eval()
    assert torch.equal(layer(x), linear(y))


def test_all_linear_layers_of_the_attention_are_token_layers():
    kinds = {type(m) for m in CrossAttention().modules() if isinstance(m, torch.nn.Linear)}
    assert kinds == {TokenLinear}
