"""Pairs of a dataset on disk: where its folders are, which files belong together, their common size and splits."""

import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from fuse2task.data import layouts
from fuse2task.data.dataset import (
    VALIDATION,
    Findings,
    Pair,
    files_by_id,
    inner_name,
    is_safe_id,
    path_id,
)  # fmt: skip
from fuse2task.data.images import SUFFIXES, has_border, image_header
from fuse2task.data.layouts import Folders, Layout
from fuse2task.data.truth.coco import image_names
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.reading import read_text


@dataclass
class Located:
    """Image files of both modalities by id, and the split that the folders stand for, by id."""

    infrared: dict[str, Path] = field(default_factory=dict)
    visible: dict[str, Path] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    folders: list[Path] = field(default_factory=list)  # that have been read
    packed: set[str] = field(default_factory=set)  # ids of pairs that are one file
    findings: Findings = field(default_factory=Findings)
    restarted: bool = False  # ids of one split are there in another as well

    def add(
        self, infrared: Path, visible: Path, split: str = "test", prefix: str = "",
        names: tuple[str, str] = ("{}", "{}"), packed: bool = False,
    ) -> None:  # fmt: skip
        """Add the images of two folders, or of one that both cameras share; names: as in `Layout`."""
        self.folders += [infrared, visible]
        shared = infrared.resolve() == visible.resolve()
        if shared and names[0] == names[1] and not packed:
            raise RequestError(
                f"{infrared}: the folder of both cameras; say in a layout file which names are whose (`names`)"
            )
        for folder, known, own in ((infrared, self.infrared, 0), (visible, self.visible, 1)):
            partner = names[1 - own] if shared else None
            files, findings = files_by_id(folder, SUFFIXES, prefix, names[own], partner)
            self.findings += [item for item in findings if not (shared and item in self.findings)]
            if not files:
                form = "" if names[own] == "{}" else f" named {names[own]}"
                self.findings.add("empty-folder", f"{folder}: no images{form} in it")
            for name, path in files.items():
                if name in known:
                    self.restarted |= self.splits[name] != split
                    text = f"{path}: same id {name!r} as {known[name]}; a pair belongs to one split"
                    self.findings.add("duplicate-id", text)
                else:
                    known[name] = path
                    self.splits.setdefault(name, split)
            if packed:
                self.packed |= files.keys()


def locate_given(root: Path, layout: str, infrared: Path | None, visible: Path | None) -> Located:
    """Image files of the two folders that are given (layout folder), else of `layout` below `root`. RequestError: one
    folder alone is given, or as `locate`."""
    if (infrared is None) != (visible is None) or (infrared is not None and layout != "folder"):
        raise RequestError("infrared and visible folders are given together, and for layout folder only")
    for folder in (root, infrared, visible):
        if folder is not None and not Path(folder).is_dir():
            raise RequestError(f"{folder}: no such folder")
    if infrared is None or visible is None:
        return locate(root, layout)
    located = Located()
    located.add(Path(infrared), Path(visible))
    return located


def locate(root: Path, layout: str, clean: bool = False) -> Located:
    """Image files below `root`; clean: the layout's references instead of its pairs. RequestError: not
    of that layout."""
    table = layouts.LAYOUTS[layout]
    wanted = table.clean if clean else table.trees
    described = " or ".join(
        " ".join(f"{folders.template.format(_described(folders))}/" for folders in tree) for tree in wanted
    )
    trees = [tree for tree in wanted if any(both_cameras(root, folders)[2] for folders in tree)]
    half = root.resolve().name
    if not any((root / name).is_file() for name in table.split_lists):  # or the whole lies in a folder of that name
        for folders in (folders for tree in wanted for folders in tree if folders.template == f"{half}/{{}}"):
            if (root / folders.infrared).is_dir() and (root / folders.visible).is_dir():
                raise RequestError(
                    f"{root}: one half ({half}/) of layout {layout}, whose pairs are for {folders.split}; "
                    f"give the folder that it lies in, {root.resolve().parent}"
                )
    if len(trees) > 1:
        raise RequestError(f"{root}: two trees of layout {layout} lie in it ({described}); move one away")
    if trees:
        located = _in_tree(root, trees[0], False, table.names)
        again = located.restarted and table.numbered_by_split
        return _in_tree(root, trees[0], True, table.names) if again else located
    if clean:
        raise RequestError(f"{root}: no clean references in it; their folders are {described}")
    located = _flat(root, table.flat) if table.flat else Located()
    if not located.infrared and not located.visible:
        raise RequestError(f"{root}: not of layout {layout}; its folders are {described}")
    return located


