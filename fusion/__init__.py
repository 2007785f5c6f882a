"""Image fusion: the CrossFuse network, its trainer, the methods to compare, the fused dataset writer."""

from typing import TYPE_CHECKING

from fuse2task.runtime.packages import lazy_names

if TYPE_CHECKING:
    from fusion.crossfuse import CrossFuse

__all__ = ["CrossFuse"]

__getattr__, __dir__ = lazy_names(__name__, {"CrossFuse": "fusion.crossfuse"})
