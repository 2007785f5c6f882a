"""The recipe of a benchmark: which datasets, methods, judges and seeds, and how sure to be."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from fuse2task.config.recipes import Recipe
from fuse2task.results.schema import name_at, source_of
from fuse2task.runtime.compute import Precision
from fuse2task.runtime.files import value_hash
from fuse2task.tasks import find_task, task_names

# Names become folder names and columns of tables.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
Camera = Literal["infrared", "visible"]
ALWAYS = ("visible", "infrared", "average")
"""Methods that every benchmark has: fused is often no better than one camera, or than the mean of both."""


RESULTS_KEYS = ("predictions", "masks")


class Fold(Recipe):
    """Block `index` (from 1) of `of` equal runs of neighbouring training pairs, kept out of the training."""

    of: int = Field(default=5, ge=2)
    index: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if self.index > self.of:
            raise ValueError(f"index is from 1 to {self.of}")
        return self


DATASET = "{dataset}"
"""Stands for the name of the dataset in paths that differ between datasets."""


class DatasetSection(Recipe):
    """Where a dataset lies, and what is true about it."""

    later_keys = ("palette", "ignore")
    root: Path
    layout: str
    split: str | None = None
    """A split list, or the name of a shipped one; a list of some pairs limits all methods to these."""
    boxes: Path | None = None
    annotations: Path | None = None
    masks: Path | None = None
    palette: str | None = None
    """Name of the colours of masks (`fuse2task.data.classes.PALETTES`); without it they hold class indices."""
    ignore: str | None = None
    """Flags of boxes that do not count (`difficult,truncated,crowd,ignore`, or none); see docs/add-a-dataset.md."""
    truth_name: Name = "dataset"
    truths: dict[Name, Path] = Field(default={})
    """Boxes by other annotators (a folder of YOLO files, or a COCO file), for sensitivity."""
    test: str = "test"
    fold: Fold = Fold()
    evaluated_only: bool = False
    """true: leave the other splits out. Nothing is trained on them here, so they need not be fused."""

    @property
    def truth_files(self) -> dict[str, Any]:
        """Boxes, annotations, masks and their palette, as `load_dataset` takes them."""
        named = {key: value for key in ("palette", "ignore") if (value := getattr(self, key)) is not None}
        return {"boxes": self.boxes, "annotations": self.annotations, "masks": self.masks, **named}


class MethodSection(Recipe):
    """A fusion method: a name of the registry, or a folder of fused images, in which {dataset} stands for the dataset's
    name. checkpoint: null for shipped weights.

    datasets: those that it covers, all where it is empty. trained_through: judges of the recipe whose network took part
    in its training; cards of weights say it themselves.
    """

    later_keys = ("datasets", "trained_through")
    name: Name
    checkpoint: Path | None = None
    folder: Path | None = None
    datasets: list[Name] = Field(default=[])
    trained_through: list[str] = Field(default=[])


class JudgeSection(Recipe):
    """What scores the images: fixed weights (frozen), or a recipe that is trained on each method (retrain).

    plugin: a judge of another package; weights and options are given to it. options without a plug-in: of a
    segmenter's file of another library. predictions, masks: finished results in place of a network, a file or a
    folder of every method, `DIR/{method}.json` or `DIR/{dataset}/{method}`. class_map: a file or the name of a shipped
    map, with the dataset's name for {dataset} as well.
    """

    later_keys = ("plugin", "options", *RESULTS_KEYS)
    task: str
    protocol: Literal["frozen", "retrain"] = "frozen"
    weights: Path | None = None
    plugin: str | None = None
    options: dict[str, Any] = Field(default={})
    predictions: str | None = None
    masks: str | None = None
    class_map: str | None = None
    recipe: str | None = None
    overrides: dict[str, Any] = Field(default={})
    trained_on: str | None = None
    """Frozen judges: train `recipe` on this method's images, for each of the seeds, and judge all by that."""

    @field_validator("task")
    @classmethod
    def _is_judged(cls, name: str) -> str:
        judged = [known for known in task_names() if find_task(known).is_judged]
        if name not in judged:
            raise ValueError(f"unknown task {name!r}; known are {', '.join(judged)}")
        return name

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = self.plugin or self.results
        if self.protocol == "retrain" and (not self.recipe or self.weights or self.trained_on or given):
            raise ValueError("a retrain judge has a recipe, and neither weights nor trained_on")
        if self.protocol == "frozen" and bool(self.weights or given) == bool(self.recipe and self.trained_on):
            raise ValueError("a frozen judge has either weights, or recipe and trained_on")
        if self.results and (self.weights or self.plugin):
            raise ValueError("a judge has either results or a network: weights and plugin have no place beside results")
        if self.options and not (self.plugin or self.weights or self.masks):
            raise ValueError("options are for a plug-in, for weights of another library, or for masks")
        if self.overrides and not self.recipe:
            raise ValueError("overrides change a recipe; there is none")
        task = find_task(self.task)
        if self.class_map and not (task.trained_class_map if self.is_trained else task.takes_class_map):
            kind = "a trained judge of" if self.is_trained else "a judge of"
            raise ValueError(f"class_map: {kind} task {self.task} takes none")
        for key in RESULTS_KEYS:
            template = getattr(self, key)
            if template and task.results_key != key:
                raise ValueError(f"{key}: task {self.task} has none")
            if template and "{method}" not in template:
                raise ValueError(f"{key}: holds no {{method}}; give a file or folder of every method")
        return self

    @property
    def is_trained(self) -> bool:
        """Whether the benchmark trains this judge."""
        return self.recipe is not None

    @property
    def results(self) -> str:
        """Where finished results lie; empty for networks."""
        return self.predictions or self.masks or ""


