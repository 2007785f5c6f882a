"""Recipes of detector trainings, YOLO's and torchvision's, under Ultralytics' names where possible."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from fuse2task.config.recipes import Recipe

Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=0)]

MOBILENET_V2 = "fasterrcnn_mobilenet_v2_fpn"
TORCHVISION = (
    MOBILENET_V2,
    "fasterrcnn_mobilenet_v3_large_320_fpn", "fasterrcnn_mobilenet_v3_large_fpn", "retinanet_resnet50_fpn",
    "fcos_resnet50_fpn", "ssdlite320_mobilenet_v3_large",
)  # fmt: skip
YOLO_ONLY = {"nbs", "patience", "warmup_bias_lr", "mosaic", "close_mosaic", "mixup", "cache"}


class DetectionRecipe(Recipe):
    """Settings of one training. Defaults are Ultralytics 8.4's, except where a comment says otherwise. Keys of
    `YOLO_ONLY` are refused for a network of torchvision, and not part of its recipe."""

    data: str  # fused dataset folder with boxes (given as data=OUT)
    # Architecture: a model file of Ultralytics' (yolov8n.yaml, yolo11s.yaml, ...), a path to one, or of TORCHVISION.
    model: str = Field(default="yolov8n.yaml", pattern=rf"\.yaml$|^({'|'.join(TORCHVISION)})$")
    # Local .pt or .safetensors of the same architecture to start from; null: from scratch. For torchvision's also .pth,
    # and also those of a classifier that is the detector's backbone.
    weights: str | None = None
    image_size: int = Field(default=640, gt=0, multiple_of=32)  # side of the square letterbox in pixels
    epochs: int = Field(default=100, gt=0)
    batch: int = Field(default=16, gt=0)
    nbs: int = Field(default=64, gt=0)  # nominal batch: gradients of round(nbs / batch) batches are summed for one step
    patience: Count = 100  # stop after this many epochs without a better validation; 0 never stops early
    seed: Count = 0

    # Ultralytics' `auto` overrides lr0 and momentum by a rule of its own; a recipe says what it does.
    optimizer: Literal["SGD", "Adam", "AdamW", "NAdam", "RAdam", "RMSProp"] = "SGD"
    lr0: Rate = 0.01  # first learning rate; it falls linearly to lr0 * lrf
    lrf: Rate = 0.01
    momentum: Fraction = 0.937  # of SGD; beta1 of Adam
    weight_decay: Fraction = 0.0005
    warmup_epochs: float = Field(default=3.0, ge=0)
    warmup_bias_lr: Fraction = 0.1  # of biases at the start of the warm-up; 0 suits the Adam family

    mosaic: Fraction = 1.0  # probability of a four-image mosaic
    close_mosaic: Count = 10  # no mosaic in this many last epochs
    mixup: Fraction = 0.0
    fliplr: Fraction = 0.5
    flipud: Fraction = 0.0
    hsv_h: Fraction = 0.015
    hsv_s: Fraction = 0.7
    hsv_v: Fraction = 0.4
    translate: Fraction = 0.1
    scale: Fraction = 0.5

    # bfloat16 autocast, of YOLO on a GPU alone; not float16, which Ultralytics checks with weights that it downloads.
    amp: bool = False
    device: str = "auto"
    workers: Count = 4  # loader processes on a GPU; the CPU loads in the training process
    cache: bool = False  # keep the decoded images in memory

    @property
    def is_torchvision(self) -> bool:
        """Whether torchvision trains it; else Ultralytics does."""
        return self.model in TORCHVISION

    @model_validator(mode="after")
    def _known_to_its_engine(self) -> Self:
        if self.is_torchvision and (given := sorted(self.model_fields_set & YOLO_ONLY)):
            raise ValueError(f"{', '.join(given)}: of YOLO alone; take them out for model {self.model}")
        return self

    @model_serializer(mode="wrap")
    def _without_keys_of_the_other(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values = handler(self)
        return {key: value for key, value in values.items() if not (self.is_torchvision and key in YOLO_ONLY)}