def _described(folders: Folders) -> str:
    one = folders.infrared == folders.visible
    return folders.visible if one else f"{{{folders.infrared},{folders.visible}}}"


def _in_tree(root: Path, tree: tuple[Folders, ...], by_split: bool, names: tuple[str, str]) -> Located:
    """Images of one tree; by_split: with the split before each id, where each split numbers its images from 0."""
    located = Located()
    for folders in tree:
        infrared, visible, common = both_cameras(root, folders)
        for prefix in sorted(infrared.keys() ^ visible.keys()):
            found = infrared.get(prefix) or visible[prefix]
            text = f"{found}: its {'visible' if prefix in infrared else 'infrared'} folder is missing"
            located.findings.add("missing-partner", text)
        for prefix in common:
            first = f"{folders.split}/{prefix}".rstrip("/") if by_split else prefix
            located.add(infrared[prefix], visible[prefix], folders.split, first, names, folders.packed)
    return located


def both_cameras(root: Path, folders: Folders) -> tuple[dict[str, Path], dict[str, Path], list[str]]:
    """Folders of the infrared and of the visible camera by split, and the splits that have both."""
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


def _flat(root: Path, prefixes: tuple[str, str]) -> Located:
    """Pairs IR1.png, VIS1.png lying side by side in the root."""
    located, others = Located(folders=[root]), 0
    for path in sorted(root.iterdir()):
        match = re.fullmatch(f"({'|'.join(prefixes)})(.+)", path.stem)
        if path.suffix.lower() not in SUFFIXES:
            others += path.is_file()
        elif match is None:
            text = f"{path}: its name begins with neither {prefixes[0]} nor {prefixes[1]}"
            located.findings.add("bad-name", text)
        elif not is_safe_id(match[2]):
            located.findings.add("bad-name", f"{str(path)!a}: the name cannot be an id; rename it")
        else:
            known = located.infrared if match[1] == prefixes[0] else located.visible
            if match[2] in known:
                located.findings.add("duplicate-id", f"{path}: same id {match[2]!r} as {known[match[2]]}; keep one")
            known.setdefault(match[2], path)
            located.splits[match[2]] = "test"
    if others:
        located.findings.add("not-used", f"{root}: {others} files not used (no images)", note=True)
    return located


def own_split(root: Path, table: Layout, findings: Findings) -> dict[str, str] | None:
    """The layout's own split lists together; None without any. A name of M3FD's `pred` may be in another list too.

    Adds findings: `bad-split-list` (unreadable, a name twice or in two splits, a name that leads out of its folder).
    """
    parts: dict[str, str] = {}
    present = [root / name for name in table.split_lists if (root / name).is_file()]
    for path in present:
        try:
            if path.suffix == ".json":
                names = image_names(path)
            else:
                names = [line.strip() for line in read_text(path, "split list").splitlines() if line.strip()]
        except RequestError as error:
            findings.add("bad-split-list", error)
            continue
        words = path.stem.split("_") if path.suffix == ".json" else [path.stem.rpartition("_")[2]]  # align_train.txt
        part = next((word for word in words if word in ("train", *VALIDATION, "test")), path.stem)
        for name in names:
            key = _listed_id(name, table.names)
            if not is_safe_id(key) or ".." in Path(name).parts or "\\" in name:
                findings.add("bad-split-list", f"{path}: {name!r} is no name of a pair")
            elif key in parts and path.stem != "pred":
                findings.add("bad-split-list", f"{path}: {name!r} is there twice or in two splits")
            else:
                parts.setdefault(key, part)
    return parts if present else None


def _listed_id(name: str, forms: tuple[str, str]) -> str:
    """The id of a name in a list: of a pair, or of the file of either camera."""
    folder, slash, last = name.rpartition("/")
    stem, suffix = os.path.splitext(last)
    stem, suffix = (stem, suffix) if suffix.lower() in SUFFIXES else (last, "")
    inner = next((found for form in forms if (found := inner_name(form, stem))), stem)
    return path_id(f"{folder}{slash}{inner}{suffix}", SUFFIXES)