class ScoresSection(Recipe):
    """Which image-quality scores; names: some of the profile's, null for all."""

    profile: str = "standard"
    names: list[str] | None = None
    sources: Literal["degraded", "clean"] = "degraded"
    """What fused images are compared with: the pairs that were fused, or clean ones.

    Clean are the layout's clean references; of a degraded copy the pairs that it was made from, where the layout
    has none.
    """

    @property
    def label(self) -> str:
        """The profile's name, with that of unusual sources: the column `judge`."""
        return self.profile if self.sources == "degraded" else f"{self.profile}-{self.sources}"


class PublishedRow(Recipe):
    """A number that others published, to stand beside the row of results.csv that these keys name.

    judge: a judge's name, or the profile of `scores`. value: in `unit`, null where no number could be found.
    decimals: how many were published. caveat: what keeps the two numbers from being comparable.
    """

    label: str
    dataset: Name
    judge: str
    metric: str
    class_name: str = Field(default="all", alias="class")
    condition: str = "all"
    method: str = "crossfuse"
    value: float | None
    unit: Literal["fraction", "percent", "bits"] = "fraction"
    decimals: int = Field(default=2, ge=0, le=15)
    source: str
    caveat: str

    @model_serializer(mode="wrap")
    def _by_alias(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # The resolved recipe is read back, by the keys that a recipe has.
        return {"class" if key == "class_name" else key: value for key, value in serialize(self).items()}


class Intervals(Recipe):
    """The bootstrap over images, or over whole sequences of frames, behind every interval."""

    later_keys = ("resample",)
    replicates: int = Field(default=1000, ge=50)
    level: float = Field(default=0.95, gt=0.5, lt=1)
    seed: int = 0
    resample: Literal["auto", "images", "sequences"] = "auto"
    """auto: sequences where the dataset states enough of them, else images."""


class ConditionSection(Recipe):
    """A sweep: one kind of degradation at several levels, of which 0 is the dataset as it is.

    move, truth_on: of kind misalign, as for `fuse2task data degrade`.
    """

    kind: str
    levels: list[int]
    move: Camera | None = None
    truth_on: Camera | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        from fuse2task.data.degradation.kinds import KINDS, LEVELS

        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r}; known are {', '.join(KINDS)}")
        if len(self.levels) < 2 or not set(self.levels) <= set(LEVELS) or self.levels != sorted(set(self.levels)):
            raise ValueError(f"levels {self.levels}: two or more of {LEVELS[0]} to {LEVELS[-1]}, in rising order")
        if (self.move or self.truth_on) and self.kind != "misalign":
            raise ValueError("move and truth_on are for misalign")
        return self

    @property
    def moves_truth(self) -> bool:
        """Whether the image moves that the truth was drawn on."""
        return self.kind == "misalign" and (self.move or "infrared") == (self.truth_on or "visible")


