"""Layouts: where each data set keeps pairs, truth, splits and weather conditions; finding them on disk."""

import bisect
import functools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pydantic import Field

from fuse2task.config.recipes import Recipe, checked, configs_folder
from fuse2task.data import classes
from fuse2task.data.dataset import Finding, files_by_id, is_safe_id
from fuse2task.data.images import SUFFIXES
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.packages import load_plugin, plugin_names
from fuse2task.runtime.reading import read_text, read_yaml

Run = tuple[int, int, str]

# KAIST (Hwang et al., CVPR 2015): sets 00-02 and 06-08 were recorded in the daytime, the others at night.
_KAIST_DAY = ("set00", "set01", "set02", "set06", "set07", "set08")


def msrs_conditions(_root: Path, pair_id: str) -> tuple[str, ...]:
    """MSRS names end in D (day) or N (night)."""
    return {"D": ("day",), "N": ("night",)}.get(pair_id[-1], ())


def kaist_conditions(_root: Path, pair_id: str) -> tuple[str, ...]:
    """KAIST by set number."""
    return ("day",) if pair_id.startswith(_KAIST_DAY) else ("night",)


def awmm_conditions(root: Path, pair_id: str) -> tuple[str, ...]:
    """AWMM by the weather in the names of the folders above the pair; compound weather has several."""
    folders = pair_id.split("__")[:-1] or [root.resolve().name]
    weather = set(re.findall(r"(?<![tr])rain|snow|haze", " ".join(folders).lower()))  # not train, terrain
    return tuple(sorted(weather))


def m3fd_conditions(root: Path, pair_id: str) -> tuple[str, ...]:
    """M3FD by frame number: daytime, night, overcast or challenge, and `scene:<name>`; or `scene:unlisted` alone.

    Runs of frames come from `scenes.tsv` in the root, else from the shipped table of the real data set.
    """
    own = root / "scenes.tsv"
    runs = read_scenes(own if own.is_file() else configs_folder() / "scenes" / "m3fd.tsv")
    if not pair_id.isdecimal():
        return ()
    number = int(pair_id)
    index = bisect.bisect_right(runs, number, key=lambda run: run[0]) - 1
    if index < 0 or number > runs[index][1]:
        return ()
    scene = runs[index][2]
    return (f"scene:{scene}",) if scene == "unlisted" else (scene, f"scene:{scene}")


@functools.lru_cache(maxsize=8)
def read_scenes(path: Path) -> tuple[Run, ...]:
    """Runs (first, last, scene) of a table with lines `first<TAB>last<TAB>scene`, sorted.

    Raises:
        RequestError: missing or unreadable, a line of another form, or runs that overlap.
    """
    lines = read_text(path, "table of scenes").splitlines()
    matches = [re.fullmatch(r"(\d{1,9})\t(\d{1,9})\t([a-z0-9_-]+)", line, re.ASCII) for line in lines]
    bad = [f"line {number}: {line[:100]!r}" for number, line in enumerate(lines, 1) if not matches[number - 1]]
    if bad:
        raise RequestError(f"{path}: lines must be first<TAB>last<TAB>scene\n{listing(bad)}")
    runs = sorted((int(match[1]), int(match[2]), match[3]) for match in matches if match)
    edges = [edge for run in runs for edge in run[:2]]
    if edges != sorted(edges) or len({run[0] for run in runs}) != len(runs):
        raise RequestError(f"{path}: runs of frames overlap or end before they begin; fix its lines")
    return tuple(runs)


@dataclass(frozen=True)
class Folders:
    """A pair of modality folders below the root, and the split of its pairs.

    template: path below the root, `{}` for the modality folder. What a part with `*` matches begins the ids.
    """

    template: str
    infrared: str
    visible: str
    split: str = "test"


@dataclass(frozen=True)
class OwnTruth:
    """Truth inside a layout: folders below the root (all that exist are read), and class names in id order."""

    kind: Literal["voc", "yolo", "masks"]
    folders: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """File structure of one data set.

    trees: alternatives, each a tuple of folders. flat: name prefixes (infrared, visible) of files side by side in the
    root. truth: the first kind that exists is read. split_lists: files with one name a line. box_classes: fixed class
    order of boxes. mask_classes: of masks given apart. conditions: (root, id) -> names. clean: trees of undegraded
    references with the pairs' ids. numbered_by_split: each split may number its pairs from the start, and then their
    ids begin with the split; else one id in two splits is a finding.
    """

    trees: tuple[tuple[Folders, ...], ...]
    flat: tuple[str, str] | None = None
    truth: tuple[OwnTruth, ...] = ()
    split_lists: tuple[str, ...] = ()
    box_classes: tuple[str, ...] | None = None
    mask_classes: tuple[str, ...] = classes.MSRS
    conditions: Callable[[Path, str], tuple[str, ...]] = lambda _root, _id: ()
    clean: tuple[tuple[Folders, ...], ...] = ()
    numbered_by_split: bool = False


