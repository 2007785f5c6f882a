"""A benchmark's datasets: pairs, the part that is evaluated, every truth; and their degraded copies."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fuse2task.bench.recipe import BenchRecipe, DatasetSection, DegradedCopy, Intervals
from fuse2task.bench.statistics import MINIMUM_SEQUENCES
from fuse2task.data.dataset import Dataset, Pair, content_hash, say_notes, split_hash, validation_split
from fuse2task.data.loading import load_dataset
from fuse2task.data.splits import natural_order, write_split
from fuse2task.results.schema import IMAGES, BenchFolder
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import value_hash
from fuse2task.runtime.progress import say
from fuse2task.runtime.records import Record
from fuse2task.tasks import EvaluatedTruth, find_task

TRAIN = "train"
NOT_KNOWN = "not known before the copy is made"


@dataclass(frozen=True)
class BenchDataset:
    """A dataset ready to be judged.

    dataset: pairs in the splits that are fused. part: the split that is evaluated. opened: it is the test
    split. truths: the primary one first; empty without truth. ready: whether its files are there; a degraded
    copy's come when its job is done. copy_of: hash of what a degraded copy is made of, "" for a dataset as it is.
    sequences: the sequence of every evaluated image, where intervals resample whole ones; None where they take images.
    """

    name: str
    dataset: Dataset
    part: str
    opened: bool
    truths: tuple[EvaluatedTruth, ...]
    ready: bool = True
    copy_of: str = ""
    sequences: tuple[str, ...] | None = None

    @property
    def resampled(self) -> str:
        """What intervals resample, as the column of that name says it."""
        return f"{len(set(self.sequences))} sequences" if self.sequences else IMAGES

    @property
    def kind(self) -> str:
        """The kind of its truth: boxes, masks or none."""
        return self.truths[0].kind if self.truths else "none"

    @property
    def evaluated(self) -> tuple[Pair, ...]:
        """The evaluated pairs, by id: the order of images everywhere."""
        return self.dataset.part(self.part)

    @cached_property
    def images_hash(self) -> str:
        """Of all its images by content, where they are there."""
        return content_hash(self.dataset.pairs)

    @cached_property
    def source_hash(self) -> str:
        """The same; of a degraded copy, whose images may be gone, a hash of what it is made of."""
        return self.copy_of or self.images_hash

    @property
    def split_hash(self) -> str:
        """Hash of the split list; where another split than `test` is evaluated, of that too."""
        listed = self.dataset.split_hash
        return listed if self.part == "test" else value_hash({"split": listed, "evaluated": self.part})

    @property
    def size(self) -> str:
        """`WxH` where all evaluated images are of one size, else `mixed`."""
        sizes = {pair.size for pair in self.evaluated}
        return "x".join(map(str, sizes.pop())) if len(sizes) == 1 else "mixed"

    @property
    def frequent_size(self) -> tuple[int, int]:
        """Width and height of most of the evaluated images."""
        return statistics.mode(pair.size for pair in self.evaluated)

    @property
    def ids(self) -> list[str]:
        """Ids of the evaluated pairs."""
        return [pair.id for pair in self.evaluated]

    def conditions(self) -> dict[str, np.ndarray]:
        """Condition -> which of the evaluated images are of it, (images,) bool; `all` first."""
        pairs = self.evaluated
        names = sorted({condition for pair in pairs for condition in pair.conditions})
        found = {"all": np.ones(len(pairs), bool)}
        return found | {name: np.array([name in pair.conditions for pair in pairs]) for name in names}


def load_bench_dataset(name: str, recipe: BenchRecipe) -> BenchDataset:
    """The dataset called `name` of the recipe, with a fold in place of the test split while that is closed.

    Raises:
        RequestError: as `load_dataset`; no such split, no boxes in the evaluated part, a further truth of
            other classes, or a further truth of a dataset without boxes.
    """
    section = recipe.datasets[name]
    dataset = load_dataset(section.root, section.layout, split=section.split, **section.truth_files)
    say_notes(dataset.notes)
    part = section.test
    if not recipe.open_test:
        dataset, part = _folded(name, dataset, section)
    elif part not in dataset.splits:
        present = ", ".join(dataset.splits)
        raise RequestError(f"datasets.{name}: no split {part!r}; it has {present}; set test to one of these")
    if section.evaluated_only:
        dataset = part_alone(dataset, part)
    truths = [_truth(section.truth_name, dataset, recipe.color)]
    truths += [_further(name, dataset, other, path, recipe) for other, path in section.truths.items()]
    if len({truth.name for truth in truths}) < len(truths):
        raise RequestError(f"datasets.{name}: truth_name {section.truth_name!r} is among the further truths; rename it")
    sequences = find_sequences(name, dataset.part(part), recipe.intervals)
    judged = tuple(truth for truth in truths if truth.kind != "none")
    bench = BenchDataset(name, dataset, part, recipe.open_test, judged, sequences=sequences)
    for task in {find_task(judge.task) for judge in recipe.judges.values()}:
        if bench.kind == task.truth and (problem := task.check_truth(bench.truths[0], bench.ids)):
            raise RequestError(f"datasets.{name}: {problem} in split {part}; name another in test")
    return bench


def find_sequences(name: str, pairs: Sequence[Pair], intervals: Intervals) -> tuple[str, ...] | None:
    """The sequence of every evaluated pair, one of no sequence being its own; None where images are resampled.

    Says so where there are sequences, but too few. RequestError: they are asked for, and none are known or too few.
    """
    names = tuple(pair.sequence or f"/{pair.id}" for pair in pairs)
    if intervals.resample == "images" or (intervals.resample == "auto" and not any(pair.sequence for pair in pairs)):
        return None
    if any(pair.sequence for pair in pairs) and len(set(names)) >= MINIMUM_SEQUENCES:
        return names
    count = len({pair.sequence for pair in pairs if pair.sequence})
    problem = f"datasets.{name}: {count or 'no'} sequences are known of {len(pairs)} evaluated images"
    if intervals.resample == "sequences":
        needed = f"intervals over sequences need at least {MINIMUM_SEQUENCES}"
        raise RequestError(f"{problem}; {needed}; evaluate more, or set intervals.resample to images")
    say(f"note: {problem}, {MINIMUM_SEQUENCES} are needed; images are resampled, and intervals may be too narrow")
    return None


def _folded(name: str, dataset: Dataset, section: DatasetSection) -> tuple[Dataset, str]:
    """The training split (and val) alone, one block of it under a name of its own."""
    fold, training = section.fold, sorted((pair.id for pair in dataset.part(TRAIN)), key=natural_order)
    if len(training) < fold.of:
        fix = "give a split list with more, or open_test=true to evaluate on the test split"
        problem = f"{len(training)} training pairs cannot be cut into {fold.of} folds"
        raise RequestError(f"datasets.{name}: {problem}; {fix}")
    part = f"fold{fold.index}of{fold.of}"
    # Runs of neighbouring ids: frames of one video must not lie on both sides.
    held_out = set(np.array_split(np.array(training), fold.of)[fold.index - 1].tolist())
    pairs = [replace(pair, split=part) if pair.id in held_out else pair
             for pair in dataset.pairs if pair.split in (TRAIN, validation_split(dataset.splits))]  # fmt: skip
    pairs.sort(key=lambda pair: (pair.split, pair.id))
    return _of_pairs(dataset, pairs, part), part


def part_alone(dataset: Dataset, part: str) -> Dataset:
    """One split, with the hash of a list that names nothing else."""
    return _of_pairs(dataset, dataset.part(part), part)


def _of_pairs(dataset: Dataset, pairs: Sequence[Pair], part: str) -> Dataset:
    listed = split_hash({pair.id: pair.split for pair in pairs})
    return replace(dataset, pairs=tuple(pairs), split_name=f"{dataset.split_name}-{part}", split_hash=listed)


def _truth(name: str, dataset: Dataset, color: Any, primary: bool = True) -> EvaluatedTruth:
    """The dataset's own truth; of kind `none` where it has none."""
    from fusion.dataset_writer import make_plan
    from fusion.methods import make_method

    # The same hash as every fused dataset's manifest has, whatever the method.
    about = make_plan(dataset, make_method("visible"), color)["truth"]
    return EvaluatedTruth(name, about["hash"], about["kind"], tuple(about["classes"]), primary, dataset.boxes)


