"""Devices, processes and experiment trackers, through accelerate."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker
from accelerate.utils import DataLoaderConfiguration
from torch import Tensor

from fuse2task.runtime.compute import Precision, pick_device, pick_precision
from fuse2task.runtime.errors import RequestError


def make_accelerator(device: str, precision: Precision) -> Accelerator:
    """An Accelerator on `device` (auto, cpu, cuda:1 ...) in fp32 or bf16.

    Accelerate keeps its settings for the life of a process; they are forgotten first, so that a process can
    train one network in bf16 and the next in fp32. Under torchrun the process's own device is taken. A loader that
    is prepared has its batches split over the processes: the batch of a recipe is the whole one. RequestError: as
    `pick_device`.
    """
    picked = pick_device(device)
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    AcceleratorState._reset_state(reset_partial_state=not distributed)
    if picked.type == "cuda" and picked.index is not None and not distributed:
        torch.cuda.set_device(picked)
    mixed = "bf16" if pick_precision(precision, picked) == "bf16" else "no"
    loading = DataLoaderConfiguration(split_batches=True, dispatch_batches=False)
    return Accelerator(mixed_precision=mixed, cpu=picked.type == "cpu", dataloader_config=loading)


def mean_losses(losses: Mapping[str, Tensor], accelerator: Accelerator) -> Tensor:
    """Losses (scalars) in one tensor (N,) on their device: means over the processes, each of which has an equal share
    of the batch. Reading it makes the CPU wait for a GPU."""
    return accelerator.reduce(torch.stack([loss.detach() for loss in losses.values()]), "mean")


def open_tracker(name: str, folder: Path, recipe: dict[str, Any]) -> GeneralTracker:
    """The tracker `name` (tensorboard, wandb or mlflow), writing into `folder`, with the recipe beside the curves.
    Nothing is sent anywhere unless WANDB_MODE or MLFLOW_TRACKING_URI ask for it: W&B works offline (`wandb sync`
    uploads later), MLflow in a file of its own. RequestError: its package is missing."""
    from pandas import json_normalize

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    PartialState()  # trackers write on the main process alone, and ask which one that is
    if name == "wandb":
        os.environ.setdefault("WANDB_MODE", "offline")
        options: dict[str, Any] = {"run_name": "fuse2task", "dir": str(folder), "name": folder.parent.name}
    elif name == "mlflow":
        os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{folder.resolve()}/mlflow.db")
        options = {"experiment_name": "fuse2task", "logging_dir": str(folder), "run_name": folder.parent.name}
    else:
        options = {"run_name": ".", "logging_dir": str(folder)}
    try:
        tracker = LOGGER_TYPE_TO_CLASS[name](**options)
        tracker.start()
    except ImportError:
        raise RequestError(f"tracking with {name} needs its package: pip install 'fuse2task[{name}]'") from None
    flat = json_normalize(recipe).to_dict("records")[0]  # nested values by dotted name
    plain = {key: value if isinstance(value, str | int | float) else str(value) for key, value in flat.items()}
    tracker.store_init_configuration(plain)
    return tracker
