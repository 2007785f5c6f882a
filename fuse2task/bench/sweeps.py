"""Sweeps over degradation levels: curves, areas under them, differences from camera and baseline.

All numbers of a curve rest on the same bootstrap weights at every level and for every method (the same images in the
same order), so areas and differences are taken replicate by replicate.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from fuse2task.bench.measured import Distribution, Measured, over_runs, score_distributions
from fuse2task.bench.recipe import BenchRecipe, ConditionSection, Intervals
from fuse2task.bench.statistics import compare, compare_all, over_seeds
from fuse2task.results import schema
from fuse2task.results.schema import ABOUT, AGAINST, SINGLE, TO_BASELINE, VERDICTS, BenchFolder, name_at, significance
from fuse2task.results.tables import write_table
from fuse2task.runtime.errors import RequestError
from fuse2task.tasks import Key, find_task

NOT_SWEPT = ("dataset", "kind")
Load = Callable[[dict[Any, Any]], Measured | None]
LoadScores = Callable[[str, str], dict[str, Measured]]
Row = dict[str, Any]
Rows = list[Row]


def write_sweeps(
    folder: BenchFolder, recipe: BenchRecipe, results: pd.DataFrame, truths: dict[str, Any], load: Load
) -> None:
    """Write conditions.csv and robustness.csv for the recipe's conditions.

    results: all rows. truths: content of truths.json; curves are by the primary truth. load: gives the distributions
    behind a row of a task metric, None where they are not in the folder.
    """

    @cache  # level 0 is in every sweep
    def scores(name: str, label: str) -> dict[str, Measured]:
        return score_distributions(folder.scores(name, label), recipe.intervals)

    others = {truth_hash for truth_hash, about in truths.items() if not about["primary"]}
    chosen = results[(results["condition"] == "all") & ~results["truth_hash"].isin(others)]
    points: Rows = []
    areas: Rows = []
    for dataset in recipe.datasets:
        for section in recipe.conditions:
            for about, measured in _tables(recipe, chosen, dataset, section, load, scores):
                found = curve_tables(about, section.levels, measured, recipe.baseline, recipe.intervals)
                points += found[0]
                areas += found[1]
    write_table(folder.table("conditions"), schema.CONDITIONS, points)
    write_table(folder.table("robustness"), schema.ROBUSTNESS, areas)


def _tables(
    recipe: BenchRecipe, results: pd.DataFrame, dataset: str, section: ConditionSection, load: Load, scores: LoadScores
) -> Iterator[tuple[Row, dict[str, list[list[Measured]]]]]:
    """For each judge (or profile) that has been at all levels: `ABOUT`, and what `curve_tables` takes."""
    names = [name_at(dataset, section.kind, level) for level in section.levels]
    rows = results[results["dataset"].isin(names)]
    for _, own in rows.groupby([key for key in ABOUT if key not in NOT_SWEPT], sort=False):
        about = {key: own.iloc[0][key] for key in ABOUT} | {"dataset": dataset, "kind": section.kind}
        measured = {}
        for method in (method.name for method in recipe.methods):
            of_method = own[own["method"] == method]
            # Of a method in several versions the one written last.
            of_method = of_method[of_method["method_hash"].isin(of_method["method_hash"].tail(1))]
            judged = find_task(about["task"]).is_judged
            if at_levels := _numbers_at(names, of_method, load) if judged else _scores_at(names, of_method, scores):
                measured[method] = at_levels
        if measured:
            yield about, measured


def _numbers_at(names: Sequence[str], rows: pd.DataFrame, load: Load) -> list[list[Measured]]:
    """For each level, for each seed; empty where a level or a seed is missing."""
    found = []
    for name in names:
        first = rows[rows["dataset"] == name].drop_duplicates("seed", keep="last").sort_values("seed")
        present = [item for item in map(load, first.to_dict("records")) if item is not None]
        if len(present) < max(1, rows["seed"].nunique()):
            return []
        found.append(present)
    return found


def _scores_at(names: Sequence[str], rows: pd.DataFrame, scores: LoadScores) -> list[list[Measured]]:
    found: list[list[Measured]] = []
    for name in names:
        own = rows[rows["dataset"] == name]
        measured = None if own.empty else scores(name, own.iloc[0]["judge"]).get(own.iloc[0]["method"])
        if measured is None:
            return []
        if found and measured.leave_one_out.shape[1] != found[0][0].leave_one_out.shape[1]:
            tables = " and ".join(f"scores/{level}/{own.iloc[0]['judge']}.csv" for level in (names[0], name))
            raise RequestError(f"{tables}: not of the same images; remove both, and run `fuse2task bench run` again")
        found.append([measured])
    return found


@dataclass(frozen=True)
class Curve:
    """One number of one method at L levels. images: how many it is from."""

    at: tuple[Distribution, ...]
    images: int

    def area(self, levels: Sequence[int]) -> Distribution:
        """The trapezoidal mean over the levels, of points, replicates and leave-one-out values alike."""
        weights = trapezoid_weights(levels)
        of_levels = zip(*self.at, strict=True)
        points, replicates, left_out = (np.tensordot(weights, np.stack(part), axes=1) for part in of_levels)
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

    about: the columns `ABOUT`. levels: (L,) rising. measured: method -> for each level, for each seed, its numbers, of
    which those of condition `all` are taken.
    """
    points: Rows = []
    areas: Rows = []
    found = {method: _curves(at_levels) for method, at_levels in measured.items()}
    tested = find_task(about["task"]).is_judged
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
                "drop_low": drop.ends[0], "drop_high": drop.ends[1],
            })  # fmt: skip
    return points, areas


