"""Interface of judges: detectors and segmenters of other packages, by name.

A package that adds a judge says in its pyproject.toml

    [project.entry-points."fuse2task.judges"]
    myjudge = "my_package:MyJudge"
"""

import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fuse2task.data.dataset import files_below
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import file_digest, value_hash
from fuse2task.runtime.packages import load_plugin, plugin_names

PLUGINS = "fuse2task.judges"
"""Entry-point group: `DetectionJudge` and `SegmentationJudge` classes, or functions that return one."""
Found = tuple[np.ndarray, np.ndarray, Sequence[str]]
"""Boxes (N, 4) x1, y1, x2, y2 in pixels of the image, scores (N,), N class names."""


class Judge(ABC):
    """A network with fixed weights that looks at fused images.

    classes: names in index order. image_size: the column of the results table, the side of a square input in pixels
    or `WxH`; empty for images as they are. batch_size: images a call that are worth it.
    """

    task: ClassVar[str]
    classes: Sequence[str]
    image_size = ""
    batch_size = 1

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """JSON values that decide the predictions: weights by their hash, settings, a version."""

    @property
    def digest(self) -> str:
        """Hash of the identity and the classes."""
        return value_hash({"identity": self.identity(), "classes": list(self.classes)})


class DetectionJudge(Judge):
    """A detector. Boxes are taken as they are: thresholds and suppression are its own."""

    task = "detection"

    @abstractmethod
    def detect(self, image: np.ndarray) -> Found:
        """The boxes in an image (H, W, 3) uint8 RGB."""

    def detect_batch(self, images: Sequence[np.ndarray]) -> list[Found]:
        """As `detect`, of at most `batch_size` images; sizes may differ."""
        return [self.detect(image) for image in images]


class SegmentationJudge(Judge):
    """A segmenter of whole images."""

    task = "segmentation"

    @abstractmethod
    def segment(self, image: np.ndarray) -> np.ndarray:
        """Class indices (H, W) or scores (classes, H, W) of an image (H, W, 3) uint8 RGB."""

    def segment_batch(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """As `segment`, of at most `batch_size` images; sizes may differ."""
        return [self.segment(image) for image in images]


def make_judge(name: str, task: str, options: Mapping[str, Any], source: str = "the judge") -> Judge:
    """The plug-in judge `name`, made with `options`; source: what messages call the request.

    Raises:
        RequestError: no such plug-in, it is no judge of that task, options as in `taken`.
    """
    make = load_plugin(PLUGINS, name)
    made = make(**taken(make, options, f"{source}: the judge {name}"))
    if not isinstance(made, Judge) or made.task != task:
        raise RequestError(f"{source}: {PLUGINS} {name!r} gives a {type(made).__name__}, not a judge of task {task}")
    if not made.classes or len(set(made.classes)) != len(made.classes):
        raise RequestError(f"{source}: the judge {name} needs class names, each once")
    return made


def taken(make: Callable[..., Any], options: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Those of `options` that are given to `make`: all but None, and a device that it has no parameter for.

    Raises:
        RequestError: an option that it does not have, or none where it needs one.
    """
    given, parameters = (
        {key: value for key, value in options.items() if value is not None},
        inspect.signature(make).parameters,
    )
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return given
    if unknown := [key for key in given if key != "device" and key not in parameters]:
        raise RequestError(f"{source} takes no {', '.join(unknown)}; it takes {', '.join(parameters) or 'nothing'}")
    needed = [key for key, parameter in parameters.items() if parameter.default is parameter.empty and key not in given
              and parameter.kind is not parameter.VAR_POSITIONAL]  # fmt: skip
    if needed:
        raise RequestError(f"{source} needs {', '.join(needed)}")
    return {key: value for key, value in given.items() if key in parameters}


def judge_names() -> list[str]:
    """The judges that installed packages add."""
    return plugin_names(PLUGINS)


@dataclass(frozen=True)
class JudgeSource:
    """What a frozen judge is made from where weights alone do not say it.

    plugin: its name; empty for a weights file of another library. options: JSON of what it is made with.
    """

    plugin: str = ""
    weights: Path | None = None
    options: str = "{}"

    def __str__(self) -> str:
        return " ".join(str(part) for part in (self.plugin, self.weights) if part)

    def values(self) -> dict[str, Any]:
        """The options as they were given."""
        found: dict[str, Any] = json.loads(self.options)
        return found

    def arguments(self, device: str) -> dict[str, Any]:
        """The options with weights and device."""
        return {**self.values(), "weights": self.weights, "device": device}

    def make(self, task: str, device: str) -> Judge:
        """The plug-in judge; raises as `make_judge`."""
        return make_judge(self.plugin, task, self.arguments(device), str(self))


@dataclass(frozen=True)
class ResultsSource:
    """Finished results in place of a judge: of every method a COCO result file, or a folder of masks.

    options: JSON, as of `JudgeSource`.
    """

    paths: tuple[Path, ...]
    options: str = "{}"

    def __str__(self) -> str:
        return ", ".join(map(str, self.paths))

    def values(self) -> dict[str, Any]:
        """The options as they were given."""
        found: dict[str, Any] = json.loads(self.options)
        return found


def results_digest(source: ResultsSource) -> str:
    """Hash of the bytes of all results, method by method; of folders with the names of the files.

    Raises:
        RequestError: a file or folder that is not there.
    """
    found: list[Any] = []
    for path in source.paths:
        if path.is_dir():
            files = sorted(file for file in files_below(path) if file.is_file())
            found.append({file.relative_to(path).as_posix(): file_digest(file) for file in files})
        elif not path.is_file():
            raise RequestError(f"{path}: no such results; a results judge needs a file or folder of every method")
        else:
            found.append(file_digest(path))
    return value_hash(found)