def _further(name: str, dataset: Dataset, other: str, path: Path, recipe: BenchRecipe) -> EvaluatedTruth:
    section = recipe.datasets[name]
    if dataset.boxes is None:
        fix = "give its own by boxes or annotations, or remove truths"
        raise RequestError(f"datasets.{name}.truths: further truths are boxes, but this dataset has none itself; {fix}")
    given: dict[str, Any] = {"annotations" if Path(path).is_file() else "boxes": path}
    loaded = load_dataset(section.root, section.layout, split=section.split, ignore=section.ignore, **given)
    say_notes(loaded.notes, before=dataset.notes)
    if loaded.boxes is None or loaded.boxes.classes != dataset.boxes.classes:
        classes, first = ", ".join(loaded.boxes.classes) if loaded.boxes else "none", ", ".join(dataset.boxes.classes)
        problem = f"its classes are {classes}, those of the first truth {first}"
        raise RequestError(f"{path}: {problem}; further truths need the same")
    return _truth(other, replace(dataset, boxes=loaded.boxes), recipe.color, primary=False)


def write_copy(folder: BenchFolder, source: BenchDataset, degraded: DegradedCopy, section: DatasetSection) -> None:
    """Write the copy of what is evaluated of `source`, with its record; a finished one is checked and completed.

    RequestError: as `degrade_dataset`, for instance a copy made otherwise.
    """
    from fuse2task.data.degradation.writing import MANIFEST, degrade_dataset

    record = copy_record(folder, source, degraded)
    record.remove()
    split = folder.degraded_split(degraded.source)
    write_split(split, dict.fromkeys(source.ids, source.part))
    out = folder.degraded(degraded.name, source.dataset.root)
    degrade_dataset(
        section.root, section.layout, degraded.section.kind, degraded.level, out, split=str(split),
        move=degraded.section.move, truth_on=degraded.section.truth_on, **section.truth_files,
    )  # fmt: skip
    record.write([out / MANIFEST])


