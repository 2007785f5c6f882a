"""Image-quality scores: small batched functions, profiles that define them, a scorer for whole datasets."""

from typing import TYPE_CHECKING

from fuse2task.runtime.packages import lazy_names

if TYPE_CHECKING:
    from fusion.quality.scorer import score, score_folders

__all__ = ["score", "score_folders"]

__getattr__, __dir__ = lazy_names(__name__, dict.fromkeys(__all__, "fusion.quality.scorer"))
