"""Optimisers and learning rates of a stage, as functions of the step alone."""

import math
from collections.abc import Iterable

import torch

from fusion.recipe import Stage


def make_optimizer(stage: Stage, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """Adam (weight decay as L2 in the gradient, as the release) or AdamW (decoupled)."""
    kind = torch.optim.Adam if stage.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=stage.lr, weight_decay=stage.weight_decay, fused=True)


def learning_rate(stage: Stage, step: int, steps_per_epoch: int) -> float:
    """Rate for the step-th update (from 0) of the stage."""
    if stage.schedule == "release":
        return stage.lr * (1.0 if step // steps_per_epoch < 2 else 0.1)
    total = stage.epochs * steps_per_epoch
    warmup = round(stage.warmup * total)
    if step < warmup:
        return stage.lr * (step + 1) / warmup
    return stage.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))
