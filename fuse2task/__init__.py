"""fuse2task: what an infrared-visible fusion method is worth to the task that uses its images."""

from typing import TYPE_CHECKING

from fuse2task.runtime.packages import VERSION, lazy_names

if TYPE_CHECKING:
    from fuse2task.data.loading import load_dataset, load_pairs

__version__ = VERSION
__all__ = ["__version__", "load_dataset", "load_pairs"]

__getattr__, __dir__ = lazy_names(
    __name__, {"load_dataset": "fuse2task.data.loading", "load_pairs": "fuse2task.data.loading"}
)
