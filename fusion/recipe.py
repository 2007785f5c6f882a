"""Recipes of CrossFuse trainings."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from fuse2task.config.recipes import Recipe
from fuse2task.runtime.compute import Precision
from fusion.losses import Intensity, MsSsim


class Source(Recipe):
    """One dataset to take training pairs from; `split` is a split list (path or shipped name).

    boxes, annotations: its truth, for a stage that is driven by a detector (folder of YOLO txt; COCO or VOC). ignore:
    flags of boxes that do not count, as for `load_dataset`.
    """

    later_keys = ("annotations", "ignore")
    root: Path
    layout: str
    split: str | None = None
    parts: tuple[str, ...] = ("train",)
    boxes: Path | None = None
    annotations: Path | None = None
    ignore: str | None = None


class Jitter(Recipe):
    """Random changes of a sample that stand for other cameras, drawn for each camera by itself except for zoom."""

    invert: float = Field(0.0, ge=0, le=1, description="how often infrared is inverted: black-hot for white-hot")
    gain: float = Field(1.0, ge=1, description="largest factor of contrast, either way, about the sample's mean")
    offset: float = Field(0.0, ge=0, le=255, description="largest shift of brightness in grey levels, either way")
    zoom: float = Field(
        1.0,
        ge=1,
        description="largest factor of size, either way, of both cameras and the boxes; above 1 a "
        "crop of an image that is too small is enlarged further",
    )


class Sampling(Recipe):
    """How a training sample is made from a pair. resize squashes as the release does; crop cuts at native scale."""

    later_keys = ("jitter",)
    size: int = Field(default=256, ge=16, description="side of the square sample in pixels")
    mode: Literal["resize", "crop"] = "crop"
    flips: bool = True
    crops: int | None = Field(
        default=None, ge=1,
        description="how many different samples a pair gives; null: another one every time. What frozen encoders make "
        "of so few is kept, which saves half of stage 2's work",
    )  # fmt: skip

    jitter: Jitter | None = Field(default=None, description="null: samples are as they were recorded; for mode: crop")

    @property
    def is_fixed(self) -> bool:
        """Whether the samples of a pair are the same in every epoch."""
        return self.crops is not None or (self.mode == "resize" and not self.flips)


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


Weights = Annotated[
    Path | None,
    Field(description="a checkpoint of this network, or the name of shipped weights, to go on from without stage 1"),
]


class Stage2(Stage):
    """Cross-attention module and fusion decoder of the faithful network, encoders frozen."""

    later_keys = ("weights",)
    weights: Weights = None
    network: Literal["crossfuse"] = "crossfuse"
    gradient_weight: float = 10.0
    deep_gain: float = Field(
        1.0, gt=0,
        description="first scale of the decoder's last 3x3 batch norm: the share of the deep path in the sum with the "
        "shallow features, which carry the detail. 1 is the release's; for start: random",
    )  # fmt: skip
    start: Literal["random", "autoencoders"] = Field(
        "random",
        description="autoencoders: the decoder begins as those of stage 1, batch norms as the identity, the cross "
        "attention at zero, so that the first fused image is a weighted mean already; random: the release's",
    )


class PlusStage2(Stage):
    """The whole of CrossFuse-plus; the encoders start from stage 1 and learn on. Weights of `fusion.losses`."""

    later_keys = ("intensity", "weights")
    network: Literal["crossfuse-plus"]
    weights: Weights = None
    intensity: Intensity = Field(
        "maximum",
        description="what grey values are drawn to: the brighter camera, or the mean of both with the stronger local "
        "contrast at each place, which does not ask which camera is the brighter",
    )
    gradient_weight: float = Field(5.0, ge=0)
    structure_weight: float = Field(20.0, ge=0)


def _network(stage2: Any) -> str:
    return str(stage2.get("network", "crossfuse") if isinstance(stage2, dict) else getattr(stage2, "network", ""))


AnyStage2 = Annotated[
    Annotated[Stage2, Tag("crossfuse")] | Annotated[PlusStage2, Tag("crossfuse-plus")], Discriminator(_network)
]


class TaskStage(Stage):
    """A third stage: the network learns on through a frozen detector that looks at its images.

    detector: YOLO weights (.onnx of Ultralytics, .pt, .safetensors). size: side of the crops it sees, at native scale.
    """

    detector: Path
    size: int = Field(384, ge=64, multiple_of=32)
    detection_weight: float = Field(10.0, gt=0)
    fusion_weight: float = Field(0.3, ge=0, description="of stage 2's loss, which is kept")
    general_weight: float = Field(
        0.0, ge=0,
        description="of stage 2's loss on as many samples of the pairs without boxes, which keeps the images of other "
        "cameras and places as they were; 0: none are drawn",
    )  # fmt: skip


class FusionRecipe(Recipe):
    """Everything that decides the weights, beside device and workers."""

    data: tuple[Source, ...] = Field(min_length=1)
    held_out: int = Field(8, ge=1, description="pairs kept from training for validation, evenly spread over the list")
    sampling: Sampling = Sampling()
    stage1: Stage1 | None = Field(None, description="null where stage2.weights are there to go on from")
    stage2: AnyStage2
    task: TaskStage | None = None
    seed: int = 0
    precision: Precision = "auto"
    device: str = "auto"
    workers: int | None = Field(None, ge=1, description="threads that decode and cut samples; null for one a core")
    save_every: float = Field(60, gt=0, description="seconds between saved states for resuming")
    tracker: Literal["tensorboard", "wandb", "mlflow"] | None = Field(
        None, description="where curves go: tensorboard, wandb or mlflow, offline"
    )

    @model_validator(mode="after")
    def _starts_somewhere(self) -> Self:
        if (self.stage1 is None) == (self.stage2.weights is None):
            raise ValueError("give either stage1 or stage2.weights, whose encoders are trained already")
        if self.sampling.jitter and self.sampling.mode == "resize":
            raise ValueError("sampling.jitter is for sampling.mode=crop")
        return self
