"""What is decoded once: in memory, beyond it in files, and gone when the run is finished."""

import threading

import pytest
import torch

import fusion.training.samples
from fuse2task.training.run_folder import forget
from fusion.training.samples import KeptTensors


@pytest.fixture
def memory_for(monkeypatch):
    """`memory_for(n)`: from now on a run may fill n bytes."""

    def set_to(size: int) -> None:
        monkeypatch.setattr(fusion.training.samples, "_affordable", lambda: size)

    return set_to


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("in_memory", [0, 2, 9])
def test_everything_kept_is_found_as_it_was(tmp_path, memory_for, dtype, in_memory):
    tensors = [torch.randint(0, 255, (2, 3, 5)).to(dtype) for _ in range(5)]
    memory_for(in_memory * tensors[0].nbytes)
    kept = KeptTensors(tmp_path, "pairs")
    assert kept.find(0) is None
    for number, tensor in enumerate(tensors):
        kept.keep(number, tensor)
    found = [kept.find(number) for number in range(5)]
    assert all(f.dtype == dtype and torch.equal(f, t) for f, t in zip(found, tensors, strict=True))
    assert kept.find(5) is None
    assert len(list((tmp_path / "kept").rglob("*.safetensors"))) == max(0, 5 - in_memory)
    forget(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_memory_is_shared_among_the_processes_of_a_machine(monkeypatch):
    whole = fusion.training.samples._affordable()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert whole / 5 < fusion.training.samples._affordable() < whole / 3


def test_threads_may_keep_the_same_tensor_at_once(tmp_path, memory_for):
    memory_for(0)
    kept = KeptTensors(tmp_path, "pairs")
    tensor = torch.arange(1000)
    threads = [threading.Thread(target=kept.keep, args=(number % 2, tensor)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(kept.find(0), tensor)
    assert torch.equal(kept.find(1), tensor)
    assert len(list((tmp_path / "kept").rglob("*"))) == 3
