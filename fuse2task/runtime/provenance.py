"""What produced a result: versions of the packages that decide the numbers."""

from importlib import metadata

import fuse2task
from fuse2task.runtime.hashing import value_hash

DECISIVE = (
    "torch", "torchvision", "numpy", "pillow", "opencv-python-headless", "ultralytics-opencv-headless",
    "segmentation-models-pytorch", "albumentations", "pycocotools", "timm",
)  # fmt: skip


def versions(*names: str) -> dict[str, str]:
    """Version of fuse2task and of each installed distribution in `names` (all decisive ones by default)."""
    found = {"fuse2task": fuse2task.__version__}
    for name in names or DECISIVE:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def versions_hash() -> str:
    """Hash of `versions()`."""
    return value_hash(versions())