class BenchRecipe(Recipe):
    """Everything that decides the results table."""

    datasets: dict[Name, DatasetSection] = Field(min_length=1)
    methods: list[MethodSection] = Field(default=[], validate_default=True)
    judges: dict[Name, JudgeSection] = Field(default={})
    scores: ScoresSection | None = ScoresSection()
    conditions: list[ConditionSection] = Field(default=[])
    """Sweeps over bad conditions, of every dataset."""
    seeds: list[Annotated[int, Field(ge=0)]] = Field(default=[0], min_length=1)
    baseline: str = "average"
    open_test: bool = False
    """false: evaluate on a fold of the training split; true: on the test split, which is counted."""
    intervals: Intervals = Intervals()
    color: Literal["rgb", "gray"] = "rgb"
    precision: Precision = "auto"
    """Arithmetic of crossfuse, crossfuse-plus and crossfuse-task."""
    costs: bool = True
    published: list[PublishedRow] = Field(default=[])
    """Numbers of others to print beside ours; they decide nothing."""

    @field_validator("methods", mode="before")
    @classmethod
    def _with_the_three(cls, given: Any) -> Any:
        if not isinstance(given, list):
            return given
        methods = [{"name": item} if isinstance(item, str) else item for item in given]
        present = {item.get("name") if isinstance(item, dict) else getattr(item, "name", None) for item in methods}
        return [{"name": name} for name in ALWAYS if name not in present] + methods

    @field_validator("conditions", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        return [given] if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [method.name for method in self.methods]
        kinds = [section.kind for section in self.conditions]
        for what, values in (("method", names), ("seed", self.seeds), ("kind of conditions", kinds)):
            if len(set(values)) < len(values):
                raise ValueError(f"a {what} is there twice")
        given = [method.name for method in self.methods if method.folder]
        if self.conditions and given:
            raise ValueError(f"conditions: {', '.join(given)} are images fused elsewhere, in one condition only")
        given = [name for name, judge in self.judges.items() if judge.results]
        if self.conditions and given:
            raise ValueError(f"conditions: {', '.join(given)} are results on images in one condition only")
        for section in self.methods:
            if unknown := [name for name in section.trained_through if name not in self.judges]:
                raise ValueError(f"methods.{section.name}.trained_through: {unknown[0]} is not among the judges")
            if unknown := [name for name in section.datasets if name not in self.datasets]:
                raise ValueError(f"methods.{section.name}.datasets: {unknown[0]} is not among the datasets")
        on = {f"judges.{name}.trained_on": judge.trained_on for name, judge in self.judges.items()}
        for key, method in {"baseline": self.baseline, **on}.items():
            if method and method not in names:
                raise ValueError(f"{key}: {method} is not among the methods ({', '.join(names)})")
            if method and self.method(method).datasets:
                raise ValueError(f"{key}: {method} does not cover all datasets")
        return self

    @property
    def id(self) -> str:
        """Hash of what decides the results, the resolved recipe without `published`: the column `run`."""
        # Without conditions a recipe keeps the id that it had before there were any.
        undecisive: dict[str, Any] = {"published": True, "methods": {"__all__": {"trained_through"}}}
        undecisive |= {} if self.conditions else {"conditions": True}
        return value_hash(self.model_dump(mode="json", exclude=undecisive))

    @property
    def degraded(self) -> dict[str, "DegradedCopy"]:
        """Name -> degraded copy, for all levels but 0, dataset by dataset and kind by kind."""
        found = [DegradedCopy(source, section, level) for source in self.datasets for section in self.conditions
                 for level in section.levels if level]  # fmt: skip
        return {copy.name: copy for copy in found}

    def method(self, name: str) -> MethodSection:
        """The method of that name."""
        return next(method for method in self.methods if method.name == name)

    def methods_on(self, dataset: str) -> list[str]:
        """Names of the methods that cover a dataset, of a degraded copy its source."""
        return [one.name for one in self.methods if not one.datasets or source_of(dataset) in one.datasets]


@dataclass(frozen=True)
class DegradedCopy:
    """Dataset `source` of the recipe under `section`'s kind at `level`, 1 to 5."""

    source: str
    section: ConditionSection
    level: int

    @property
    def name(self) -> str:
        """The dataset's name in tables and folders."""
        return name_at(self.source, self.section.kind, self.level)
