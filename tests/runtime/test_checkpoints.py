"""Checkpoints, training states and run folders."""

from functools import partial

import pytest
import torch
from safetensors.torch import save_file

from fuse2task.runtime.checkpoints import load_checkpoint, load_into, save_checkpoint, tensor_hash
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.runfolder import RunFolder
from fuse2task.runtime.training_state import load_state, peek_counters, save_state


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


def test_run_folder_logs_rows_and_refuses_another_recipe(tmp_path):
    run = RunFolder(tmp_path / "run", {"lr": 0.1, "device": "cpu"})
    with run.held():
        run.log({"epoch": 1, "loss": 2.5})
        run.log({"epoch": 2, "loss": 2.0, "extra": "x"})
    assert run.rows() == [{"epoch": "1", "loss": "2.5", "extra": ""}, {"epoch": "2", "loss": "2.0", "extra": "x"}]
    run.keep_rows(1)
    assert len(run.rows()) == 1
    leftover = tmp_path / "run" / "resume" / ".state.safetensors.4711.tmp"
    leftover.write_text("half")
    again = RunFolder(tmp_path / "run", {"lr": 0.1, "device": "cuda"})
    assert not again.finished
    with again.held():
        assert not leftover.exists()
    with pytest.raises(RequestError, match=r"another recipe \(different: lr\)"):
        RunFolder(tmp_path / "run", {"lr": 0.2, "device": "cpu"})
    run.finish({"seed": 0})
    assert run.finished
    assert run.card() == {"seed": 0}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("x")
    with pytest.raises(RequestError, match="not empty and not a run folder"):
        RunFolder(tmp_path / "mine", {})
