"""A benchmark's dataset: its pairs, the part that is judged, and every truth there is about it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fuse2task.bench.recipe import BenchRecipe, DatasetSection
from fuse2task.data.dataset import BoxTruth, Dataset, validation_split
from fuse2task.data.loading import load_dataset
from fuse2task.data.splits import split_hash
from fuse2task.runtime.errors import RequestError

TRAIN = "train"


@dataclass(frozen=True)
class Truth:
    """One annotator's truth. hash: over all splits, as in the manifest of a fused dataset. boxes: None for masks."""

    name: str
    hash: str
    kind: str
    classes: tuple[str, ...]
    primary: bool
    boxes: BoxTruth | None

    def describe(self, dataset: str) -> dict[str, Any]:
        """What truths.json says about it."""
        return {"dataset": dataset, "name": self.name, "kind": self.kind, "classes": list(self.classes),
                "primary": self.primary}  # fmt: skip


@dataclass(frozen=True)
class BenchDataset:
    """A dataset ready to be judged.

    dataset: pairs in the splits that are fused. part: the split that is evaluated. opened: it is the test
    split. truths: the primary one first; empty without truth. ready: whether its files are there; a degraded
    copy's come when its job is done. size: `WxH` of all images, or `mixed`.
    """

    name: str
    dataset: Dataset
    part: str
    opened: bool
    truths: tuple[Truth, ...]
    ready: bool = True

    @property
    def task(self) -> str:
        """The task that its truth is for: detection, segmentation or none."""
        return {"boxes": "detection", "masks": "segmentation"}[self.truths[0].kind] if self.truths else "none"

    @property
    def size(self) -> str:
        """`WxH` where all evaluated images are of one size, else `mixed`."""
        sizes = {pair.size for pair in self.dataset.part(self.part)}
        return "x".join(map(str, sizes.pop())) if len(sizes) == 1 else "mixed"

    @property
    def ids(self) -> list[str]:
        """Ids of the evaluated pairs, sorted: the order of images everywhere."""
        return [pair.id for pair in self.dataset.part(self.part)]

    def conditions(self) -> dict[str, np.ndarray]:
        """Condition -> which of the evaluated images are of it, (images,) bool; `all` first."""
        pairs = self.dataset.part(self.part)
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
    dataset = load_dataset(
        section.root, section.layout, split=section.split, boxes=section.boxes,
        annotations=section.annotations, masks=section.masks,
    )  # fmt: skip
    part = section.test
    if not recipe.open_test:
        dataset, part = _folded(name, dataset, section)
    elif part not in dataset.splits:
        present = ", ".join(dataset.splits)
        raise RequestError(f"datasets.{name}: no split {part!r}; it has {present}; set test to one of these")
    if section.evaluated_only:
        dataset = part_alone(dataset, part)
    truths = [primary_truth(section.truth_name, dataset, recipe.color)]
    for other, path in section.truths.items():
        truths.append(_further(name, section, dataset, other, path, recipe.color))
    if len({truth.name for truth in truths}) < len(truths):
        raise RequestError(f"datasets.{name}: truth_name {section.truth_name!r} is among the further truths; rename it")
    bench = BenchDataset(name, dataset, part, recipe.open_test, tuple(t for t in truths if t.kind != "none"))
    if bench.task == "detection":
        assert bench.truths[0].boxes is not None
        if not any(bench.truths[0].boxes.boxes[key] for key in bench.ids):
            raise RequestError(f"datasets.{name}: no box in split {part}; name another in test")
    return bench


def _folded(name: str, dataset: Dataset, section: DatasetSection) -> tuple[Dataset, str]:
    """The training split (and val) alone, one block of it under a name of its own."""
    fold, training = section.fold, sorted(pair.id for pair in dataset.part(TRAIN))
    if len(training) < fold.of:
        raise RequestError(
            f"datasets.{name}: {len(training)} training pairs cannot be cut into {fold.of} folds; "
            "give a split list with more, or open_test=true to evaluate on the test split"
        )
    part = f"fold{fold.index}of{fold.of}"
    # Runs of neighbouring ids: frames of one video must not lie on both sides.
    held_out = set(np.array_split(np.array(training), fold.of)[fold.index - 1].tolist())
    pairs = [replace(pair, split=part) if pair.id in held_out else pair
             for pair in dataset.pairs if pair.split in (TRAIN, validation_split(dataset.splits))]  # fmt: skip
    pairs.sort(key=lambda pair: (pair.split, pair.id))
    parts = {pair.id: pair.split for pair in pairs}
    folded = replace(
        dataset, pairs=tuple(pairs), split_name=f"{dataset.split_name}-{part}", split_hash=split_hash(parts)
    )
    return folded, part


def part_alone(dataset: Dataset, part: str) -> Dataset:
    """One split, with the hash of a list that names nothing else."""
    pairs = dataset.part(part)
    only = split_hash({pair.id: part for pair in pairs})
    return replace(dataset, pairs=pairs, split_name=f"{dataset.split_name}-{part}", split_hash=only)


def primary_truth(name: str, dataset: Dataset, color: Any) -> Truth:
    """The dataset's own truth; of kind `none` where it has none."""
    return _truth(name, dataset, color, primary=True)


def _truth(name: str, dataset: Dataset, color: Any, primary: bool) -> Truth:
    from fusion.dataset_writer import make_plan
    from fusion.methods import make_method

    # The same hash as every fused dataset's manifest has, whatever the method.
    about = make_plan(dataset, make_method("visible"), color)["truth"]
    return Truth(name, about["hash"], about["kind"], tuple(about["classes"]), primary, dataset.boxes)


def _further(name: str, section: DatasetSection, dataset: Dataset, other: str, path: Path, color: Any) -> Truth:
    if dataset.boxes is None:
        raise RequestError(
            f"datasets.{name}.truths: further truths are boxes, but this dataset has none itself; "
            "give its own by boxes or annotations, or remove truths"
        )
    given: dict[str, Path] = {"annotations": path} if Path(path).is_file() else {"boxes": path}
    loaded = load_dataset(section.root, section.layout, split=section.split, **given)  # type: ignore[arg-type]
    if loaded.boxes is None or loaded.boxes.classes != dataset.boxes.classes:
        classes = ", ".join(loaded.boxes.classes) if loaded.boxes else "none"
        raise RequestError(
            f"{path}: its classes are {classes}, those of the first truth {', '.join(dataset.boxes.classes)}; "
            "further truths need the same"
        )
    return _truth(other, replace(dataset, boxes=loaded.boxes), color, primary=False)
