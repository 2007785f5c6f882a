"""Detection: YOLO training on a fused dataset, judges, prediction, COCO average precision."""

from typing import TYPE_CHECKING

from fuse2task.runtime.packages import lazy_names

if TYPE_CHECKING:
    from detection.average_precision import evaluate

__all__ = ["evaluate"]

__getattr__, __dir__ = lazy_names(__name__, {"evaluate": "detection.average_precision"})
