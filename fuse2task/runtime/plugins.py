"""Plug-ins: what other installed packages add to fuse2task through entry points.

A package that adds a fusion method says in its pyproject.toml

    [project.entry-points."fuse2task.methods"]
    mymethod = "my_package:MyMethod"
"""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from fuse2task.runtime.errors import RequestError

GROUPS = {
    "fuse2task.methods": "a fusion.methods.Method that takes no argument",
    "fuse2task.layouts": "a fuse2task.data.layouts.Layout",
}
"""Entry-point group -> what its entries are."""


def plugin_names(group: str) -> list[str]:
    """Names that installed packages add to a group, sorted; nothing is imported."""
    return sorted({entry.name for entry in entry_points(group=group)})


def load_plugin(group: str, name: str) -> Any:
    """The object behind a name of `plugin_names`.

    Raises:
        RequestError: no such name, two packages claim it, or its module cannot be imported.
    """
    found: list[EntryPoint] = list(entry_points(group=group, name=name))
    if not found:
        raise RequestError(f"no plug-in {name!r} in {group}; there are {', '.join(plugin_names(group)) or 'none'}")
    if len({entry.value for entry in found}) > 1:
        packages = ", ".join(sorted(entry.dist.name if entry.dist else entry.value for entry in found))
        raise RequestError(f"{group}: {name!r} comes from several packages ({packages}); uninstall all but one")
    try:
        return found[0].load()
    except Exception as error:  # a stranger's module may raise anything
        raise RequestError(
            f"{group}: plug-in {name!r} ({found[0].value}) cannot be loaded ({type(error).__name__}: {error}); "
            "mend or uninstall its package"
        ) from None
