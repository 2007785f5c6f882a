"""The network's shapes, sizes and identities."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.network.attention import SelfBlock, from_tiles, to_maps, to_tiles, to_tokens
from fusion.network.crossfuse import CrossFuseNetwork, box_sum, shallow_weights, stretch
from fusion.network.layers import AutoEncoder, pad_reflect, pad_to


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return CrossFuseNetwork().eval()


@pytest.mark.slow
@settings(max_examples=12)
@given(height=st.integers(16, 70), width=st.integers(16, 70))
def test_every_size_from_16_up_is_fused(network, height, width):
    generator = torch.Generator().manual_seed(height * 100 + width)
    infrared, visible = torch.rand(2, 1, 1, height, width, generator=generator) * 255
    with torch.no_grad():
        fused = network(infrared, visible)
    assert fused.shape == infrared.shape
    assert torch.isfinite(fused).all()
    assert fused.min() == 0
    assert 254 < fused.max() < 255


@pytest.mark.parametrize("size", [(16, 16), (16, 300), (263, 17), (33, 31)])
def test_long_thin_and_odd_images(network, size):
    with torch.no_grad():
        fused = network(torch.rand(1, 1, *size) * 255, torch.rand(1, 1, *size) * 255)
    assert fused.shape[-2:] == size


def test_constant_images_are_finite(network):
    for value in (0.0, 128.0, 255.0):
        constant = torch.full((1, 1, 32, 40), value)
        with torch.no_grad():
            assert torch.isfinite(network(constant, constant)).all()
    assert (stretch(torch.full((2, 1, 4, 4), 7.0)) == 0).all()


@pytest.mark.parametrize("shapes", [((1, 1, 15, 40), (1, 1, 15, 40)), ((1, 1, 32, 32), (1, 1, 32, 40))])
def test_too_small_or_unequal_images_are_refused(network, shapes):
    with pytest.raises(ValueError, match="16x16"):
        network(torch.zeros(shapes[0]), torch.zeros(shapes[1]))


def test_parameter_counts_are_the_published_ones(network):
    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    assert count(network.encoder_ir) == 1_125_312
    assert count(AutoEncoder()) == 1_254_529
    assert 21.2e6 < count(network) < 21.4e6


@given(height=st.integers(2, 80), width=st.integers(2, 80), batch=st.integers(1, 3))
@settings(max_examples=25)
def test_tiles_come_back_unchanged(height, width, batch):
    x = torch.rand(batch, 3, height, width)
    tiles = to_tiles(x)
    assert tiles.shape[0] == batch * -(-height // 32) * -(-width // 32)
    assert torch.equal(from_tiles(tiles, batch, height, width), x)


def test_tokens_are_patches_in_channel_row_column_order():
    tiles = torch.arange(2 * 3 * 32 * 32, dtype=torch.float32).reshape(2, 3, 32, 32)
    tokens = to_tokens(tiles)
    assert torch.equal(tokens[1, 17], tiles[1, :, 2:4, 2:4].flatten())  # second row, second column of 16x16
    assert torch.equal(to_maps(tokens), tiles)


def test_the_releases_window_shift_changes_nothing():
    torch.manual_seed(0)
    block, tiles = SelfBlock(dim=512), torch.randn(2, 128, 32, 32)
    with torch.no_grad():
        plain = to_maps(block(to_tokens(tiles)))
        shifted = to_maps(block(to_tokens(torch.roll(tiles, (-16, -16), (2, 3)))))
    torch.testing.assert_close(torch.roll(shifted, (16, 16), (2, 3)), plain, rtol=1e-4, atol=1e-4)


def test_box_sum_equals_the_dense_kernel_of_the_release():
    x = torch.rand(2, 8, 9, 11, dtype=torch.float64).float()
    dense = torch.nn.functional.conv2d(x, torch.full((8, 8, 3, 3), 1 / 9), padding=1)
    torch.testing.assert_close(box_sum(x).expand_as(dense), dense, rtol=1e-5, atol=1e-5)


def test_weights_carry_no_gradient():
    x = torch.rand(1, 4, 8, 8, requires_grad=True)
    assert not any(weight.requires_grad for weight in shallow_weights(x, x))


def test_padding_follows_numpy_and_falls_back_to_edges():
    x = torch.rand(1, 1, 5, 4)
    expected = np.pad(x[0, 0].numpy(), ((1, 2), (0, 3)), mode="reflect")
    np.testing.assert_array_equal(pad_reflect(x, 0, 3, 1, 2)[0, 0], expected)
    edges = np.pad(x[0, 0].numpy(), ((0, 9), (0, 0)), mode="edge")
    np.testing.assert_array_equal(pad_reflect(x, 0, 0, 0, 9)[0, 0], edges)
    assert pad_to(x, 8, 7).shape[-2:] == (8, 7)
    np.testing.assert_array_equal(pad_to(x, 8, 7)[0, 0, 1:6, 1:5], x[0, 0])


@pytest.mark.slow
def test_mixed_precision_stays_near_full_precision(network):
    infrared, visible = torch.rand(2, 1, 1, 64, 64) * 255
    with torch.no_grad():
        full = network(infrared, visible)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = network(infrared, visible)
    assert mixed.dtype == torch.float32
    assert (full - mixed).abs().mean() < 6
