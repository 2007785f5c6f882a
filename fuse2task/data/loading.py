"""Loading a dataset: strict pairs, splits, truth and clean references, with all findings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fuse2task.data import layouts, splits
from fuse2task.data.dataset import Dataset, Finding, Pair, defects, is_safe_id, path_id
from fuse2task.data.images import SUFFIXES, image_header, image_size
from fuse2task.data.layouts import Layout, Located, resolve_layout
from fuse2task.data.truth.reading import read_truth
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.reading import read_text

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
    """A dataset as far as it is sound, and findings. Reads image headers and decodes masks.

    Args:
        root: the folder that the layout begins at.
        layout: one of `LAYOUTS`, a plug-in's name, or a YAML file that describes one.
        split: a split list, or the name of a shipped one; pairs that it does not name are not used. Without
            it the layout's own splits hold, or everything is `test`.
        boxes: folder of YOLO files, with classes.txt there or in its parent.
        annotations: COCO file or folder of COCO files, or folder of VOC files.
        masks: folder of class masks; classes are those of classes.txt there, else the layout's, else MSRS's.
        infrared, visible: the two folders of layout `folder`, instead of looking for them in `root`.

    Raises:
        RequestError: an unknown layout, missing folders, a bad split list, several truth options or a missing path.
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
        notes=tuple(finding.message for finding in findings if finding.note),
    )  # fmt: skip
    return dataset, defects(findings)


def load_pairs(
    root: Path, layout: str, *, infrared: Path | None = None, visible: Path | None = None
) -> tuple[Pair, ...]:
    """All pairs on disk, without truth; the layout's own split lists are not applied.

    Raises:
        RequestError: as `load_dataset`.
    """
    layout = resolve_layout(layout)
    located = _locate(Path(root), layout, infrared, visible)
    findings = list(located.findings)
    pairs = pair_up(Path(root), layouts.LAYOUTS[layout], located, None, findings)
    _refuse(Path(root), layout, defects(findings))
    return pairs


def _refuse(root: Path, layout: str, findings: Sequence[Finding]) -> None:
    if findings:
        lines = listing(f"{finding.kind}: {finding.message}" for finding in findings)
        raise RequestError(f"{root}: {len(findings)} findings as layout {layout}; fix the files\n{lines}")


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


@dataclass(frozen=True)
class SplitList:
    """Split by pair id, and the name of the list."""

    parts: Mapping[str, str]
    name: str


def own_split(root: Path, table: Layout, findings: list[Finding]) -> SplitList | None:
    """The layout's own split lists together; None without any. A name of M3FD's `pred` may be in another list too.

    Adds findings: `bad-split-list` (unreadable, a name twice or in two splits, a name that leads out of its folder).
    """
    parts: dict[str, str] = {}
    present = [root / name for name in table.split_lists if (root / name).is_file()]
    for path in present:
        try:
            names = [line.strip() for line in read_text(path, "split list").splitlines() if line.strip()]
        except RequestError as error:
            findings.append(Finding("bad-split-list", str(error)))
            continue
        for name in names:
            key = path_id(name, SUFFIXES)
            if not is_safe_id(key) or ".." in Path(name).parts or "\\" in name:
                findings.append(Finding("bad-split-list", f"{path}: {name!r} is no name of a pair"))
            elif key in parts and path.stem != "pred":
                findings.append(Finding("bad-split-list", f"{path}: {name!r} is there twice or in two splits"))
            else:
                parts.setdefault(key, path.stem)
    return SplitList(parts, "layout") if present else None


def pair_up(
    root: Path, table: Layout, located: Located, wanted: SplitList | None, findings: list[Finding]
) -> tuple[Pair, ...]:
    """Pairs of equal size, sorted by (split, id): those of the split list, or all without one.

    Adds findings: `case-clash`, `not-on-disk`, `missing-partner`, `unusable-image`, `unequal-size`.
    """
    _find_case_clashes(located, findings)
    parts = wanted.parts if wanted else located.splits
    others = (located.infrared.keys() | located.visible.keys()) - parts.keys()
    if others:
        findings.append(
            Finding("not-used", f"{root}: {len(others)} pairs that the split list does not name", note=True)
        )
    extra = 0
    pairs = []
    for name in sorted(parts):
        thermal, colour = located.infrared.get(name), located.visible.get(name)
        if thermal is None and colour is None:
            text = f"{root}: no images {name!r}, which the split list names for {parts[name]}"
            findings.append(Finding("not-on-disk", text))
        elif thermal is None or colour is None:
            missing = "visible" if colour is None else "infrared"
            findings.append(Finding("missing-partner", f"{thermal or colour}: no {missing} image {name!r}"))
        else:
            size, frames = _common_size(thermal, colour, findings)
            extra += frames
            if size is not None:
                conditions = table.conditions(root, name)
                pairs.append(Pair(name, parts[name], thermal, colour, size, conditions))
    if extra:
        text = f"{root}: {extra} further pictures inside JPEG files (previews, other cameras); the first is used"
        findings.append(Finding("not-used", text, note=True))
    return tuple(sorted(pairs, key=lambda pair: (pair.split, pair.id)))


def _find_case_clashes(located: Located, findings: list[Finding]) -> None:
    spellings: dict[str, dict[str, Path]] = {}
    for files in (located.infrared, located.visible):
        for name, path in files.items():
            spellings.setdefault(name.casefold(), {})[name] = path
    for group in spellings.values():
        if len(group) > 1:
            paths = " and ".join(str(path) for path in group.values())
            findings.append(Finding("case-clash", f"{paths}: names that differ in case only; rename one"))


def _common_size(infrared: Path, visible: Path, findings: list[Finding]) -> tuple[tuple[int, int] | None, int]:
    """Size of both images, None with a finding; and how many further pictures their files hold."""
    headers = []
    for path in (infrared, visible):
        try:
            headers.append(image_header(path))
        except RequestError as error:
            findings.append(Finding("unusable-image", str(error)))
    if len(headers) < 2:
        return None, 0
    (first, second), frames = (size for size, _ in headers), sum(count - 1 for _, count in headers)
    if first != second:
        text = f"{infrared}: {first[0]}x{first[1]}, but {visible} is {second[0]}x{second[1]}"
        findings.append(Finding("unequal-size", f"{text}; register the pair to one size first"))
        return None, frames
    return first, frames


def clean_pairs(dataset: Dataset) -> tuple[Pair, ...]:
    """The dataset's pairs, in order, with the files of their clean references (awmm: gt_ir/ and gt_vi/).

    Raises:
        RequestError: no clean references in the layout or on disk, none for a pair, or one of another size.
    """
    if not layouts.LAYOUTS[dataset.layout].clean:
        having = ", ".join(name for name, table in layouts.LAYOUTS.items() if table.clean)
        raise RequestError(
            f"{dataset.root}: layout {dataset.layout} has no clean references ({having} has); "
            "refer to the images that were fused instead"
        )
    located = layouts.locate(dataset.root, dataset.layout, clean=True)
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
