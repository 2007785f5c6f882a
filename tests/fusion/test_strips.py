"""Crossfuse-plus in strips gives what the whole network gives."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.methods import make_method
from fusion.network.inference import InferenceNetwork
from fusion.network.plus import CrossFusePlus
from fusion.network.strips import fuse_in_strips, strips


@pytest.fixture(scope="module")
def made() -> InferenceNetwork:
    torch.manual_seed(0)
    return InferenceNetwork(CrossFusePlus().eval(), torch.device("cpu"))


@given(height=st.integers(16, 3000), rows=st.integers(1, 40).map(lambda n: 8 * n))
def test_strips_cover_every_row_once(height: int, rows: int) -> None:
    found = list(strips(height, rows))
    assert [row for top, bottom in found for row in range(top, bottom)] == list(range(height))
    assert all(top % 8 == 0 for top, _ in found)
    assert len(found) == 1 or min(bottom - top for top, bottom in found) >= rows


@settings(max_examples=4, deadline=None)
@given(height=st.integers(200, 300), width=st.integers(250, 300), tiles=st.integers(1, 4))
@torch.inference_mode()
def test_the_same_bits_for_every_size(made: InferenceNetwork, height: int, width: int, tiles: int) -> None:
    infrared, visible = torch.rand(2, 1, 1, height, width).mul(255).round()
    whole = made(infrared, visible)
    assert torch.equal(fuse_in_strips(made.network, infrared, visible, 8, tiles), whole)  # type: ignore[arg-type]


def test_little_memory_makes_strips_of_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    infrared, visible = np.random.default_rng(0).integers(0, 256, (2, 264, 280), dtype=np.uint8)
    called = []
    monkeypatch.setattr(
        "fusion.network.strips.fuse_in_strips", lambda *given: called.append(1) or fuse_in_strips(*given)
    )
    fused = [make_method(None, memory=memory).fuse_luma(infrared, visible) for memory in (0.05, 2.0)]
    assert len(called) == 1
    np.testing.assert_array_equal(*fused)
