"""Loading a dataset: pairs, splits, truth and clean references, with all findings."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fuse2task.data import layouts, splits
from fuse2task.data.classes import class_list, read_class_list
from fuse2task.data.dataset import (
    BoxTruth,
    Dataset,
    Findings,
    MaskTruth,
    Pair,
    files_below,
    say_notes,
)  # fmt: skip
from fuse2task.data.images import image_size
from fuse2task.data.layouts import Layout, OwnTruth, resolve_layout
from fuse2task.data.pairing import both_cameras, locate, locate_given, own_split, pair_up
from fuse2task.data.truth.boxes import parse_flags, read_vedai, read_voc, read_yolo
from fuse2task.data.truth.coco import is_coco, read_coco
from fuse2task.data.truth.masks import read_masks
from fuse2task.runtime.errors import RequestError, listing

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
    table, located = layouts.LAYOUTS[layout], locate_given(root, layout, infrared, visible)
    listed = None if split is None else splits.resolve(split)
    parts = splits.read_split(listed) if listed else own_split(root, table, located.findings)
    pairs = pair_up(root, table, located, parts)
    found, problems = _read_truth(root, table, pairs, palette, parse_flags(ignore), **truth)
    if infrared is None:
        given = [Path(path) for path in truth.values() if path is not None]
        lists = [root / name for name in table.split_lists]
        lists += [
            place
            for tree in table.clean
            for each in tree
            for group in both_cameras(root, each)[:2]
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
    located = locate_given(Path(root), layout, infrared, visible)
    pairs = pair_up(Path(root), layouts.LAYOUTS[layout], located, None)
    located.findings.refuse(Path(root), f" as layout {layout}; fix the files")
    say_notes(finding.message for finding in located.findings if finding.note)
    return pairs


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
    located = locate(dataset.root, dataset.layout, clean=True)
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
