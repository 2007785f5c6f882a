"""What a killed training run needs to go on to the same weights: one atomic safetensors file, no pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fuse2task.runtime.checkpoints import load_into, read_safetensors, tensor_hash
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import atomic_path, bytes_digest

FILE = "state.safetensors"
KEY = "hash and counters"


def save_state(
    folder: Path, modules: Mapping[str, torch.nn.Module], optimizer: torch.optim.Optimizer, counters: Mapping[str, Any]
) -> None:
    """Write modules, optimiser state and `counters` (JSON values) to `folder`, replacing the former state at once.

    Learning rates are not kept: a trainer sets them from its step counter.
    """
    tensors = {
        f"{name}/{key}": value.detach().cpu().clone().contiguous()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            tensors[f"optimizer/{index}/{key}"] = torch.as_tensor(value).detach().cpu().clone().contiguous()
    with atomic_path(Path(folder) / FILE) as temporary:
        text = json.dumps(dict(counters))
        # One key: safetensors writes several in random order, and equal states are to be equal bytes.
        save_file(tensors, temporary, metadata={KEY: f"{_hash(tensors, text)} {text}"})


def peek_counters(folder: Path) -> dict[str, Any] | None:
    """The counters of a saved state, or None where there is none.

    Raises:
        RequestError: the state is damaged.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as handle:
            return json.loads((handle.metadata() or {})[KEY].partition(" ")[2])
    except Exception as error:  # as in `read_safetensors`
        raise _damaged(path, error) from None


def load_state(
    folder: Path, modules: Mapping[str, torch.nn.Module], optimizer: torch.optim.Optimizer
) -> dict[str, Any] | None:
    """Restore what `save_state` wrote; returns its counters, or None where nothing was saved.

    Raises:
        RequestError: the state is damaged or belongs to another network.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return None
    tensors, metadata = read_safetensors(path)
    found, _, text = metadata.get(KEY, "").partition(" ")
    if found != _hash(tensors, text):
        raise _damaged(path, "it does not match its own hash")
    for name, module in modules.items():
        part = {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
        load_into(module, part, path)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, index, field = key.split("/", 2)
            state.setdefault(int(index), {})[field] = value
    try:
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        _lay_out_as_parameters(optimizer)
        return json.loads(text)
    except (ValueError, KeyError) as error:
        raise _damaged(path, error) from None


def _lay_out_as_parameters(optimizer: torch.optim.Optimizer) -> None:
    # Fused optimisers walk through memory, whatever the strides, and files know contiguous tensors alone.
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            if torch.is_tensor(value) and value.shape == parameter.shape:
                values[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _hash(tensors: Mapping[str, torch.Tensor], counters: str) -> str:
    return bytes_digest(f"{tensor_hash(tensors)} {counters}".encode())


def _damaged(path: Path, reason: object) -> RequestError:
    return RequestError(f"{path}: cannot be resumed from ({reason}); remove the run folder and start again")
