"""Registry of fusion methods by name, plug-ins included."""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

from fuse2task.data.dataset import named_folder
from fuse2task.runtime.compute import Precision
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.packages import load_plugin, plugin_names
from fusion.methods.base import RULES, Arithmetic, FolderMethod, Method, SingleCamera, ValueSwap
from fusion.weights import DEFAULT, TASK, find_checkpoint

CROSSFUSE = ("crossfuse", DEFAULT, TASK)
"""The paper's network, which needs a checkpoint; our network with the one or the other of the shipped weights."""
OURS = dict.fromkeys((DEFAULT, TASK), ", a network of ours after CrossFuse, not the paper's")
CLASSICAL = {
    "laplacian": ("multiscale", "laplacian_pyramid"),
    "rp": ("multiscale", "ratio_pyramid"),
    "dwt": ("multiscale", "wavelets"),
    "dtcwt": ("multiscale", "dual_tree_wavelets"),
    "gff": ("weighting", "guided_filtering"),
    "adf": ("weighting", "anisotropic_diffusion"),
    "pca": ("weighting", "principal_components"),
    "gtf": ("gradient_transfer", "gradient_transfer"),
}
"""Rules on luma by the abbreviation that comparisons print, with their module and function, imported when used."""
METHODS = (*CROSSFUSE, "visible", "infrared", *RULES, *CLASSICAL, ValueSwap.name)
PLUGINS = "fuse2task.methods"
"""Entry-point group of methods from other packages: `Method` classes, or functions that return a method."""


def make_method(
    name: str | None, checkpoint: Path | None = None, device: str = "auto", precision: Precision = "auto",
    memory: float | None = None,
) -> Method:  # fmt: skip
    """The method called `name`: one of `METHODS`, a plug-in's, or `NAME=DIR` for a folder of fused images.

    Without a name: crossfuse-plus, or with a checkpoint whichever network it holds.

    checkpoint: a file for crossfuse or crossfuse-plus, the latter of which has shipped weights; for a plug-in
    whatever it takes. memory: GB within which crossfuse-plus fuses large pairs on a CPU.

    Raises:
        RequestError: no such method, a bad checkpoint, a checkpoint for another method.
    """
    if name is None and (checkpoint is None or str(checkpoint) in CROSSFUSE):
        name, checkpoint = str(checkpoint or DEFAULT), None
    if name is None:
        return _network(checkpoint, device, precision, None, memory)
    if name not in METHODS and name in plugin_names(PLUGINS):
        return _from_plugin(name, checkpoint=checkpoint, device=device, precision=precision)
    if checkpoint is not None and name not in CROSSFUSE[:2]:
        raise RequestError(f"--checkpoint belongs to crossfuse and crossfuse-plus; {name} has no weights to replace")
    if "=" in name:
        label, folder = named_folder(name)
        if not label or label in METHODS:
            raise RequestError(f"--method {name}: give the folder a name of its own, such as seafusion={folder}")
        return FolderMethod(label, folder)
    if name in ("visible", "infrared"):
        return SingleCamera(name)
    if name in RULES:
        return Arithmetic(name, RULES[name])
    if name in CLASSICAL:
        module, function = CLASSICAL[name]
        return Arithmetic(name, getattr(import_module(f"fusion.methods.{module}"), function))
    if name == ValueSwap.name:
        return ValueSwap()
    if name == "crossfuse" and checkpoint is None:
        raise RequestError(
            "crossfuse is the paper's network, for which no weights are shipped: give --checkpoint FILE (made by "
            "`fusion import` or `fusion train`), or --method crossfuse-plus, a network of ours with weights"
        )
    if name in CROSSFUSE:
        return _network(checkpoint or Path(name), device, precision, name, memory)
    known = ", ".join([*METHODS, *plugin_names(PLUGINS)])
    raise RequestError(f"no method {name!r}; there are {known} and NAME=DIR for a folder of fused images")


def _network(
    checkpoint: Path | None, device: str, precision: Precision, name: str | None, memory: float | None
) -> Method:
    from fusion.methods.crossfuse import CrossFuseMethod

    return CrossFuseMethod(find_checkpoint(checkpoint), device, precision, name, memory)


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
