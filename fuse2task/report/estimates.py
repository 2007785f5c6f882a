"""Estimates of each method by metric, class and condition within a comparable group, and their paired differences."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev
from typing import Any

import pandas as pd

from fuse2task.results.schema import LEVEL
from fuse2task.results.tables import Group
from fuse2task.tasks import find_task


@dataclass(frozen=True)
class Estimate:
    """A value in [0, 1] (scores: their own range); interval of one seed, or standard deviation over several."""

    value: float
    low: float = math.nan
    high: float = math.nan
    deviation: float = math.nan
    seeds: int = 1
    images: float = math.nan


@dataclass(frozen=True)
class Difference:
    """a minus b on the same images, its interval, p after Holm's correction, the smallest difference they can show."""

    a: str
    b: str
    value: float
    low: float
    high: float
    p: float
    detectable: float
    alpha: float = 1 - LEVEL

    @property
    def significant(self) -> bool:
        """Whether p is below alpha."""
        return self.p < self.alpha

    @property
    def mark(self) -> str:
        """`better` or `worse` where significant, else empty."""
        return "" if not self.significant else "better" if self.value > 0 else "worse"


Key = tuple[str, str, str]  # metric, class, condition


class Numbers:
    """Look-up of the numbers of one group. alpha: significance level of its p values.

    one_training: a judge that was trained once on each method. That is one draw of many, which the intervals do not
    know: no difference counts as significant. through: methods that were trained through this judge (judges.json).
    """

    def __init__(self, group: Group, baseline: str, alpha: float, judges: Sequence[Mapping[str, Any]] = ()) -> None:
        self.group, self.alpha = group, alpha
        self.one_training = group.keys["protocol"] == "retrain" and group.results["seed"].nunique() == 1
        self.through = {
            row["method"] for entry in judges for row in entry["methods"]
            if group.keys["judge"] in row["trained_through"]
            and entry["judge_hashes"][group.keys["judge"]] == group.keys["judge_hash"]
        }  # fmt: skip
        self.task = find_task(group.keys["task"])
        self.main = self.task.headline
        rows, pairs = group.results, group.comparisons
        self.methods = list(dict.fromkeys(rows["method"]))
        self._cells: dict[tuple[Key, str], dict[str, Estimate]] = {}
        numbers = (rows[name] for name in ("value", "ci_low", "ci_high", "n_images"))
        cells = zip(_keys(rows), rows["method"], rows["seed"], *numbers, strict=True)
        for key, method, seed, value, low, high, images in cells:
            if not math.isnan(value):
                self._cells.setdefault((key, method), {})[seed] = Estimate(value, low, high, images=images)
        numbers = (pairs[name] for name in ("difference", "ci_low", "ci_high", "p_holm", "smallest_detectable"))
        level = 0.0 if self.one_training else alpha
        differences = zip(_keys(pairs), pairs["a"], pairs["b"], *numbers, strict=True)
        self._pairs = {(key, a, b): Difference(a, b, *(*values, level)) for key, a, b, *values in differences
                       if not math.isnan(values[0])}  # fmt: skip
        bases = list(dict.fromkeys(pairs["b"]))
        self.baseline = baseline if baseline in bases or not bases else bases[0]

    def label(self, method: str) -> str:
        """The method's name, with † where it was trained through this judge."""
        return f"{method} †" if method in self.through else method

    def estimate(self, method: str, metric: str, name: str = "all", condition: str = "all") -> Estimate | None:
        """Mean over seeds, None where there is no number. Standard deviation with n - 1."""
        found = list(self._cells.get(((metric, name, condition), method), {}).values())
        if len(found) < 2:
            return found[0] if found else None
        values = [item.value for item in found]
        return Estimate(mean(values), deviation=stdev(values), seeds=len(values), images=found[0].images)

    def seeds(self, method: str, metric: str) -> dict[str, float]:
        """Value of each seed, over all classes and images."""
        return {seed: item.value for seed, item in self._cells.get(((metric, "all", "all"), method), {}).items()}

    def difference(self, a: str, b: str, metric: str, name: str = "all", condition: str = "all") -> Difference | None:
        """The paired difference a minus b, read from the pair (b, a) where only that was written."""
        key = (metric, name, condition)
        found, back = self._pairs.get((key, a, b)), self._pairs.get((key, b, a))
        if found is not None or back is None:
            return found
        return replace(back, a=a, b=b, value=-back.value, low=-back.high, high=-back.low)

    def against_baseline(
        self, method: str, metric: str, name: str = "all", condition: str = "all"
    ) -> Difference | None:
        """The paired difference to the baseline; None for the baseline itself."""
        return None if method == self.baseline else self.difference(method, self.baseline, metric, name, condition)

    def detectable(self) -> list[float]:
        """Smallest detectable differences of the main metric from the baseline, one a tested method."""
        found = [self.against_baseline(method, self.main) for method in self.methods]
        return [item.detectable for item in found if item is not None and not math.isnan(item.detectable)]

    def ranked(self, metric: str = "", name: str = "all", condition: str = "all") -> list[tuple[str, float]]:
        """Methods with their values, highest first; those without a number are left out."""
        found = {method: self.estimate(method, metric or self.main, name, condition) for method in self.methods}
        return sorted(((method, item.value) for method, item in found.items() if item), key=lambda item: -item[1])

    def kinds(self, column: str, metric: str) -> list[str]:
        """Values of `class` or `condition` for which the metric has a number, in file order, without "all"."""
        rows = self.group.results
        rows = rows[(rows["metric"] == metric) & rows["value"].notna()]
        return [kind for kind in dict.fromkeys(rows[column]) if kind != "all"]

    def metrics(self) -> list[str]:
        """Metrics over all classes and images that the group has: known ones in their order, scores as in the file."""
        rows = self.group.results
        found = list(dict.fromkeys(rows[(rows["class"] == "all") & (rows["condition"] == "all")]["metric"]))
        return [name for name in self.task.metrics or found if name in found]


def _keys(rows: pd.DataFrame) -> Iterator[Key]:
    return zip(rows["metric"], rows["class"], rows["condition"], strict=True)
