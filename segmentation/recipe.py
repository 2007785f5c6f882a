"""The recipe of a segmenter."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from fuse2task.config.recipes import Recipe
from fuse2task.runtime.compute import Precision


class Augmentation(Recipe):
    """Random changes of a training sample. scale: range of the size factor drawn before the crop."""

    flip: float = Field(default=0.5, ge=0, le=1, description="probability of a horizontal flip")
    scale: tuple[float, float] = (0.5, 2.0)
    colour: float = Field(default=0.5, ge=0, le=1, description="probability of a colour change")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError("scale is [low, high] with 0 < low <= high")
        return self


class Loss(Recipe):
    """Weights of cross-entropy and Dice loss."""

    ce: float = Field(default=1.0, ge=0)
    dice: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.ce + self.dice == 0:
            raise ValueError("ce and dice are both 0: there is nothing to learn from")
        return self


class SegmentationRecipe(Recipe):
    """Everything that decides a segmenter's weights, beside device and workers."""

    data: Path = Field(description="fused dataset with masks")
    architecture: str = Field(description="an architecture of segmentation_models_pytorch, such as unet or segformer")
    encoder: str = Field(description="an encoder of segmentation_models_pytorch, `tu-NAME` for those of timm")
    encoder_weights: str = Field(default="none", description="none, imagenet, or a file (.safetensors, .pt, .pth)")
    epochs: int = Field(ge=1)
    batch: int = Field(ge=2, description="images a step, over all processes; batch normalisation needs two")
    crop: tuple[int, int] = Field(description="height and width of a training sample, multiples of 32")
    lr: float = Field(gt=0)
    decoder_lr_factor: float = Field(
        default=1.0, gt=0, description="learning rate of decoder and head over the encoder's"
    )
    weight_decay: float = Field(default=0.01, ge=0)
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of the steps with a rising rate")
    power: float = Field(default=1.0, gt=0, description="exponent of the polynomial decay to zero")
    loss: Loss = Loss()
    class_weights: Literal["none", "median_frequency"] = "none"
    augmentation: Augmentation = Augmentation()
    normalisation: Literal["dataset", "imagenet"] = "dataset"
    seed: int = 0
    precision: Precision = "auto"
    device: str = "auto"
    workers: int = Field(default=0, ge=0, description="threads that read and augment samples; 0 for one a core")

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if min(self.crop) < 32 or any(side % 32 for side in self.crop):
            raise ValueError("crop sides are multiples of 32, the stride of the encoders")
        return self
