"""Making strict pairs of the images that a layout's folders hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fuse2task.data.dataset import Finding, Pair
from fuse2task.data.ids import is_safe_id, path_id
from fuse2task.data.images import SUFFIXES, image_size
from fuse2task.data.layouts import Layout, Located
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.reading import read_text


@dataclass(frozen=True)
class SplitList:
    """A split list and where it came from."""

    parts: Mapping[str, str]
    name: str


def own_split(root: Path, table: Layout, findings: list[Finding]) -> SplitList | None:
    """The layout's own split lists together; None where it has none.

    M3FD's `pred` may name images of other lists too: those stay where they are. Adds findings:
    `bad-split-list` (unreadable, a name twice or in two splits, a name that leads out of its folder).
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
            size = _common_size(thermal, colour, findings)
            if size is not None:
                conditions = table.conditions(root, name)
                pairs.append(Pair(name, parts[name], thermal, colour, size, conditions))
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


def _common_size(infrared: Path, visible: Path, findings: list[Finding]) -> tuple[int, int] | None:
    sizes = []
    for path in (infrared, visible):
        try:
            sizes.append(image_size(path))
        except RequestError as error:
            findings.append(Finding("unusable-image", str(error)))
    if len(sizes) < 2:
        return None
    if sizes[0] != sizes[1]:
        (a, b), (c, d) = sizes
        text = f"{infrared}: {a}x{b}, but {visible} is {c}x{d}; register the pair to one size first"
        findings.append(Finding("unequal-size", text))
        return None
    return sizes[0]
