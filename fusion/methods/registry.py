"""Names of methods, and what makes them."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np

from fuse2task.runtime.compute import Precision
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.packages import load_plugin, plugin_names
from fusion.methods.base import Method
from fusion.methods.classical import Arithmetic, FolderMethod, Infrared, Visible, average, laplacian_pyramid
from fusion.weights import TASK, find_checkpoint

CROSSFUSE = ("crossfuse", "crossfuse-task")
"""The network, with the one or the other of the shipped weights."""
METHODS = (*CROSSFUSE, "visible", "infrared", "average", "maximum", "laplacian")
PLUGINS = "fuse2task.methods"
"""Entry-point group of methods from other packages: `Method` classes, or functions that return a method."""


def make_method(
    name: str, checkpoint: Path | None = None, device: str = "auto", precision: Precision = "auto"
) -> Method:
    """The method called `name`: one of `METHODS`, a plug-in's, or `NAME=DIR` for a folder of fused images.

    checkpoint: for crossfuse a file, the name of shipped weights, or None for the default ones; for a plug-in
    whatever it takes.

    Raises:
        RequestError: no such method, a bad checkpoint, a checkpoint for another method.
    """
    if name not in METHODS and name in plugin_names(PLUGINS):
        return _from_plugin(name, checkpoint=checkpoint, device=device, precision=precision)
    if checkpoint is not None and name != "crossfuse":
        raise RequestError(f"--checkpoint belongs to crossfuse; {name} has no weights")
    label, is_folder, folder = name.partition("=")
    if is_folder:
        if not label or label in METHODS:
            raise RequestError(f"--method {name}: give the folder a name of its own, such as seafusion={folder}")
        return FolderMethod(label, Path(folder))
    match name:
        case "visible":
            return Visible()
        case "infrared":
            return Infrared()
        case "average":
            return Arithmetic("average", average)
        case "maximum":
            return Arithmetic("maximum", np.maximum)
        case "laplacian":
            return Arithmetic("laplacian", laplacian_pyramid)
        case "crossfuse" | "crossfuse-task":
            from fusion.methods.crossfuse import CrossFuseMethod

            weights = Path(TASK) if name == "crossfuse-task" else checkpoint
            return CrossFuseMethod(find_checkpoint(weights), device, precision, name)
    known = ", ".join([*METHODS, *plugin_names(PLUGINS)])
    raise RequestError(f"no method {name!r}; there are {known} and NAME=DIR for a folder of fused images")


def _from_plugin(name: str, **options: Any) -> Method:
    """A plug-in's method, made with those of checkpoint, device and precision that it has parameters for."""
    make = load_plugin(PLUGINS, name)
    taken = inspect.signature(make).parameters
    if options["checkpoint"] is not None and "checkpoint" not in taken:
        raise RequestError(f"--checkpoint: the method {name} takes none")
    made = make(**{key: value for key, value in options.items() if key in taken})
    if not isinstance(made, Method):
        raise RequestError(f"{PLUGINS}: {name!r} gives a {type(made).__name__}, not a fusion.methods.Method")
    if made.name != name:
        raise RequestError(f"{PLUGINS}: the method of {name!r} calls itself {made.name!r}; give both one name")
    return made