_AWMM = ("{}", "*/{}", "*/*/{}")  # the weather's folder is the root, or one or two levels below
_PLAIN = ((Folders("{}", "ir", "vi"),), (Folders("{}", "infrared", "visible"),))

LAYOUTS: dict[str, Layout] = {
    "m3fd": Layout(
        trees=((Folders("{}", "Ir", "Vis"),), (Folders("{}", "ir", "vi"),)),
        truth=(OwnTruth("voc", ("Annotation",), classes.M3FD), OwnTruth("yolo", ("labels",), classes.M3FD)),
        split_lists=("meta/train.txt", "meta/val.txt", "meta/test.txt", "meta/pred.txt"),
        box_classes=classes.M3FD,
        conditions=m3fd_conditions,
    ),
    "msrs": Layout(
        trees=((Folders("train/{}", "ir", "vi", "train"), Folders("test/{}", "ir", "vi", "test")),),
        truth=(OwnTruth("masks", ("train/Segmentation_labels", "test/Segmentation_labels"), classes.MSRS),),
        conditions=msrs_conditions,
    ),
    "roadscene": Layout(trees=((Folders("{}", "cropinfrared", "crop_LR_visible"),),)),
    "tno": Layout(trees=_PLAIN, flat=("IR", "VIS")),
    "llvip": Layout(
        trees=((
            Folders("{}/train", "infrared", "visible", "train"),
            Folders("{}/test", "infrared", "visible", "test"),
        ),),
        truth=(OwnTruth("voc", ("Annotations",), classes.LLVIP),),
    ),
    "kaist": Layout(
        trees=((Folders("set*/V*/{}", "lwir", "visible"),),), conditions=kaist_conditions
    ),
    "fmb": Layout(
        trees=((Folders("{}", "Infrared", "Visible"),),),
        truth=(OwnTruth("masks", ("Label",), classes.FMB),),
        split_lists=("train.txt", "test.txt"),
        mask_classes=classes.FMB,
    ),
    "awmm": Layout(
        trees=(tuple(Folders(template, "ir", "vi") for template in _AWMM),),
        conditions=awmm_conditions,
        clean=(tuple(Folders(template, "gt_ir", "gt_vi") for template in _AWMM),),
    ),
    "folder": Layout(trees=_PLAIN),
}  # fmt: skip


@dataclass
class Located:
    """Image files of both modalities by id, and the split that the folders stand for, by id."""

    infrared: dict[str, Path] = field(default_factory=dict)
    visible: dict[str, Path] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    restarted: bool = False  # ids of one split are there in another as well

    def add(self, infrared: Path, visible: Path, split: str = "test", prefix: str = "") -> None:
        """Add the images of two folders."""
        for folder, known in ((infrared, self.infrared), (visible, self.visible)):
            files, findings = files_by_id(folder, SUFFIXES, prefix)
            self.findings += findings
            if not files:
                self.findings.append(Finding("empty-folder", f"{folder}: no images in it"))
            for name, path in files.items():
                if name in known:
                    self.restarted |= self.splits[name] != split
                    text = f"{path}: same id {name!r} as {known[name]}; a pair belongs to one split"
                    self.findings.append(Finding("duplicate-id", text))
                else:
                    known[name] = path
                    self.splits.setdefault(name, split)


def locate(root: Path, layout: str, clean: bool = False) -> Located:
    """Image files below `root`, laid out as `layout`; clean: its references instead of its pairs.

    Raises:
        RequestError: the folders that the layout needs are not there, or two alternatives of it are.
    """
    table = LAYOUTS[layout]
    wanted = table.clean if clean else table.trees
    trees = [tree for tree in wanted if any(_both(root, folders)[2] for folders in tree)]
    if len(trees) > 1:
        raise RequestError(f"{root}: two trees of layout {layout} lie in it ({_wanted(wanted)}); move one away")
    located = Located()
    if not trees:
        if clean:
            raise RequestError(f"{root}: no clean references in it; their folders are {_wanted(wanted)}")
        if table.flat and _flat(root, table.flat, located):
            return located
        raise RequestError(f"{root}: not of layout {layout}; its folders are {_wanted(wanted)}")
    located = _in_tree(root, trees[0], by_split=False)
    return _in_tree(root, trees[0], by_split=True) if located.restarted and table.numbered_by_split else located


def _in_tree(root: Path, tree: tuple[Folders, ...], by_split: bool) -> Located:
    """Images of one tree; by_split: with the split before each id, where each split numbers its images from 0."""
    located = Located()
    for folders in tree:
        infrared, visible, common = _both(root, folders)
        for prefix in sorted(infrared.keys() ^ visible.keys()):
            found = infrared.get(prefix) or visible[prefix]
            text = f"{found}: its {'visible' if prefix in infrared else 'infrared'} folder is missing"
            located.findings.append(Finding("missing-partner", text))
        for prefix in common:
            first = f"{folders.split}/{prefix}".rstrip("/") if by_split else prefix
            located.add(infrared[prefix], visible[prefix], folders.split, first)
    return located


