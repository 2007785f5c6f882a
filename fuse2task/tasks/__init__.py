"""Tasks: what fused images are used for, and how that use is measured; one module each, named after its task."""

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fuse2task.data.dataset import BoxTruth, Pair
from fuse2task.data.fused import FusedDataset
from fuse2task.judges import JudgeSource, ResultsSource
from fuse2task.results.schema import suffixed
from fuse2task.runtime.errors import RequestError

if TYPE_CHECKING:
    from fuse2task.overlays import Overlays

Key = tuple[str, str, str]
"""Metric, class, condition."""
Values = Mapping[Key, np.ndarray]
"""Key (condition empty where it is that of the images, else small, medium, large) -> (rows of weights,)."""


@dataclass(frozen=True)
class EvaluatedTruth:
    """One annotator's truth. hash: over all splits, as in the manifest of a fused dataset. boxes: None for masks."""

    name: str
    hash: str
    kind: str
    classes: tuple[str, ...]
    primary: bool
    boxes: BoxTruth | None

    def file(self, name: str) -> str:
        """The name of an evaluation's file by this truth."""
        return suffixed(name, self.name, self.primary)


Weights = Path | JudgeSource | ResultsSource
"""What a judge is made from: a weights file, a plug-in or a file of another library, finished results."""


@dataclass(frozen=True)
class JudgeSetup:
    """A judge of the recipe: fixed weights, or the checked recipe of its training."""

    weights: Weights | None = None
    recipe: Any = None
    class_map: str | None = None


@dataclass(frozen=True)
class JudgeFacts:
    """What identifies a judge before any work is done.

    digest: sha256 of given weights, "" of a judge that is trained here. decided: what else decides about predictions.
    image_size: side of the square input in pixels, or `WxH` where whole images are predicted.
    """

    digest: str
    decided: Mapping[str, Any]
    image_size: str


@dataclass(frozen=True)
class Judged:
    """One method's images as a judge has seen them: the evaluated split of a fused dataset, and its predictions."""

    fused: FusedDataset
    part: str
    pairs: Sequence[Pair]
    truth: EvaluatedTruth
    class_map: str | None
    folder: Path


@dataclass(frozen=True)
class Measurement:
    """What an evaluation measures: numbers under weights of images, and numbers without a distribution.

    values: (mask of the images (I,) bool, weights (R, images in the mask)) -> values of every key.
    """

    values: Callable[[np.ndarray, np.ndarray], Values]
    points: Mapping[Key, float | None] = field(default_factory=dict)


class Task:
    """One use of fused images. The attributes are all that tables, plots and sentences need to know of it."""

    name: str
    truth = ""
    """The kind of truth that it is measured by, boxes or masks; "" for none: no judge, no comparisons."""
    headline = ""
    """The metric that methods are ranked by."""
    metrics: tuple[str, ...] = ()
    """Metrics over all classes in the order of tables, the headline first; empty where they vary (image scores)."""
    class_metrics: tuple[str, ...] = ()
    """Metrics of single classes, the first of which is drawn."""
    sweep_metrics: tuple[str, ...] = ()
    """Metrics whose curves over degradation levels are shown."""
    image_metric = ""
    """The metric that an image has by itself; "" for none: no ranking over images, no wins and losses."""
    bounds = (-np.inf, np.inf)
    """What intervals are cut to."""
    floor = ("", 0.0)
    """A metric, and the value below which a ranking by it is noise."""
    takes_class_map = False
    """Whether judges with given weights take one; `trained_class_map`: whether those that are trained here do."""
    trained_class_map = False
    results_key = ""
    """The key of a recipe's judge that names finished results, "" where results are not taken."""
    training_seconds = 1.0
    """Guess of what training takes for one image of full size and epoch on two CPU cores, until one has been timed."""

    @property
    def is_judged(self) -> bool:
        """Whether judges predict, and methods are compared."""
        return bool(self.truth)

    def bias_order(self, metric: str) -> float:
        """Order of a metric's bias in the number of images, for `intervals.recentre`."""
        return 1.0

    def recipe(self) -> type[Any]:
        """The class of the recipes that train its judges."""
        raise NotImplementedError

    def training_size(self, recipe: Any) -> float:
        """Cost of training on one image for one epoch, relative to `training_seconds`."""
        return 1.0

    def train(self, recipe: Any, folder: Path) -> None:
        """Train a judge; `folder`/best.safetensors holds its weights afterwards. A finished run is taken over."""
        raise NotImplementedError

    def check_truth(self, truth: EvaluatedTruth, ids: Sequence[str]) -> str:
        """What keeps these images from being evaluated by the truth, "" if nothing does."""
        return ""

    def identify(self, setup: JudgeSetup, classes: Sequence[str], image_size: str, device: str) -> JudgeFacts:
        """Facts about a judge for a truth of these classes, on images of that size (`WxH` or mixed).

        RequestError: no such weights or class map, or classes that do not match the truth.
        """
        raise NotImplementedError

    def load(self, weights: Any, device: str) -> Any:
        """The judge in a weights file, or of a `JudgeSource`, on the device (`pick_device`)."""
        raise NotImplementedError

    def predict(self, weights: Any, device: str, judged: Judged) -> None:
        """Write the judge's predictions on the images into `judged.folder`."""
        raise NotImplementedError

    def measure(self, judged: Judged) -> Measurement:
        """Compare predictions with truth; writes metrics.json, and matches.npz for `image_values`."""
        raise NotImplementedError

    def image_values(self, file: Path) -> np.ndarray:
        """`image_metric` of every image in a matches.npz by itself, (I,); NaN where undefined."""
        raise RequestError(f"task {self.name}: no image_values for its image_metric; write it, or leave both out")

    def overlays(self, dataset: FusedDataset, split: str) -> "Overlays":
        """What the report's viewer draws over the images of a split."""
        from fuse2task.overlays import Overlays as Nothing

        return Nothing(dataset, split)

    def judge(self, weights: Path | JudgeSource, device: str) -> Any:
        """`load`, once in each process for the same file, options and device."""
        file = weights.weights if isinstance(weights, JudgeSource) else weights
        try:
            found = file.stat() if file is not None else None
        except OSError:
            return self.load(weights, device)  # which says what is wrong
        state = (found.st_ino, found.st_size, found.st_mtime_ns) if found is not None else ()
        return _loaded(self, weights.resolve() if isinstance(weights, Path) else weights, state, device)


@lru_cache(maxsize=8)
def _loaded(task: Task, weights: Path | JudgeSource, _: tuple[int, ...], device: str) -> Any:
    return task.load(weights, device)


@cache
def find_task(name: str) -> Task:
    """The task of that name, in the module of that name; RequestError: there is none."""
    if name not in task_names():
        raise RequestError(f"unknown task {name!r}; known are {', '.join(task_names())}")
    return import_module(f"{__name__}.{name}").TASK


def task_names() -> list[str]:
    """The names of all tasks."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))
