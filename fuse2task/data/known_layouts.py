"""Layouts of other people's data: a YAML description, or a plug-in of another package."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from fuse2task.config.recipes import Recipe, checked
from fuse2task.data.layouts import LAYOUTS, Folders, Layout, OwnTruth
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.plugins import load_plugin, plugin_names
from fuse2task.runtime.yaml_reading import read_yaml

PLUGINS = "fuse2task.layouts"
"""Entry-point group of layouts from other packages: `fuse2task.data.layouts.Layout` objects."""


class FoldersSection(Recipe):
    """A pair of modality folders below the root; template: their path, `{}` stands for either name."""

    infrared: str
    visible: str
    template: str = Field("{}", pattern=r"^[^{}]*\{\}[^{}]*$")
    split: str = "test"


class TruthSection(Recipe):
    """Truth below the root, with class names in id order."""

    kind: Literal["voc", "yolo", "masks"]
    folders: tuple[str, ...] = Field(min_length=1)
    classes: tuple[str, ...] = Field(min_length=1)


class LayoutFile(Recipe):
    """What a YAML description of a layout says."""

    folders: tuple[FoldersSection, ...] = Field(min_length=1)
    truth: tuple[TruthSection, ...] = ()
    split_lists: tuple[str, ...] = ()


def resolve_layout(reference: str) -> str:
    """The name in `LAYOUTS` of a layout: a built-in one, a plug-in's, or that of a YAML file (its stem).

    The latter two are put into the table.

    Raises:
        RequestError: no such layout, a bad description, or one whose name is a built-in's.
    """
    if reference in LAYOUTS:
        return reference
    if reference.endswith((".yaml", ".yml")):
        path = Path(reference)
        if path.stem in LAYOUTS and LAYOUTS[path.stem] != read_layout(path):
            raise RequestError(f"{path}: {path.stem} is the name of another layout; rename the file")
        LAYOUTS[path.stem] = read_layout(path)
        return path.stem
    if reference in plugin_names(PLUGINS):
        layout = load_plugin(PLUGINS, reference)
        if not isinstance(layout, Layout):
            raise RequestError(f"{PLUGINS}: {reference!r} is a {type(layout).__name__}, not a Layout")
        LAYOUTS[reference] = layout
        return reference
    known = ", ".join(dict.fromkeys([*LAYOUTS, *plugin_names(PLUGINS)]))
    raise RequestError(f"unknown layout {reference!r}; known are {known}, or a YAML file that describes yours")


def read_layout(path: Path) -> Layout:
    """The layout that a YAML file describes; see `LayoutFile`.

    Raises:
        RequestError: missing, not YAML, unknown keys or wrong values.
    """
    described = checked(LayoutFile, read_yaml(path, "layout description"), path, "layout description")
    boxes = next((truth.classes for truth in described.truth if truth.kind != "masks"), None)
    masks = next((truth.classes for truth in described.truth if truth.kind == "masks"), None)
    table = Layout(
        trees=(tuple(Folders(item.template, item.infrared, item.visible, item.split) for item in described.folders),),
        truth=tuple(OwnTruth(item.kind, item.folders, item.classes) for item in described.truth),
        split_lists=described.split_lists,
        box_classes=boxes,
    )
    return table if masks is None else replace(table, mask_classes=masks)
