"""The recipe of CrossFuse's training."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from fuse2task.config.recipes import Recipe
from fuse2task.runtime.device import Precision
from fusion.losses import MsSsim


class Source(Recipe):
    """One dataset to take training pairs from; `split` is a split list (path or shipped name)."""

    root: Path
    layout: str
    split: str | None = None
    parts: tuple[str, ...] = ("train",)


class Sampling(Recipe):
    """How a training sample is made from a pair. resize squashes as the release does; crop cuts at native scale."""

    size: int = Field(default=256, ge=16, description="side of the square sample in pixels")
    mode: Literal["resize", "crop"] = "crop"
    flips: bool = True


class Stage(Recipe):
    """Optimisation of one stage.

    samples: how many are drawn each epoch (null: each pair once; more than there are pairs repeats them).
    schedule: `release` is x0.1 from the third epoch on; `cosine` falls to zero after a linear warm-up.
    """

    epochs: int = Field(ge=1)
    samples: int | None = Field(None, ge=1)
    batch: int = Field(ge=1)
    optimizer: Literal["adam", "adamw"] = "adamw"
    lr: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["release", "cosine"] = "cosine"
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps, cosine schedule only")
    clip: float | None = Field(None, gt=0, description="largest gradient norm, null for none")


class Stage1(Stage):
    """The auto-encoders. ms_ssim: the release's dialect or the standard definition."""

    ms_ssim: MsSsim = "release"


class Stage2(Stage):
    """Cross-attention module and fusion decoder, encoders frozen."""

    gradient_weight: float = 10.0
    deep_gain: float = Field(
        1.0,
        gt=0,
        description="first scale of the decoder's last 3x3 batch norm: the share of the deep path in the sum with the "
        "shallow features, which carry the detail. 1 is the release's",
    )


class FusionRecipe(Recipe):
    """Everything that decides the weights, beside device and workers."""

    data: tuple[Source, ...] = Field(min_length=1)
    held_out: int = Field(8, ge=1, description="pairs kept from training for validation, evenly spread over the list")
    sampling: Sampling = Sampling()
    stage1: Stage1
    stage2: Stage2
    seed: int = 0
    precision: Precision = "auto"
    device: str = "auto"
    workers: int = Field(0, ge=0, description="loader processes; 0 loads in the training process")
    save_every: float = Field(60, gt=0, description="seconds between saved states for resuming")
    tensorboard: bool = False
