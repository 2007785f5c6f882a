"""CrossFuse-plus: sizes, tiles without seams, and what a hot pixel does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.losses import plus_loss
from fusion.network.attention import from_overlapping_tiles, to_overlapping_tiles
from fusion.network.inference import InferenceNetwork
from fusion.network.plus import REST, CrossFusePlus


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return CrossFusePlus().eval()


def pair(*size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 1, 1, *size, generator=generator) * 255


@pytest.mark.slow
@settings(max_examples=12)
@given(height=st.integers(16, 70), width=st.integers(16, 70))
def test_every_size_from_16_up_is_fused(network, height, width):
    infrared, visible = pair(height, width, seed=height * 100 + width)
    with torch.no_grad():
        fused = network(infrared, visible)
    assert fused.shape == infrared.shape
    assert torch.isfinite(fused).all()
    assert fused.min() >= 0
    assert fused.max() <= 255


@pytest.mark.parametrize("size", [(16, 16), (16, 300), (263, 17), (281, 300)])
def test_long_thin_and_odd_images(network, size):
    with torch.no_grad():
        assert network(*pair(*size)).shape[-2:] == size


def test_too_small_or_unequal_images_are_refused(network):
    with pytest.raises(ValueError, match="16x16"):
        network(torch.zeros(1, 1, 15, 40), torch.zeros(1, 1, 15, 40))


@given(height=st.integers(2, 90), width=st.integers(2, 90), batch=st.integers(1, 3))
@settings(max_examples=25)
def test_blended_tiles_of_one_map_are_that_map(height, width, batch):
    x = torch.rand(batch, 3, height, width)
    tiles = to_overlapping_tiles(x)
    assert tiles.shape[1:] == (3, 32, 32)
    torch.testing.assert_close(from_overlapping_tiles(tiles, x.shape), x)


def test_a_tile_fades_out_towards_its_border():
    # The middle tile of three alone is lit: a step there would be the seam that plain tiles show.
    x = torch.zeros(1, 1, 32, 64)
    tiles = to_overlapping_tiles(x).clone()  # of one channel they share memory
    tiles[1] = 1
    line = from_overlapping_tiles(tiles, x.shape)[0, 0, 16]
    assert len(tiles) == 3
    assert line.diff().abs().max() < 0.12
    assert line[16:48].max() > 0.98
    assert line[:8].max() == 0


def test_one_hot_pixel_stays_local(network):
    infrared, visible = pair(64, 64) / 2
    hot = infrared.clone()
    hot[..., 32, 32] = 255
    with torch.no_grad():
        change = (network(hot, visible) - network(infrared, visible)).abs()[0, 0]
    change[24:41, 24:41] = 0
    assert change.mean() < 0.5  # the faithful network's min-max stretch moves every grey level


def test_output_is_within_reach_of_both_images(network):
    infrared, visible = pair(40, 56)
    with torch.no_grad():
        fused = network(infrared, visible)
    assert (fused <= torch.maximum(infrared, visible) + REST).all()
    assert (fused >= torch.minimum(infrared, visible) - REST).all()


def test_inference_is_equal_and_bf16_is_near(network):
    infrared, visible = pair(72, 88)
    with torch.no_grad():
        expected = network(infrared, visible)
    torch.testing.assert_close(InferenceNetwork(network, torch.device("cpu"))(infrared, visible), expected)
    near = InferenceNetwork(network, torch.device("cpu"), "bf16")(infrared, visible)
    assert near.dtype == torch.float32
    assert (near - expected).abs().mean() < 2


def test_loss_of_the_ideal_image_is_its_structure_alone():
    flat, step = torch.full((1, 1, 24, 24), 40.0), torch.full((1, 1, 24, 24), 60.0)
    step[..., 12:] = 90
    losses = plus_loss(step, flat, step, 5.0, 20.0)
    assert losses["intensity"] == 0
    assert losses["gradient"] == 0
    assert losses["total"] == losses["structure"] > 0
    blurred = torch.nn.functional.avg_pool2d(step, 3, 1, 1, count_include_pad=False)
    assert plus_loss(blurred, flat, step, 5.0, 20.0)["gradient"] > 1


def test_gradient_target_keeps_the_sign():
    up = torch.arange(24.0).expand(1, 1, 24, 24) * 4
    down = up.flip(-1)
    flat = torch.zeros_like(up)
    assert plus_loss(up, up, flat, 1.0, 0.0)["gradient"] == 0
    assert plus_loss(down, up, flat, 1.0, 0.0)["gradient"] == pytest.approx(4.0)  # 8 off along rows, 0 along columns
