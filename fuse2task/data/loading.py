"""Loading a dataset: its images on disk, strict pairs, splits, truth and clean references, with all findings."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from fuse2task.data import layouts, splits
from fuse2task.data.classes import class_list, read_class_list
from fuse2task.data.dataset import (
    VALIDATION,
    BoxTruth,
    Dataset,
    Findings,
    MaskTruth,
    Pair,
    files_below,
    files_by_id,
    inner_name,
    is_safe_id,
    path_id,
    say_notes,
)  # fmt: skip
from fuse2task.data.images import SUFFIXES, has_border, image_header, image_size
from fuse2task.data.layouts import Folders, Layout, OwnTruth, resolve_layout
from fuse2task.data.truth.boxes import parse_flags, read_vedai, read_voc, read_yolo
from fuse2task.data.truth.coco import image_names, is_coco, read_coco
from fuse2task.data.truth.masks import read_masks
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.reading import read_text

LAYOUTS = tuple(layouts.LAYOUTS)


def load_dataset(
    root: Path, layout: str, *, split: str | None = None, boxes: Path | None = None,
    annotations: Path | None = None, masks: Path | None = None,
    infrared: Path | None = None, visible: Path | None = None, palette: str | None = None,
    ignore: str | None = None,
) -> Dataset:  # fmt: skip
    """A dataset without any finding; arguments as in `scan_dataset`.

    RequestError: what `scan_dataset` raises, or its findings as a list.
    """
    truth = {"boxes": boxes, "annotations": annotations, "masks": masks}
    dataset, findings = scan_dataset(
        root, layout, split=split, infrared=infrared, visible=visible, palette=palette, ignore=ignore, **truth
    )
    if findings:  # what is missing may be among what is not used
        say_notes(dataset.notes)
    findings.refuse(Path(root), f" as layout {dataset.layout}; fix the files")
    return dataset


def scan_dataset(
    root: Path, layout: str, *, split: str | None = None, infrared: Path | None = None, visible: Path | None = None,
    palette: str | None = None, ignore: str | None = None, **truth: Path | None,
) -> tuple[Dataset, Findings]:  # fmt: skip
    """A dataset as far as it is sound, and findings, none of them a note. Reads image headers and decodes masks.

    Args:
        root: the folder that the layout begins at.
        layout: one of `LAYOUTS`, a plug-in's name, or a YAML file that describes one.
        split: a split list, or the name of a shipped one; pairs that it does not name are not used. Without
            it the layout's own splits hold, or everything is `test`.
        infrared, visible: the two folders of layout `folder`, instead of looking for them in `root`.
        ignore: flags of boxes that do not count, as `truth.boxes.parse_flags` reads them.
        palette: name of the colours of masks, a key of `classes.PALETTES`; without it masks hold class indices.
        truth: one of boxes (folder of YOLO files, with classes.txt there or in its parent), annotations (COCO file or
            folder of COCO files, or folder of VOC files) and masks (folder of class masks; classes are those of
            classes.txt there, else the layout's, else the palette's, else their numbers), instead of the layout's own.

    RequestError: an unknown layout, missing folders, a bad split list, several truth options, a missing path, or a
    palette where there are no masks.
    """
    root, layout = Path(root), resolve_layout(layout) if layout not in layouts.LAYOUTS else layout
    table, located = layouts.LAYOUTS[layout], _located(root, layout, infrared, visible)
    listed = None if split is None else splits.resolve(split)
    parts = splits.read_split(listed) if listed else _own_split(root, table, located.findings)
    pairs = _pair_up(root, table, located, parts)
    found, problems = _read_truth(root, table, pairs, palette, parse_flags(ignore), **truth)
    if infrared is None:
        given = [Path(path) for path in truth.values() if path is not None]
        lists = [root / name for name in table.split_lists]
        lists += [
            place
            for tree in table.clean
            for each in tree
            for group in _both(root, each)[:2]
            for place in group.values()
        ]
        _count_outside(root, [*located.folders, *lists, *_truth_places(root, table, given)], problems)
    findings = [*located.findings, *problems]
    dataset = Dataset(
        layout, root, pairs, found if isinstance(found, BoxTruth) else None,
        found if isinstance(found, MaskTruth) else None, listed.stem if listed else "layout",
        splits.split_hash(parts if parts is not None else {pair.id: pair.split for pair in pairs}),
        tuple(finding.message for finding in findings if finding.note),
    )  # fmt: skip
    return dataset, Findings(finding for finding in findings if not finding.note)


def _truth_places(root: Path, table: Layout, given: Sequence[Path]) -> list[Path]:
    """Where truth is read from: what is given, else the layout's own of the first kind that exists."""
    own = ([place for name in each.folders if (place := root / name).exists()] for each in table.truth)
    return list(given) or next((places for places in own if places), [])


