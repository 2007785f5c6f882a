"""The folder of a training run: recipe.yaml, log.csv, samples/, checkpoints, resume/, card.json.

resume/ holds what a killed run needs to continue to the same weights: one atomic safetensors file, no pickle.
"""

import contextlib
import csv
import fnmatch
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import safe_open
from safetensors.torch import save_file

from fuse2task.runtime.checkpoints import load_into, read_safetensors, tensor_hash
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import (
    atomic_path,
    bytes_digest,
    read_json,
    refuse_links,
    remove_leftovers,
    write_json,
    write_text,
)
from fuse2task.runtime.locks import make_folder, sole_writer
from fuse2task.runtime.progress import say
from fuse2task.runtime.reading import read_csv
from fuse2task.runtime.records import NOT_DECISIVE, card_record, differing, kept_recipe, refuse

SCRATCH = "kept"  # what a run can make again at any time
STATE, KEY = "state.safetensors", "hash and counters"
_LOCK = ".lock"


def forget(root: Path) -> None:
    """Remove the scratch folder of the run in `root`."""
    shutil.rmtree(root / SCRATCH, ignore_errors=True)


class RunFolder:
    """A run folder bound to its resolved recipe (a plain mapping of JSON values). Opening an existing folder continues
    it; the recipe must be the same but for device and workers. It is written within `held`. RequestError: a run of
    another recipe, one that cannot be read, or files that are no run."""

    def __init__(self, root: Path, recipe: Mapping[str, Any]):
        self.root = Path(root)
        self.samples, self.resume = self.root / "samples", self.root / "resume"
        self.best, self.last = self.root / "best.safetensors", self.root / "last.safetensors"
        self._log, self._card = self.root / "log.csv", self.root / "card.json"
        self._kept, self._recipe = self.root / "recipe.yaml", dict(recipe)
        refuse_links(self.root)
        self._check()

    @contextlib.contextmanager
    def held(self, main: bool = True) -> Iterator[None]:
        """Be the folder's only writer in the block; of a run's several processes the main one is.

        What a killed run left half-written is removed. Fuse2TaskError: another run is writing the folder; RequestError:
        as for the class.
        """
        if not main:
            yield
            return
        with sole_writer(self.root, self.root / _LOCK):
            self._check()
            remove_leftovers(self.root)
            forget(self.root)  # its sources may have changed since
            if not self._kept.is_file():
                write_text(self._kept, yaml.safe_dump(self._recipe, sort_keys=False))
            for folder in (self.samples, self.resume):
                make_folder(folder)
            yield

    @property
    def is_begun(self) -> bool:
        """Whether the folder is there, with its recipe."""
        return self._kept.is_file()

    @property
    def finished(self) -> bool:
        """Whether the run has ended well (its card is there)."""
        return self._card.is_file()

    def is_trained(self, made_of: Mapping[str, Any]) -> bool:
        """Whether the run has ended well. RequestError: it is made of something else than `made_of`."""
        if self.finished:
            refuse(self.root, "a training run", card_record(self.root, made_of).differing())
            say(f"{self.root}: already trained; remove the folder to train again")
        return self.finished

    def refuse_resuming(self, before: Any, made_of: Mapping[str, Any]) -> None:
        """RequestError: the run was begun `before`, as its saved state says, on something else than `made_of`."""
        refuse(self.root, "a training run", differing(before, made_of))

    def card(self) -> dict[str, Any]:
        """The card of a finished run."""
        return read_json(self._card, "run card")

    def finish(self, card: Mapping[str, Any]) -> None:
        """Remove the scratch folder and write the card, which marks the run as finished."""
        forget(self.root)
        write_json(self._card, dict(card))

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one row to log.csv; a column that is new is added to the rows before it as empty."""
        self._write([*self.rows(), {key: str(value) for key, value in row.items()}])

    def rows(self) -> list[dict[str, str]]:
        """The rows of log.csv as texts. RequestError: the file is damaged."""
        return read_csv(self._log, "log")[1] if self._log.is_file() else []

    def keep_rows(self, count: int) -> None:
        """Cut log.csv to its first `count` rows: what a killed run logged after its last saved state goes."""
        rows = self.rows()
        if len(rows) > count:
            self._write(rows[:count])

    def _write(self, rows: list[dict[str, str]]) -> None:
        if not rows:
            self._log.unlink()
            return
        columns = list(dict.fromkeys(key for row in rows for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self._log, text.getvalue())

    def _check(self) -> None:
        if not self._kept.is_file():
            names = {path.name for path in self.root.iterdir()} if self.root.is_dir() else set()
            # The lock and half a recipe are what a run leaves that is killed before its recipe is written.
            if names - {_LOCK, *fnmatch.filter(names, f".{self._kept.name}.*.tmp")}:
                raise RequestError(f"{self.root}: not empty and not a run folder; give another -o")
            return
        before, recipe = kept_recipe(self.root), self._recipe
        keys = [key for key in {**before, **recipe} if key not in NOT_DECISIVE]
        if others := [key for key in keys if before.get(key) != recipe.get(key)]:
            refuse(self.root, "a training run", [f"recipe (different: {', '.join(map(str, others))})"])


def save_state(
    folder: Path, modules: Mapping[str, torch.nn.Module], optimizer: torch.optim.Optimizer, counters: Mapping[str, Any]
) -> None:
    """Write modules, optimiser state and `counters` (JSON values) to `folder`, replacing the former state at once.
    Learning rates are not kept: a trainer sets them from its step counter."""
    parts = {name: module.state_dict() for name, module in modules.items()}
    parts |= {f"optimizer/{index}": state for index, state in optimizer.state_dict()["state"].items()}
    tensors = {
        f"{name}/{key}": torch.as_tensor(value).detach().cpu().clone().contiguous()
        for name, part in parts.items()
        for key, value in part.items()
    }
    with atomic_path(Path(folder) / STATE) as temporary:
        text = json.dumps(dict(counters))
        # One key: safetensors writes several in random order, and equal states are to be equal bytes.
        save_file(tensors, temporary, metadata={KEY: f"{_state_hash(tensors, text)} {text}"})


def peek_counters(folder: Path) -> dict[str, Any] | None:
    """The counters of a saved state, or None where there is none. RequestError: the state is damaged."""
    path = Path(folder) / STATE
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
    """Restore what `save_state` wrote; returns its counters, or None where nothing was saved. RequestError: the state
    is damaged or belongs to another network."""
    path = Path(folder) / STATE
    if not path.is_file():
        return None
    tensors, metadata = read_safetensors(path)
    found, _, text = metadata.get(KEY, "").partition(" ")
    if found != _state_hash(tensors, text):
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


def _state_hash(tensors: Mapping[str, torch.Tensor], counters: str) -> str:
    return bytes_digest(f"{tensor_hash(tensors)} {counters}".encode())


def _damaged(path: Path, reason: object) -> RequestError:
    return RequestError(f"{path}: cannot be resumed from ({reason}); remove the run folder and start again")