def load_degraded(
    folder: BenchFolder, source: BenchDataset, degraded: DegradedCopy, recipe: BenchRecipe
) -> BenchDataset:
    """The evaluated part of `source` as the copy has it; further truths are left out.

    Before the copy is there, the same with `ready` False: files that are still to come, and a truth whose hash is
    `NOT_KNOWN` where it moves.
    """
    from fuse2task.data.degradation.writing import moved_truth

    root, section = folder.degraded(degraded.name, source.dataset.root), recipe.datasets[degraded.source]
    expected, options, about = part_alone(source.dataset, source.part), degraded.section, _about(source, degraded)
    ready = not copy_record(folder, source, degraded).differing()
    if ready:
        given = section.truth_files
        if options.moves_truth:
            given.pop("palette", None)  # moved masks hold indices
            given = moved_truth(root) or given
        split = str(folder.degraded_split(degraded.source))
        dataset = load_dataset(root, section.layout, split=split, **given)
    else:

        def there(path: Path) -> Path:
            return root / path.relative_to(expected.root)

        pairs = (replace(pair, infrared=there(pair.infrared), visible=there(pair.visible)) for pair in expected.pairs)
        dataset = replace(expected, root=root, pairs=tuple(pairs))
    # Another degradation is another dataset, wherever a dataset is identified by its split.
    split_name = f"{expected.split_name}-{options.kind}-{degraded.level}"
    dataset = replace(dataset, split_name=split_name, split_hash=value_hash(about))
    truths: tuple[EvaluatedTruth, ...] = ()
    if source.truths:
        truths = (_truth(section.truth_name, dataset, recipe.color),)
        if options.moves_truth and not ready:
            truths = (replace(truths[0], hash=NOT_KNOWN),)
    made_of = value_hash({**about, "images": source.source_hash})
    return BenchDataset(
        degraded.name, dataset, source.part, source.opened, truths, ready, made_of, source.sequences
    )  # fmt: skip


def _about(source: BenchDataset, degraded: DegradedCopy) -> dict[str, Any]:
    options = degraded.section
    about = {"source": part_alone(source.dataset, source.part).split_hash, "kind": options.kind,
             "level": degraded.level}  # fmt: skip
    return about | {key: value for key in ("move", "truth_on") if (value := getattr(options, key))}


def copy_record(folder: BenchFolder, source: BenchDataset, degraded: DegradedCopy) -> Record:
    """What the copy is made of, and whether it is there."""
    truths = {f"truth {truth.name}": truth.hash for truth in source.truths if truth.primary}
    about = {"split": (found := _about(source, degraded)).pop("source"), **found}
    return Record(folder.degraded_record(degraded.name), {"source images": source.source_hash, **truths, **about})
