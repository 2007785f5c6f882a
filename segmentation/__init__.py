"""Segmentation: one recipe for SMP's models, training on fused images, per-class IoU."""

from typing import TYPE_CHECKING

from fuse2task.runtime.packages import lazy_names

if TYPE_CHECKING:
    from segmentation.evaluation import evaluate

__all__ = ["evaluate"]

__getattr__, __dir__ = lazy_names(__name__, {"evaluate": "segmentation.evaluation"})