def pair_up(root: Path, table: Layout, located: Located, listed: Mapping[str, str] | None) -> tuple[Pair, ...]:
    """Pairs of equal size, sorted by (split, id): those of a split list, or all without one.

    Adds findings: `case-clash`, `not-on-disk`, `missing-partner`, `unusable-image`, `unequal-size`.
    """
    findings = located.findings
    spellings: dict[str, dict[str, Path]] = {}
    for name, path in (*located.infrared.items(), *located.visible.items()):
        spellings.setdefault(name.casefold(), {})[name] = path
    for group in spellings.values():
        if len(group) > 1:
            paths = " and ".join(str(path) for path in group.values())
            findings.add("case-clash", f"{paths}: names that differ in case only; rename one")
    parts = located.splits if listed is None else listed
    if table.mirrored and listed is None:
        parts = {name: part for name, part in parts.items() if not name.endswith(table.mirrored)}
        if copies := len(located.splits) - len(parts):
            text = f"{root}: {copies} pairs are mirrored copies (*{table.mirrored}), which no list names"
            findings.add("not-used", text, note=True)
    elif others := (located.infrared.keys() | located.visible.keys()) - parts.keys():
        findings.add("not-used", f"{root}: {len(others)} pairs that the split list does not name", note=True)
    unlike = located.infrared and located.visible and not located.infrared.keys() & located.visible.keys()
    hint = "; where names differ by more than the suffix, a layout file's `names` says how they match" if unlike else ""
    borders = dict[tuple[int, int], int | None]()
    extra, framed, pairs = 0, 0, []
    for name in sorted(parts):
        thermal, colour = located.infrared.get(name), located.visible.get(name)
        if thermal is None and colour is None:
            findings.add("not-on-disk", f"{root}: no images {name!r}, which the split list names for {parts[name]}")
        elif thermal is None or colour is None:
            missing = "visible" if colour is None else "infrared"
            findings.add("missing-partner", f"{thermal or colour}: no {missing} image {name!r}{hint}")
        else:
            size, frames = _common_size(thermal, colour, findings)
            extra += frames
            if size is not None:
                conditions, sequence = table.conditions(root, name), table.sequence(root, name)
                aliases = tuple(
                    f"{name.removesuffix(inner)}{stem}"
                    for form, path in zip(table.names, (thermal, colour), strict=True)
                    if form != "{}" and (inner := inner_name(form, stem := unicodedata.normalize("NFC", path.stem)))
                )
                # The first readable pair of a size decides; `data check` looks at all.
                if table.border and borders.get(size) is None:
                    borders[size] = _border(table.border, thermal, colour, findings)
                border = borders.get(size) or 0
                framed += border > 0
                size = size[0] - 2 * border, size[1] - 2 * border
                packed = name in located.packed
                files = (thermal, colour)
                pairs.append(Pair(name, parts[name], *files, size, conditions, aliases, border, packed, sequence))
    if framed:
        text = f"{root}: {framed} pairs have a white border of {table.border} px, which is left out; boxes count it"
        findings.add("border", text, note=True)
    if extra:
        text = f"{root}: {extra} further pictures inside JPEG files (previews, other cameras); the first is used"
        findings.add("not-used", text, note=True)
    return tuple(sorted(pairs, key=lambda pair: (pair.split, pair.id)))


def _border(width: int, infrared: Path, visible: Path, findings: Findings) -> int | None:
    """`width` where both images have a white border of it, 0 where neither has, None where one is unreadable.

    Adds a finding: `border`, one alone has.
    """
    try:
        found = [has_border(path, width) for path in (infrared, visible)]
    except RequestError:  # `data check` and whoever reads the pixels report it
        return None
    if found[0] != found[1]:
        text = f"{visible if found[0] else infrared}: no white border of {width} px, unlike its partner; crop both"
        findings.add("border", text)
    return width if all(found) else 0


def _common_size(infrared: Path, visible: Path, findings: Findings) -> tuple[tuple[int, int] | None, int]:
    """Size of both images, None with a finding; and how many further pictures their files hold."""
    headers = []
    for path in (infrared, visible):
        try:
            headers.append(image_header(path))
        except RequestError as error:
            findings.add("unusable-image", error)
    if len(headers) < 2:
        return None, 0
    (first, second), frames = (size for size, _ in headers), sum(count - 1 for _, count in headers)
    if first != second:
        text = f"{infrared}: {first[0]}x{first[1]}, but {visible} is {second[0]}x{second[1]}"
        findings.add("unequal-size", f"{text}; register the pair to one size first")
        return None, frames
    return first, frames
