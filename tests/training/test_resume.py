"""States of a training run: a restored one continues exactly."""

from functools import partial

import pytest
import torch

from fuse2task.runtime.errors import RequestError
from fuse2task.training.run_folder import load_state, peek_counters, save_state


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, partial(torch.optim.AdamW, fused=True)])
def test_a_restored_training_goes_on_exactly(tmp_path, kind, layout):
    def build():
        convolutions = torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 5, 3)
        return torch.nn.Sequential(*convolutions).to(memory_format=layout)

    network = build()

    def step(model, optimizer, seed):
        x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
        model(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    optimizer = kind(network.parameters(), lr=0.01)
    for seed in range(3):
        step(network, optimizer, seed)
    save_state(tmp_path, {"net": network}, optimizer, {"step": 3})
    other = build()
    restored = kind(other.parameters(), lr=0.01)
    assert peek_counters(tmp_path) == load_state(tmp_path, {"net": other}, restored) == {"step": 3}
    for seed in range(3, 6):
        step(network, optimizer, seed)
        step(other, restored, seed)
    expected, found = network.state_dict(), other.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    with pytest.raises(RequestError, match="another network"):
        load_state(tmp_path, {"net": torch.nn.Linear(1, 1)}, restored)
    assert load_state(tmp_path / "empty", {"net": other}, restored) is None
