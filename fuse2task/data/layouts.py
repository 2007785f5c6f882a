"""Layouts: where each data set keeps pairs, truth, splits and weather conditions."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from fuse2task.config.recipes import Recipe, checked
from fuse2task.data import classes, dataset
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.packages import load_plugin, plugin_names
from fuse2task.runtime.reading import read_yaml

PLUGINS = "fuse2task.layouts"
"""Entry-point group of layouts from other packages: `fuse2task.data.layouts.Layout` objects."""


@dataclass(frozen=True)
class Folders:
    """A pair of modality folders below the root, and the split of its pairs.

    template: path below the root, `{}` for the modality folder. What a part with a `*` matches begins the ids.
    packed: the one folder holds a file a pair, red, green and blue visible, infrared in the place of alpha.
    """

    template: str
    infrared: str
    visible: str
    split: str = "test"
    packed: bool = False


@dataclass(frozen=True)
class OwnTruth:
    """Truth inside a layout: folders below the root (all that exist are read), and class names in id order.

    For kind coco, files or folders of COCO files. spellings: (name in the files, class that is meant); for voc.
    """

    kind: Literal["voc", "yolo", "masks", "coco", "vedai"]
    folders: tuple[str, ...]
    classes: tuple[str, ...]
    spellings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Layout:
    """File structure of one data set.

    trees: alternatives, each a tuple of folders. flat: name prefixes (infrared, visible) of files side by side in
    the root. truth: the first kind that exists is read. split_lists: files named after the split (or
    `..._<split>.txt`), one name a line, or COCO files (`..._<split>_....json`) for the names of their images.
    box_classes: fixed class order of boxes. mask_classes: of masks given apart. conditions: (root, id) -> names.
    sequence: (root, id) -> name of the recording that the frame is from, "" for none. clean:
    trees of undegraded references with the pairs' ids. border: width in pixels of a white frame round all images, which
    is left out where it is there. mirrored: end of the ids of mirrored copies, used only if a list names them. cut:
    boxes may reach beyond the image, and end at its border.
    numbered_by_split: each split may number its pairs from the start, and then their ids begin with the split; else
    one id in two splits is a finding. names: form of the infrared and of the visible files' names without suffix,
    `{}` being the id.
    """

    trees: tuple[tuple[Folders, ...], ...]
    flat: tuple[str, str] | None = None
    truth: tuple[OwnTruth, ...] = ()
    split_lists: tuple[str, ...] = ()
    box_classes: tuple[str, ...] | None = None
    mask_classes: tuple[str, ...] = ()
    conditions: Callable[[Path, str], tuple[str, ...]] = dataset.no_conditions
    sequence: Callable[[Path, str], str] = dataset.no_sequence
    clean: tuple[tuple[Folders, ...], ...] = ()
    numbered_by_split: bool = False
    names: tuple[str, str] = ("{}", "{}")
    border: int = 0
    mirrored: str = ""
    cut: bool = False


_CLEAN = Folders("{}", "gt_ir", "gt_vi")
_SMOD_FILES = ("anno/new_train_annotations_rgb.json", "anno/new_test_annotations_rgb.json")
_PLAIN = ((Folders("{}", "ir", "vi"),), (Folders("{}", "infrared", "visible"),))

LAYOUTS: dict[str, Layout] = {
    "m3fd": Layout(
        trees=((Folders("{}", "Ir", "Vis"),), (Folders("{}", "ir", "vi"),)),
        truth=(OwnTruth("voc", ("Annotation",), classes.M3FD), OwnTruth("yolo", ("labels",), classes.M3FD)),
        split_lists=("meta/train.txt", "meta/val.txt", "meta/test.txt", "meta/pred.txt"),
        box_classes=classes.M3FD, conditions=dataset.m3fd_conditions, sequence=dataset.m3fd_sequence,
    ),
    "msrs": Layout(
        trees=((Folders("train/{}", "ir", "vi", "train"), Folders("test/{}", "ir", "vi")),),
        truth=(OwnTruth("masks", ("train/Segmentation_labels", "test/Segmentation_labels"), classes.MSRS),),
        mask_classes=classes.MSRS, conditions=dataset.msrs_conditions,
    ),
    "roadscene": Layout(trees=((Folders("{}", "cropinfrared", "crop_LR_visible"),),)),
    "tno": Layout(trees=_PLAIN, flat=("IR", "VIS")),
    "llvip": Layout(
        trees=((Folders("{}/train", "infrared", "visible", "train"), Folders("{}/test", "infrared", "visible")),),
        truth=(OwnTruth("voc", ("Annotations",), classes.LLVIP),),
        sequence=dataset.SequenceInId("([0-9]{2})[0-9]{4}"),  # the first two digits count its 26 places
    ),
    "kaist": Layout(
        trees=((Folders("set*/V*/{}", "lwir", "visible"),), (Folders("images/set*/V*/{}", "lwir", "visible"),)),
        # The corrected annotations before the first ones; the text files are Caltech's (bbGt).
        truth=(
            OwnTruth("voc", ("annotations-xml-new-sanitized",), classes.KAIST),
            OwnTruth("voc", ("annotations-xml-new",), classes.KAIST),
            OwnTruth("voc", ("annotations-xml-15",), classes.KAIST),
            OwnTruth("voc", ("annotations-xml",), classes.KAIST),
            OwnTruth("yolo", ("annotations",), classes.KAIST),
        ),
        conditions=dataset.kaist_conditions, sequence=dataset.folder_sequence,
    ),
    "pst900": Layout(
        trees=((Folders("train/{}", "thermal", "rgb", "train"), Folders("test/{}", "thermal", "rgb")),),
        truth=(OwnTruth("masks", ("train/labels", "test/labels"), classes.PST900),),
        mask_classes=classes.PST900, numbered_by_split=True,
    ),
    "mfnet": Layout(
        # As released, files of four channels; or split into two folders.
        trees=((Folders("{}", "images", "images", packed=True),), (Folders("{}", "ir", "vi"),)),
        truth=(OwnTruth("masks", ("labels",), classes.MSRS),),
        split_lists=("train.txt", "val.txt", "test.txt"), conditions=dataset.msrs_conditions, mirrored="_flip",
    ),
    "dronevehicle": Layout(
        trees=(
            (
                Folders("train/{}", "trainimgr", "trainimg", "train"), Folders("val/{}", "valimgr", "valimg", "val"),
                Folders("test/{}", "testimgr", "testimg"),
            ),
        ),
        # Of its two sets of boxes, those drawn on infrared: at night the others miss vehicles.
        truth=(
            OwnTruth(
                "voc", ("train/trainlabelr", "val/vallabelr", "test/testlabelr"), classes.DRONEVEHICLE,
                classes.DRONEVEHICLE_SPELLINGS,
            ),
        ),
        box_classes=classes.DRONEVEHICLE, numbered_by_split=True, border=100, cut=True,
    ),
    "vedai": Layout(
        trees=(
            (Folders("{}", "Vehicules1024", "Vehicules1024"),), (Folders("{}", "Vehicules512", "Vehicules512"),),
        ),
        truth=(OwnTruth("vedai", ("Annotations1024", "Annotations512"), classes.VEDAI),),
        box_classes=classes.VEDAI, names=("{}_ir", "{}_co"), cut=True,
    ),
    "smod": Layout(
        # bigD233/AMFD: both cameras in one folder, day and night each numbered from 0; boxes drawn on visible images.
        trees=((Folders("{}", "[dn][ai]*", "[dn][ai]*"),),),
        truth=(OwnTruth("coco", _SMOD_FILES, classes.SMOD),),
        split_lists=_SMOD_FILES, box_classes=classes.SMOD, conditions=dataset.smod_conditions,
        names=("{}_tir", "{}_rgb"),
    ),
    "fmb": Layout(
        # As MRFS has it, with lists; and as released.
        trees=(
            (Folders("{}", "Infrared", "Visible"),),
            (Folders("train/{}", "Infrared", "Visible", "train"), Folders("test/{}", "Infrared", "Visible")),
        ),
        truth=(OwnTruth("masks", ("Label", "train/Label", "test/Label"), classes.FMB),),
        split_lists=("train.txt", "test.txt"), mask_classes=classes.FMB, numbered_by_split=True,
    ),
    "flir": Layout(
        # Zhang et al. (ICIP 2020), FLIR-aligned: all in one folder as released, or each camera in its own.
        trees=(
            (Folders("{}", "JPEGImages", "JPEGImages"),), (Folders("align/{}", "JPEGImages", "JPEGImages"),),
            (Folders("{}", "thermal", "RGB"),),
        ),
        truth=(
            OwnTruth("coco", ("annotations.json",), classes.FLIR),
            OwnTruth("voc", ("Annotations", "align/Annotations"), classes.FLIR_VOC),
        ),
        split_lists=(
            "align_train.txt", "align_validation.txt", "align/align_train.txt", "align/align_validation.txt",
        ),
        box_classes=classes.FLIR, names=("{}_PreviewData", "{}_RGB"),
    ),
    "awmm": Layout(
        # The weather's folder is the root, or one or two levels below.
        trees=((Folders("{}", "ir", "vi"), Folders("*/{}", "ir", "vi"), Folders("*/*/{}", "ir", "vi")),),
        clean=((_CLEAN, replace(_CLEAN, template="*/{}"), replace(_CLEAN, template="*/*/{}")),),
        conditions=dataset.awmm_conditions,
    ),
    "folder": Layout(trees=_PLAIN, sequence=dataset.folder_sequence),
}  # fmt: skip


class FoldersSection(Recipe):
    """`Folders` in a layout file."""

    infrared: str
    visible: str
    template: str = Field("{}", pattern=r"^[^{}]*\{\}[^{}]*$")
    split: str = "test"
    packed: bool = False


class NamesSection(Recipe):
    """Form of the names of both cameras' files, without suffix, in a layout file."""

    infrared: str = Field(default="{}", pattern=r"^[^{}/\\]*\{\}[^{}/\\]*$")
    visible: str = Field(default="{}", pattern=r"^[^{}/\\]*\{\}[^{}/\\]*$")


