"""The benchmark: datasets x methods x judges x seeds, as one long table with intervals."""

from typing import TYPE_CHECKING

from fuse2task.runtime.packages import lazy_names

if TYPE_CHECKING:
    from fuse2task.bench.api import compare

__all__ = ["compare"]

__getattr__, __dir__ = lazy_names(__name__, {"compare": "fuse2task.bench.api"})
