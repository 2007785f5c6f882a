"""Reading a dataset: strict pairs, splits and truth, with everything that is wrong with them."""

from collections.abc import Sequence
from pathlib import Path

from fuse2task.data import layouts, splits
from fuse2task.data.dataset import Dataset, Finding, Pair
from fuse2task.data.known_layouts import resolve_layout
from fuse2task.data.layouts import Located
from fuse2task.data.pairing import SplitList, own_split, pair_up
from fuse2task.data.truth.reading import read_truth
from fuse2task.runtime.errors import RequestError, listing

LAYOUTS = tuple(layouts.LAYOUTS)


def load_dataset(
    root: Path, layout: str, *, split: str | None = None, boxes: Path | None = None,
    annotations: Path | None = None, masks: Path | None = None,
    infrared: Path | None = None, visible: Path | None = None,
) -> Dataset:  # fmt: skip
    """A dataset without any finding; arguments as in `scan_dataset`.

    Raises:
        RequestError: what `scan_dataset` raises, or its findings as a list.
    """
    dataset, findings = scan_dataset(
        root, layout, split=split, boxes=boxes, annotations=annotations, masks=masks,
        infrared=infrared, visible=visible,
    )  # fmt: skip
    _refuse(Path(root), layout, findings)
    return dataset


def scan_dataset(
    root: Path, layout: str, *, split: str | None = None, boxes: Path | None = None,
    annotations: Path | None = None, masks: Path | None = None,
    infrared: Path | None = None, visible: Path | None = None,
) -> tuple[Dataset, list[Finding]]:  # fmt: skip
    """A dataset as far as it is sound, and what is not.

    Image headers are read, masks are decoded; `fuse2task.data.check` decodes the images as well.

    Args:
        root: the folder that the layout begins at.
        layout: one of `LAYOUTS`, a plug-in's name, or a YAML file that describes one (`known_layouts`).
        split: a split list, or the name of a shipped one; pairs that it does not name are not used. Without
            it the layout's own splits hold, or everything is `test`.
        boxes: folder of YOLO files, with classes.txt there or in its parent.
        annotations: COCO file or folder of COCO files, or folder of VOC files.
        masks: folder of class masks; classes are those of classes.txt there, else the layout's, else MSRS's.
        infrared, visible: the two folders of layout `folder`, instead of looking for them in `root`.

    Raises:
        RequestError: an unknown layout, folders that are not there, a bad split list, truth options that
            exclude each other or lead nowhere.
    """
    layout = resolve_layout(layout)
    located = _locate(Path(root), layout, infrared, visible)
    findings = list(located.findings)
    table = layouts.LAYOUTS[layout]
    if split is not None:
        path = splits.resolve(split)
        wanted: SplitList | None = SplitList(splits.read_split(path), path.stem)
    else:
        wanted = own_split(Path(root), table, findings)
    pairs = pair_up(Path(root), table, located, wanted, findings)
    box_truth, mask_truth, problems = read_truth(Path(root), table, pairs, boxes, annotations, masks)
    findings += problems
    parts = wanted.parts if wanted else {pair.id: pair.split for pair in pairs}
    dataset = Dataset(
        layout, Path(root), pairs, box_truth, mask_truth,
        split_name=wanted.name if wanted else "layout", split_hash=splits.split_hash(parts),
    )  # fmt: skip
    return dataset, findings


def load_pairs(
    root: Path, layout: str, *, infrared: Path | None = None, visible: Path | None = None
) -> tuple[Pair, ...]:
    """All pairs on disk, whatever the layout's own split lists name, without truth.

    Raises:
        RequestError: as `load_dataset`.
    """
    layout = resolve_layout(layout)
    located = _locate(Path(root), layout, infrared, visible)
    findings = list(located.findings)
    pairs = pair_up(Path(root), layouts.LAYOUTS[layout], located, None, findings)
    _refuse(Path(root), layout, findings)
    return pairs


def _refuse(root: Path, layout: str, findings: Sequence[Finding]) -> None:
    if findings:
        lines = listing(f"{finding.kind}: {finding.message}" for finding in findings)
        raise RequestError(f"{root}: {len(findings)} findings as layout {layout}; mend the files\n{lines}")


def _locate(root: Path, layout: str, infrared: Path | None, visible: Path | None) -> Located:
    if (infrared is None) != (visible is None) or (infrared is not None and layout != "folder"):
        raise RequestError("infrared and visible folders are given together, and for layout folder only")
    for folder in (root, infrared, visible):
        if folder is not None and not Path(folder).is_dir():
            raise RequestError(f"{folder}: no such folder")
    if infrared is None or visible is None:
        return layouts.locate(root, layout)
    located = Located()
    located.add(Path(infrared), Path(visible))
    return located