def _both(root: Path, folders: Folders) -> tuple[dict[str, Path], dict[str, Path], list[str]]:
    infrared = dict(_expand(root, folders.template.format(folders.infrared).split("/")))
    visible = dict(_expand(root, folders.template.format(folders.visible).split("/")))
    return infrared, visible, sorted(infrared.keys() & visible.keys())


def _expand(folder: Path, parts: list[str], prefix: str = "") -> list[tuple[str, Path]]:
    """(what the `*` parts matched, folder), case-sensitive on every file system."""
    if not parts:
        return [(prefix, folder)]
    found = []
    for name in sorted(entry.name for entry in os.scandir(folder) if os.path.isdir(entry.path)):
        if fnmatchcase(name, parts[0]) and not name.startswith("."):
            inner = f"{prefix}/{name}".lstrip("/") if "*" in parts[0] else prefix
            found += _expand(folder / name, parts[1:], inner)
    return found


def _flat(root: Path, prefixes: tuple[str, str], located: Located) -> bool:
    """Add pairs IR1.png, VIS1.png lying side by side in the root; False where there is no such file."""
    others = 0
    for path in sorted(root.iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            others += path.is_file()
            continue
        match = re.fullmatch(f"({'|'.join(prefixes)})(.+)", path.stem)
        if match is None:
            text = f"{path}: its name begins with neither {prefixes[0]} nor {prefixes[1]}"
            located.findings.append(Finding("bad-name", text))
            continue
        if not is_safe_id(match[2]):
            located.findings.append(Finding("bad-name", f"{str(path)!a}: the name cannot be an id; rename it"))
            continue
        known = located.infrared if match[1] == prefixes[0] else located.visible
        if match[2] in known:
            text = f"{path}: same id {match[2]!r} as {known[match[2]]}; keep one"
            located.findings.append(Finding("duplicate-id", text))
        known.setdefault(match[2], path)
        located.splits[match[2]] = "test"
    if others:
        located.findings.append(Finding("not-used", f"{root}: {others} files not used (no images)", note=True))
    return bool(located.infrared or located.visible)


def _wanted(trees: tuple[tuple[Folders, ...], ...]) -> str:
    texts = (
        " ".join(f"{folders.template.format(f'{{{folders.infrared},{folders.visible}}}')}/" for folders in tree)
        for tree in trees
    )
    return " or ".join(texts)


PLUGINS = "fuse2task.layouts"
"""Entry-point group of layouts from other packages: `fuse2task.data.layouts.Layout` objects."""


class FoldersSection(Recipe):
    """`Folders` in a layout file."""

    infrared: str
    visible: str
    template: str = Field("{}", pattern=r"^[^{}]*\{\}[^{}]*$")
    split: str = "test"


class TruthSection(Recipe):
    """`OwnTruth` in a layout file."""

    kind: Literal["voc", "yolo", "masks"]
    folders: tuple[str, ...] = Field(min_length=1)
    classes: tuple[str, ...] = Field(min_length=1)


class LayoutFile(Recipe):
    """YAML description of a layout."""

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
        layout = read_layout(path)
        if LAYOUTS.setdefault(path.stem, layout) != layout:
            raise RequestError(f"{path}: {path.stem} is the name of another layout; rename the file")
        return path.stem
    if reference in plugin_names(PLUGINS):
        plugged = load_plugin(PLUGINS, reference)
        if not isinstance(plugged, Layout):
            raise RequestError(f"{PLUGINS}: {reference!r} is a {type(plugged).__name__}, not a Layout")
        LAYOUTS[reference] = plugged
        return reference
    known = ", ".join(dict.fromkeys([*LAYOUTS, *plugin_names(PLUGINS)]))
    raise RequestError(f"unknown layout {reference!r}; known are {known}, or a YAML file that describes yours")


def read_layout(path: Path) -> Layout:
    """The layout that a YAML file describes; see `LayoutFile`.

    Raises:
        RequestError: missing, not YAML, unknown keys or wrong values.
    """
    described = checked(LayoutFile, read_yaml(path, "layout description"), path, "layout description")
    return Layout(
        trees=(tuple(Folders(**item.model_dump()) for item in described.folders),),
        truth=tuple(OwnTruth(**item.model_dump()) for item in described.truth),
        split_lists=described.split_lists,
        numbered_by_split=True,
        box_classes=next((truth.classes for truth in described.truth if truth.kind != "masks"), None),
        mask_classes=next((truth.classes for truth in described.truth if truth.kind == "masks"), classes.MSRS),
    )
