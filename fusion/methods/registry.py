"""Names of methods, and what makes them."""

from pathlib import Path

import numpy as np

from fuse2task.runtime.device import Precision
from fuse2task.runtime.errors import RequestError
from fusion.methods.arithmetic import Arithmetic, Infrared, Visible, average, laplacian_pyramid
from fusion.methods.base import Method
from fusion.methods.folder import FolderMethod

METHODS = ("crossfuse", "visible", "infrared", "average", "maximum", "laplacian")


def make_method(
    name: str, checkpoint: Path | None = None, device: str = "auto", precision: Precision = "auto"
) -> Method:
    """The method called `name`: one of `METHODS`, or `NAME=DIR` for a folder of fused images.

    Raises:
        RequestError: no such method, crossfuse without a checkpoint, a checkpoint for another method.
    """
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
        case "crossfuse":
            if checkpoint is None:
                raise RequestError(
                    "crossfuse needs --checkpoint: train one with `fuse2task fusion train`, or convert the authors' "
                    "files with `fuse2task fusion import`"
                )
            from fusion.methods.crossfuse import CrossFuseMethod

            return CrossFuseMethod(checkpoint, device, precision)
    raise RequestError(f"no method {name!r}; there are {', '.join(METHODS)} and NAME=DIR for a folder of fused images")