def _count_outside(root: Path, places: Sequence[Path], findings: Findings) -> None:
    """Add a note that counts the files below `root` in folders that nothing is read from, by folder."""
    read = {form for place in places for form in (str(place), os.path.realpath(place))}  # links lead in and out
    below = dict[Path, bool]()
    outside = Counter[str]()
    for path in files_below(root):
        folder = path.parent
        if folder not in below:
            forms = [form + os.sep for form in (str(folder), os.path.realpath(folder))]
            inside = any(form.startswith(place + os.sep) for form in forms for place in read)
            below[folder] = folder == root or inside
        if not below[folder] and os.path.realpath(path) not in read:
            outside[path.relative_to(root).parts[0]] += 1
    if outside:
        causes = ", ".join(f"{name} {count}" for name, count in sorted(outside.items()))
        text = f"{root}: {outside.total()} files in folders that nothing is read from ({causes})"
        findings.add("not-used", text, note=True)


def load_pairs(
    root: Path, layout: str, *, infrared: Path | None = None, visible: Path | None = None
) -> tuple[Pair, ...]:
    """All pairs on disk, without truth; the layout's own split lists are not applied.

    RequestError: as `load_dataset`.
    """
    layout = resolve_layout(layout)
    located = _located(Path(root), layout, infrared, visible)
    pairs = _pair_up(Path(root), layouts.LAYOUTS[layout], located, None)
    located.findings.refuse(Path(root), f" as layout {layout}; fix the files")
    say_notes(finding.message for finding in located.findings if finding.note)
    return pairs


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


def _located(root: Path, layout: str, infrared: Path | None, visible: Path | None) -> Located:
    if (infrared is None) != (visible is None) or (infrared is not None and layout != "folder"):
        raise RequestError("infrared and visible folders are given together, and for layout folder only")
    for folder in (root, infrared, visible):
        if folder is not None and not Path(folder).is_dir():
            raise RequestError(f"{folder}: no such folder")
    if infrared is None or visible is None:
        return _locate(root, layout)
    located = Located()
    located.add(Path(infrared), Path(visible))
    return located


def _locate(root: Path, layout: str, clean: bool = False) -> Located:
    """Image files below `root`; clean: the layout's references instead of its pairs."""
    table = layouts.LAYOUTS[layout]
    wanted = table.clean if clean else table.trees
    described = " or ".join(
        " ".join(f"{folders.template.format(_described(folders))}/" for folders in tree) for tree in wanted
    )
    trees = [tree for tree in wanted if any(_both(root, folders)[2] for folders in tree)]
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
        infrared, visible, common = _both(root, folders)
        for prefix in sorted(infrared.keys() ^ visible.keys()):
            found = infrared.get(prefix) or visible[prefix]
            text = f"{found}: its {'visible' if prefix in infrared else 'infrared'} folder is missing"
            located.findings.add("missing-partner", text)
        for prefix in common:
            first = f"{folders.split}/{prefix}".rstrip("/") if by_split else prefix
            located.add(infrared[prefix], visible[prefix], folders.split, first, names, folders.packed)
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


def _own_split(root: Path, table: Layout, findings: Findings) -> dict[str, str] | None:
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


def _pair_up(root: Path, table: Layout, located: Located, listed: Mapping[str, str] | None) -> tuple[Pair, ...]:
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
                conditions = table.conditions(root, name)
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
                pairs.append(Pair(name, parts[name], thermal, colour, size, conditions, aliases, border, packed))
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


