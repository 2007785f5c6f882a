"""Accelerate's helper object, made from a recipe's device and precision."""

from collections.abc import Mapping

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration
from torch import Tensor

from fuse2task.runtime.compute import Precision, pick_device, pick_precision


def make_accelerator(device: str, precision: Precision) -> Accelerator:
    """An Accelerator on `device` (auto, cpu, cuda:1 ...) in fp32 or bf16.

    Accelerate keeps its settings for the life of a process; they are forgotten first, so that a process can
    train one network in bf16 and the next in fp32. Under torchrun the process's own device is taken. A loader that
    is prepared has its batches split over the processes: the batch of a recipe is the whole one.

    Raises:
        RequestError: as `pick_device`.
    """
    picked = pick_device(device)
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    AcceleratorState._reset_state(reset_partial_state=not distributed)
    if picked.type == "cuda" and picked.index is not None and not distributed:
        torch.cuda.set_device(picked)
    mixed = "bf16" if pick_precision(precision, picked) == "bf16" else "no"
    loading = DataLoaderConfiguration(split_batches=True, dispatch_batches=False)
    return Accelerator(mixed_precision=mixed, cpu=picked.type == "cpu", dataloader_config=loading)


def numbers_of(losses: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, float]:
    """Losses (scalars) as numbers: means over the processes, each of which has an equal share of the batch.

    One transfer for all of them: each makes the CPU wait for a GPU.
    """
    values = accelerator.reduce(torch.stack([loss.detach() for loss in losses.values()]), "mean")
    return dict(zip(losses, values.tolist(), strict=True))
