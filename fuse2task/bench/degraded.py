"""DegradedCopy copies in a bench folder: where they lie, writing one, and the dataset that one is or will be."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from fuse2task.bench.conditions import DegradedCopy
from fuse2task.bench.datasets import BenchDataset, Truth, part_alone, primary_truth
from fuse2task.bench.recipe import BenchRecipe, DatasetSection
from fuse2task.data.dataset import Dataset
from fuse2task.data.degradation.writing import MANIFEST, WORK, degrade_dataset
from fuse2task.data.loading import load_dataset
from fuse2task.data.splits import write_split
from fuse2task.runtime.files import read_json, value_hash

NOT_KNOWN = "not known before the copy is made"


def copy_root(folder: Path, source: BenchDataset, degraded: DegradedCopy) -> Path:
    """Where the copy lies. It ends as the source's root does: layout awmm tells the weather by that name."""
    return folder / "degraded" / degraded.name / source.dataset.root.resolve().name


def write_copy(folder: Path, source: BenchDataset, degraded: DegradedCopy, section: DatasetSection) -> None:
    """Write the copy of what is evaluated of `source`; a finished one is checked and mended.

    Raises:
        RequestError: as `degrade_dataset`, for instance a copy made otherwise.
    """
    split = _split_list(folder, degraded)
    write_split(split, dict.fromkeys(source.ids, source.part))
    degrade_dataset(
        section.root, section.layout, degraded.section.kind, degraded.level, copy_root(folder, source, degraded),
        split=str(split), boxes=section.boxes, annotations=section.annotations, masks=section.masks,
        move=degraded.section.move, truth_on=degraded.section.truth_on,
    )  # fmt: skip


def load_degraded(folder: Path, source: BenchDataset, degraded: DegradedCopy, recipe: BenchRecipe) -> BenchDataset:
    """The evaluated part of `source` as the copy has it; further truths are left out.

    Before the copy is there, the same with `ready` False: files that are still to come, and a truth whose hash is
    `NOT_KNOWN` where it moves.
    """
    root, section = copy_root(folder, source, degraded), recipe.datasets[degraded.source]
    expected, options = part_alone(source.dataset, source.part), degraded.section
    about = {"source": expected.split_hash, "kind": options.kind, "level": degraded.level}
    about |= {key: value for key, value in (("move", options.move), ("truth_on", options.truth_on)) if value}
    ready = is_copied(folder, source, degraded)
    dataset = _copied(root, section, _split_list(folder, degraded), options.moves_truth) if ready else \
        _expected(root, expected)  # fmt: skip
    # Another degradation is another dataset, for all that is known by its split.
    dataset = replace(dataset, split_name=f"{expected.split_name}-{options.kind}-{degraded.level}",
                      split_hash=value_hash(about))  # fmt: skip
    truths: tuple[Truth, ...] = ()
    if source.truths:
        truths = (primary_truth(section.truth_name, dataset, recipe.color),)
        if options.moves_truth and not ready:
            truths = (replace(truths[0], hash=NOT_KNOWN),)
    return BenchDataset(degraded.name, dataset, source.part, source.opened, truths, ready)


def is_copied(folder: Path, source: BenchDataset, degraded: DegradedCopy) -> bool:
    """Whether the copy is finished, and is the one that the recipe means."""
    root = copy_root(folder, source, degraded)
    if not (root / MANIFEST).is_file() or (root / WORK / "plan.json").exists():
        return False
    found, options = read_json(root / MANIFEST, "manifest"), degraded.section
    split_hash = part_alone(source.dataset, source.part).split_hash
    moves: dict[str, Any] = found.get("misalign", {"moves": None, "truth_on": None})
    return (
        (found["kind"], found["level"], found["split_hash"]) == (options.kind, degraded.level, split_hash)
        and moves["moves"] in (None, options.move or "infrared")
        and moves["truth_on"] in (None, options.truth_on or "visible")
    )


def _copied(root: Path, section: DatasetSection, split: Path, moved: bool) -> Dataset:
    given = {"boxes": section.boxes, "annotations": section.annotations, "masks": section.masks}
    if moved and any(given.values()):
        name = "masks" if section.masks else "boxes"
        given = {name: root / name}
    return load_dataset(root, section.layout, split=str(split), **given)  # type: ignore[arg-type]


def _expected(root: Path, source: Dataset) -> Dataset:
    def there(path: Path) -> Path:
        return root / path.relative_to(source.root)

    pairs = [replace(pair, infrared=there(pair.infrared), visible=there(pair.visible)) for pair in source.pairs]
    return replace(source, root=root, pairs=tuple(pairs))


def _split_list(folder: Path, degraded: DegradedCopy) -> Path:
    return folder / "degraded" / f"{degraded.source}.txt"
