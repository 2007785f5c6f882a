"""Installed packages: versions, plug-ins, lazy imports, libraries kept offline and quiet.

A package that adds a fusion method says in its pyproject.toml

    [project.entry-points."fuse2task.methods"]
    mymethod = "my_package:MyMethod"
"""

import importlib
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.files import value_hash
from fuse2task.runtime.reading import one_line

VERSION = "0.1.0"  # of fuse2task; here, so that this layer imports nothing above it
DECISIVE = (
    "torch", "torchvision", "numpy", "pillow", "opencv-python-headless", "ultralytics-opencv-headless",
    "segmentation-models-pytorch", "albumentations", "pycocotools", "timm",
)  # fmt: skip
GROUPS = {
    "fuse2task.methods": "a fusion.methods.Method that takes no argument",
    "fuse2task.layouts": "a fuse2task.data.layouts.Layout",
    "fuse2task.judges": "a fuse2task.judges.DetectionJudge or SegmentationJudge, or a function that makes one",
}
"""Entry-point group -> what its entries are."""


def versions(*names: str) -> dict[str, str]:
    """Version of fuse2task and of each installed distribution in `names` (all decisive ones by default)."""
    found = {"fuse2task": VERSION}
    for name in names or DECISIVE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def versions_hash() -> str:
    """Hash of `versions()`."""
    return value_hash(versions())


@cache
def source_hash() -> str:
    """Hash of the names, sizes and times of the project's own source files."""
    packages = [Path(__file__).parents[2] / name for name in ("fuse2task", "fusion", "detection", "segmentation")]
    files = sorted(path for package in packages for path in package.rglob("*.py"))
    found = [(str(path), path.stat()) for path in files]
    return value_hash([[name, one.st_size, one.st_mtime_ns] for name, one in found])


def plugin_names(group: str) -> list[str]:
    """Names that installed packages add to a group, sorted; nothing is imported."""
    return sorted({entry.name for entry in entry_points(group=group)})


def load_plugin(group: str, name: str) -> Any:
    """The object behind a name of `plugin_names`. RequestError: no such name, two packages claim it, or its module
    cannot be imported."""
    found: list[EntryPoint] = list(entry_points(group=group, name=name))
    if not found:
        raise RequestError(f"no plug-in {name!r} in {group}; there are {', '.join(plugin_names(group)) or 'none'}")
    if len({entry.value for entry in found}) > 1:
        packages = ", ".join(sorted(entry.dist.name if entry.dist else entry.value for entry in found))
        raise RequestError(f"{group}: {name!r} comes from several packages ({packages}); uninstall all but one")
    try:
        return found[0].load()
    except Exception as error:  # a foreign module may raise anything
        what, reason = f"plug-in {name!r} ({found[0].value})", f"{type(error).__name__}: {error}"
        raise RequestError(f"{group}: {what} cannot be loaded ({reason}); fix or uninstall its package") from None


def lazy_names(package: str, places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package (PEP 562) whose names `places` lie in the modules that it says."""

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(places[name]), name)

    return get, lambda: sorted(places)


def go_offline() -> None:
    """Set the environment so that Ultralytics, albumentations and the model hubs open no connection. Ultralytics'
    settings are kept in a folder of our own, so that the user's are neither read nor changed. Fuse2TaskError: that
    folder is another user's."""
    settings = Path(tempfile.gettempdir()) / f"fuse2task-ultralytics-{os.getuid()}"
    settings.mkdir(mode=0o700, exist_ok=True)
    found = settings.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():  # in a folder that all users may write
        raise Fuse2TaskError(f"{settings}: belongs to another user; remove it, or set TMPDIR to a folder of your own")
    os.environ.update(
        YOLO_OFFLINE="true",
        YOLO_AUTOINSTALL="false",
        YOLO_VERBOSE="false",  # else its first import greets on standard output
        YOLO_CONFIG_DIR=str(settings),
        NO_ALBUMENTATIONS_UPDATE="1",
        HF_HUB_OFFLINE="1",
    )


def onnx_session(path: Path) -> Any:
    """An onnxruntime session on the CPU: as many threads as torch has, asleep while they wait.

    By default there is one for each core, whatever OMP_NUM_THREADS says, and on a shared machine waiting takes twice
    the time of the arithmetic.

    RequestError: no onnxruntime, or not readable.
    """
    import torch

    try:
        import onnxruntime
    except ImportError:
        fix = "`pip install fuse2task[onnx]` brings them"
        raise RequestError(f"{path}: ONNX judges need onnx and onnxruntime; {fix}") from None
    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise RequestError(f"{path}: not readable as ONNX ({one_line(error)})") from None


def quiet_ultralytics() -> None:
    """Let Ultralytics log warnings only, never sync statistics, and unpickle nothing but its own classes."""
    go_offline()
    try:
        from PIL import Image
        from ultralytics.nn import tasks
        from ultralytics.utils import LOGGER, SETTINGS, patches
    except ImportError as error:
        raise Fuse2TaskError(f"ultralytics cannot be imported ({error}); reinstall fuse2task") from None
    tasks.SAFE_LOAD = True  # not by its environment variable: ultralytics may have been imported before
    # It replaces Pillow's opener for the whole process by one that installs a package when a file is no image.
    Image.open = patches._image_open
    LOGGER.setLevel(logging.WARNING)
    if SETTINGS.get("sync"):
        SETTINGS["sync"] = False