def _curves(at_levels: Sequence[Sequence[Measured]]) -> dict[Key, Curve]:
    """Numbers that every level and seed has, over all images."""
    everywhere = [measured for seeds in at_levels for measured in seeds]
    keys = [key for key in everywhere[0].keys if key[2] == "all" and all(key in item.keys for item in everywhere)]
    images = dict(zip(everywhere[0].keys, everywhere[0].images, strict=True))
    return {key: Curve(tuple(over_runs(seeds, key) for seeds in at_levels), int(images[key])) for key in keys}


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
            once = self.about["protocol"] == "retrain" and row["seeds"] == 1  # one training is one draw
            apart = not once and row["p_holm"] < significance(self.intervals.level)
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
        (metric, name, _), task = self.key, find_task(str(self.about["task"]))
        combined = over_seeds(*value, seed=self.intervals.seed, order=task.bias_order(metric))
        low, high = None, None
        if combined.replicates is not None:
            tail = (1 - self.intervals.level) / 2
            low, high = np.clip(np.quantile(combined.replicates, [tail, 1 - tail]), *task.bounds).tolist()
        return {
            **self.about, "method": method, "metric": metric, "class": name, "value": combined.point, "ci_low": low,
            "ci_high": high, **dict.fromkeys(AGAINST), "verdict": "", "n_images": self.curves[method].images,
            "seeds": combined.seeds,
        }  # fmt: skip

    def _differences(
        self, values: Mapping[str, Distribution], reference: Distribution
    ) -> dict[str, tuple[float | None, ...]]:
        """For each method its difference from the reference, the interval's ends, p, and p corrected over them all."""
        found = compare_all(values, reference, self.intervals.level, self.intervals.seed)
        return {name: (one.difference, *one.ends, one.p_value, p) for name, (one, p) in found.items()}


def trapezoid_weights(levels: Sequence[float] | np.ndarray) -> np.ndarray:
    """Weights (L,) float64, summing to 1, with which values at the levels (L,) give the area by the trapezoidal rule
    over the range of the levels: the mean height of the curve, in the unit of the values.

    Raises:
        ValueError: fewer than two levels, or not rising.
    """
    at = np.asarray(levels, dtype=np.float64)
    steps = np.diff(at)
    if at.ndim != 1 or not len(steps) or not np.all(steps > 0):
        raise ValueError(f"levels {levels}: two or more in rising order")
    return (np.append(steps, 0.0) + np.append(0.0, steps)) / (2 * (at[-1] - at[0]))
