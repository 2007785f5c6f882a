"""Curves over the levels of a condition: every point, the area under it, and how these lie to camera and baseline.

All numbers of a curve rest on the same bootstrap weights at every level and for every method (the same images in the
same order), so areas and differences are taken replicate by replicate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fuse2task.bench.measured import BOUNDS, Distribution, Key, Measured, bias_order, over_runs
from fuse2task.bench.recipe import Intervals
from fuse2task.bench.statistics.area import trapezoid_weights
from fuse2task.bench.statistics.holm import holm
from fuse2task.bench.statistics.paired import compare
from fuse2task.bench.statistics.seeds import over_seeds
from fuse2task.results.schema import AGAINST, TO_BASELINE

SINGLE = ("visible", "infrared")
VERDICTS = ("above", "not_told_apart", "below")
Row = dict[str, Any]


@dataclass(frozen=True)
class Curve:
    """One number of one method at L levels. images: how many it is from."""

    at: tuple[Distribution, ...]
    images: int

    def area(self, levels: Sequence[int]) -> Distribution:
        """The trapezoidal mean over the levels, of points, replicates and leave-one-out values alike."""
        weights = trapezoid_weights(levels)
        parts = (np.tensordot(weights, np.stack(part), axes=1) for part in zip(*self.at, strict=True))
        points, replicates, left_out = parts
        return points, replicates, left_out


def curve_tables(
    about: Mapping[str, Any], levels: Sequence[int], measured: Mapping[str, Sequence[Sequence[Measured]]],
    baseline: str, intervals: Intervals,
) -> tuple[list[Row], list[Row]]:  # fmt: skip
    """Rows of conditions.csv and of robustness.csv for one dataset, kind and judge.

    The best single camera is the better one in the number at hand: at each level for points, by area for areas. Holm's
    correction is over the fused methods, for each metric, class and level (or area) by itself. Areas are compared with
    the baseline's as well, Holm's correction being over all other methods. Image scores have no comparisons: the single
    cameras are what they refer to.

    Args:
        about: the columns `ABOUT`.
        levels: (L,) rising.
        measured: method -> for each level, for each seed, its numbers. Those of condition `all` are taken.
    """
    points: list[Row] = []
    areas: list[Row] = []
    found = {method: _curves(at_levels) for method, at_levels in measured.items()}
    tested = about["task"] in BOUNDS
    for key in dict.fromkeys(key for curves in found.values() for key in curves):
        curves = {method: own[key] for method, own in found.items() if key in own}
        table = _Table(about, key, curves, intervals, tested)
        verdicts: dict[str, dict[str, list[str]]] = {name: {verdict: [] for verdict in VERDICTS} for name in curves}
        for number, level in enumerate(levels):
            for row in table.rows({name: curve.at[number] for name, curve in curves.items()}):
                points.append(row | {"level": level})
                if row["verdict"]:
                    verdicts[row["method"]][row["verdict"]].append(str(level))
        values = {name: curve.area(levels) for name, curve in curves.items()}
        beside = table.beside_baseline(values, baseline)
        for row in table.rows(values):
            curve = curves[row["method"]]
            drop = compare(curve.at[0], curve.at[-1], intervals.level, intervals.seed)
            told = {name: " ".join(texts) for name, texts in verdicts[row["method"]].items()}
            areas.append(row | told | beside.get(row["method"], dict.fromkeys(TO_BASELINE)) | {
                "levels": " ".join(map(str, levels)), "area": row["value"], "drop": drop.difference,
                "drop_low": drop.interval and drop.interval.low, "drop_high": drop.interval and drop.interval.high,
            })  # fmt: skip
    return points, areas


def _curves(at_levels: Sequence[Sequence[Measured]]) -> dict[Key, Curve]:
    """Numbers that every level and seed has, over all images."""
    everywhere = [measured for seeds in at_levels for measured in seeds]
    keys = [key for key in everywhere[0].keys if key[2] == "all" and all(key in item.keys for item in everywhere)]
    found = {}
    for key in keys:
        at = tuple(over_runs(seeds, key) for seeds in at_levels)
        found[key] = Curve(at, int(everywhere[0].images[everywhere[0].keys.index(key)]))
    return found


@dataclass(frozen=True)
class _Table:
    """One number of all methods, at one level or as an area."""

    about: Mapping[str, Any]
    key: Key
    curves: Mapping[str, Curve]
    intervals: Intervals
    tested: bool

    def rows(self, values: Mapping[str, Distribution]) -> list[Row]:
        """One row a method: value with interval, and difference from the best single camera."""
        rows = [self._row(method, value) for method, value in values.items()]
        single = {name: float(values[name][0].mean()) for name in SINGLE if name in values}
        if not (single and self.tested):
            return rows
        best = max(single, key=lambda name: single[name])
        fused = [row for row in rows if row["method"] not in SINGLE]
        differences = self._differences({row["method"]: values[row["method"]] for row in fused}, values[best])
        for row in fused:
            row |= dict(zip(AGAINST, (best, *differences[row["method"]]), strict=True))
            apart = row["p_holm"] < 1 - self.intervals.level
            row["verdict"] = "not_told_apart" if not apart else "above" if row["difference"] > 0 else "below"
        return rows

    def beside_baseline(self, values: Mapping[str, Distribution], baseline: str) -> dict[str, Row]:
        """Columns `TO_BASELINE` of every method but the baseline."""
        if not (self.tested and baseline in values):
            return {}
        others = {name: value for name, value in values.items() if name != baseline}
        differences = self._differences(others, values[baseline])
        return {name: dict(zip(TO_BASELINE, (baseline, *found), strict=True)) for name, found in differences.items()}

    def _row(self, method: str, value: Distribution) -> Row:
        metric, name, _ = self.key
        combined = over_seeds(*value, seed=self.intervals.seed, order=bias_order(metric))
        ends: list[float | None] = [None, None]
        if combined.replicates is not None:
            alpha = 1 - self.intervals.level
            bounds = BOUNDS.get(str(self.about["task"]), (-np.inf, np.inf))
            ends = np.clip(np.quantile(combined.replicates, [alpha / 2, 1 - alpha / 2]), *bounds).tolist()
        return {
            **self.about, "method": method, "metric": metric, "class": name, "value": combined.point,
            "ci_low": ends[0], "ci_high": ends[1], **dict.fromkeys(AGAINST), "verdict": "",
            "n_images": self.curves[method].images, "seeds": combined.seeds,
        }  # fmt: skip

    def _differences(
        self, values: Mapping[str, Distribution], reference: Distribution
    ) -> dict[str, tuple[float | None, ...]]:
        """For each method its difference from the reference, the interval's ends, p, and p corrected over them all."""
        found = [compare(value, reference, self.intervals.level, self.intervals.seed) for value in values.values()]
        adjusted = holm([np.nan if one.p_value is None else one.p_value for one in found]).tolist()
        told: dict[str, tuple[float | None, ...]] = {}
        for name, one, p in zip(values, found, adjusted, strict=True):
            low, high = (one.interval.low, one.interval.high) if one.interval else (None, None)
            told[name] = (one.difference, low, high, one.p_value, p)
        return told