class TruthSection(Recipe):
    """`OwnTruth` in a layout file."""

    kind: Literal["voc", "yolo", "masks", "coco"]
    folders: tuple[str, ...] = Field(min_length=1)
    classes: tuple[str, ...] = Field(min_length=1)


class LayoutFile(Recipe):
    """YAML description of a layout."""

    folders: tuple[FoldersSection, ...] = Field(min_length=1)
    truth: tuple[TruthSection, ...] = ()
    split_lists: tuple[str, ...] = ()
    names: NamesSection = NamesSection()
    sequence: str | None = None
    """Regular expression that fits a whole id and whose first group is the name of its sequence."""

    @field_validator("sequence")
    @classmethod
    def _is_pattern(cls, pattern: str | None) -> str | None:
        try:
            groups = re.compile(pattern or "()").groups
        except re.error as error:
            raise ValueError(f"not a regular expression ({error})") from None
        if not groups:
            raise ValueError("has no group; put the sequence's name in parentheses, such as (.+)_[0-9]+")
        return pattern


def resolve_layout(reference: str) -> str:
    """The name in `LAYOUTS` of a layout: a built-in one, a plug-in's or that of a YAML file (its stem), put in there.

    RequestError: no such layout, a bad description, or one whose name is a built-in's.
    """
    if reference in LAYOUTS:
        return reference
    if reference.endswith((".yaml", ".yml")):
        path = Path(reference)
        layout = read_layout(path)
        if LAYOUTS.setdefault(path.stem, layout) != layout:
            raise RequestError(f"{path}: {path.stem} is the name of another layout; rename the file")
        return path.stem
    if reference not in plugin_names(PLUGINS):
        known = ", ".join(dict.fromkeys([*LAYOUTS, *plugin_names(PLUGINS)]))
        raise RequestError(f"unknown layout {reference!r}; known are {known}, or a YAML file that describes yours")
    plugged = load_plugin(PLUGINS, reference)
    if not isinstance(plugged, Layout):
        raise RequestError(f"{PLUGINS}: {reference!r} is a {type(plugged).__name__}, not a Layout")
    LAYOUTS[reference] = plugged
    return reference


def read_layout(path: Path) -> Layout:
    """The layout that a YAML file describes; see `LayoutFile`.

    RequestError: missing, not YAML, unknown keys or wrong values.
    """
    described = checked(LayoutFile, read_yaml(path, "layout description"), path, "layout description")
    return Layout(
        trees=(tuple(Folders(**item.model_dump()) for item in described.folders),),
        truth=tuple(OwnTruth(**item.model_dump()) for item in described.truth),
        split_lists=described.split_lists, numbered_by_split=True,
        names=(described.names.infrared, described.names.visible),
        box_classes=next((truth.classes for truth in described.truth if truth.kind != "masks"), None),
        mask_classes=next((truth.classes for truth in described.truth if truth.kind == "masks"), ()),
        sequence=dataset.SequenceInId(described.sequence) if described.sequence else dataset.no_sequence,
    )  # fmt: skip