def _read_truth(
    root: Path, table: Layout, pairs: Sequence[Pair], palette: str | None, flags: Sequence[str],
    boxes: Path | None = None, annotations: Path | None = None, masks: Path | None = None,
) -> tuple[BoxTruth | MaskTruth | None, Findings]:  # fmt: skip
    """Truth of `pairs` and what is wrong with it, from the one option that is given, else the layout's own."""
    given = [path for path in (boxes, annotations, masks) if path is not None]
    if len(given) > 1:
        raise RequestError("give one of boxes, annotations and masks, not several")
    own_masks = [own for own in table.truth if own.kind == "masks"]
    if palette is not None and masks is None and (given or not own_masks):
        raise RequestError(f"palette {palette}: for masks; give their folder too (--masks)")
    for path in map(Path, given):
        if not path.is_dir() and not (path.exists() and annotations is not None):
            raise RequestError(f"{path}: no such folder of truth")
        if boxes is not None:
            return read_yolo(path, pairs, table.box_classes, ignore=flags, cut=table.cut)
        if annotations is not None:
            return (read_coco if is_coco(path) else read_voc)(path, pairs, table.box_classes, flags, table.cut)
        listed = class_list(path)
        return read_masks([path], pairs, read_class_list(listed) if listed else table.mask_classes, palette)
    for own in table.truth:
        if own.kind == "coco":
            if found := [root / name for name in own.folders if (root / name).exists()]:
                return read_coco(found, pairs, own.classes, flags, table.cut)
            continue
        folders = [root / name for name in own.folders if (root / name).is_dir()]
        if folders and own.kind == "masks":
            return read_masks(folders, pairs, own.classes, palette)
        if folders:
            if own.kind == "yolo":
                return read_yolo(folders, pairs, own.classes, True, flags, table.cut)
            if own.kind == "vedai":
                return read_vedai(folders, pairs, flags, table.cut)
            names = (*own.classes, *(name for name, _ in own.spellings))
            truth, findings = read_voc(folders, pairs, names, flags, table.cut)
            return _spelled(truth, own, findings), findings
    return None, Findings()


def _spelled(truth: BoxTruth, own: OwnTruth, findings: Findings) -> BoxTruth:
    """Boxes under the names of the layout; a note counts what the files spell otherwise."""
    meant = dict(own.spellings)
    others = Counter(box.name for boxes in truth.boxes.values() for box in boxes if box.name in meant)
    if others:
        text = ", ".join(f"{count} {name!r} as {meant[name]}" for name, count in sorted(others.items()))
        findings.add("spelling", f"boxes counted under another spelling of their class: {text}", note=True)
    boxes, ignored = (
        {key: tuple(replace(box, name=meant.get(box.name, box.name)) for box in found) for key, found in group.items()}
        for group in (truth.boxes, truth.ignored)
    )
    return replace(truth, classes=own.classes, boxes=boxes, ignored=ignored)


def clean_pairs(dataset: Dataset) -> tuple[Pair, ...]:
    """The dataset's pairs, in order, with the files of their clean references (awmm: gt_ir/ and gt_vi/).

    RequestError: no clean references in the layout or on disk, none for a pair, or one of another size.
    """
    if not layouts.LAYOUTS[dataset.layout].clean:
        having = ", ".join(name for name, table in layouts.LAYOUTS.items() if table.clean)
        raise RequestError(
            f"{dataset.root}: layout {dataset.layout} has no clean references ({having} has); "
            "refer to the images that were fused instead"
        )
    located = _locate(dataset.root, dataset.layout, clean=True)
    problems = [finding.message for finding in located.findings]
    pairs = []
    for pair in dataset.pairs:
        infrared, visible = located.infrared.get(pair.id), located.visible.get(pair.id)
        if infrared is None or visible is None:
            what = "infrared" if infrared is None else "visible"
            problems.append(f"{pair.infrared}: no clean {what} reference of id {pair.id!r}")
            continue
        for path in (infrared, visible):
            width, height = image_size(path)
            if (width, height) != pair.size:
                problems.append(f"{path}: {width}x{height}, but the degraded pair is {pair.size[0]}x{pair.size[1]}")
        pairs.append(replace(pair, infrared=infrared, visible=visible))
    if problems:
        raise RequestError(f"{dataset.root}: {len(problems)} clean references do not fit\n{listing(problems)}")
    return tuple(pairs)
