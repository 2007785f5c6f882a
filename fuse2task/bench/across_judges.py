"""Many judges in one table: judges.json, what they say together, and which methods were trained through which."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fuse2task.bench.agreement import agree, verdict
from fuse2task.bench.measured import Measured, over_runs
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.results.schema import KEYS, significance
from fuse2task.tasks import find_task

SAME = ("dataset", "split_hash", "color", "task", "truth_hash")
"""Tables that agree in these differ in their judge alone."""
Load = Callable[[Mapping[Hashable, Any]], Measured]


def across_judges(
    tables: Sequence[pd.DataFrame], comparisons: Sequence[Mapping[str, Any]], load: Load, recipe: BenchRecipe,
    primary: Callable[[str], bool] = bool,
) -> list[dict[str, Any]]:  # fmt: skip
    """The entries of judges.json: one for each dataset, task and truth, and one for all datasets of a task together.

    tables: comparable rows of one judge each. comparisons: rows of comparisons.csv. load: the distributions of a row.
    primary: whether a truth (hash) is the one that results are reported by; the others are not put together.
    """
    families: dict[tuple[str, ...], dict[str, pd.DataFrame]] = {}
    together: dict[tuple[str, str], dict[str, pd.DataFrame]] = {}
    for rows in tables:
        about = rows.iloc[0]
        families.setdefault(tuple(str(about[key]) for key in SAME), {})[about["judge"]] = rows
        if primary(about["truth_hash"]):
            pooled = together.setdefault((about["task"], about["color"]), {})
            pooled[f"{about['judge']} on {about['dataset']}"] = rows
    several = [family for family in together.values() if len({rows.iloc[0]["dataset"] for rows in family.values()}) > 1]
    entries = [_entry(family, comparisons, load, recipe) for family in (*families.values(), *several)]
    return [entry for entry in entries if entry]


def _entry(
    family: Mapping[str, pd.DataFrame], comparisons: Sequence[Mapping[str, Any]], load: Load, recipe: BenchRecipe
) -> dict[str, Any]:
    """One entry; family: name of a judge -> its rows. Empty where a judge has no number of the baseline."""
    abouts = {name: rows.iloc[0] for name, rows in family.items()}
    metric = find_task(next(iter(abouts.values()))["task"]).headline
    judges = {name: _values(rows, metric, load) for name, rows in family.items()}
    methods = [method.name for method in recipe.methods if all(method.name in found for found in judges.values())]
    baseline, level, seed = recipe.baseline, recipe.intervals.level, recipe.intervals.seed
    if baseline not in methods:
        return {}
    datasets = list(dict.fromkeys(about["dataset"] for about in abouts.values()))
    points = np.array([[found[name][0] for name in methods] for found in judges.values()])
    replicates = np.array([[found[name][1] for name in methods] for found in judges.values()])
    for number, about in enumerate(abouts.values()):
        if place := datasets.index(about["dataset"]):  # the images of another dataset are drawn by themselves
            order = np.random.default_rng([seed, place]).permutation(replicates.shape[2])
            replicates[number] = replicates[number][:, order]
    found = agree(points, replicates, methods.index(baseline), level, seed)
    hashes = {name: str(about["judge_hash"]) for name, about in abouts.items()}
    marked = {name: trained_through(recipe, about["judge"], hashes[name]) for name, about in abouts.items()}
    draws = [name for name, rows in family.items()
             if rows.iloc[0]["protocol"] == "retrain" and rows["seed"].nunique() == 1]  # fmt: skip
    tested = _tested(family, comparisons, metric, baseline, significance(level))
    rows = []
    for index, method in enumerate(methods):
        row: dict[str, Any] = {
            "method": method, "values": dict(zip(judges, points[:, index].tolist(), strict=True)),
            "ranks": dict(zip(judges, found.ranks[:, index].tolist(), strict=True)),
            "mean_rank": _number(found.mean_ranks[index]),
            "rank_low": _number(found.rank_interval[0, index]), "rank_high": _number(found.rank_interval[1, index]),
            "standardised": _number(found.standardised[index]),
            "standardised_low": _number(found.standardised_interval[0, index]),
            "standardised_high": _number(found.standardised_interval[1, index]),
            "trained_through": [name for name in judges if method in marked[name]],
            "verdict": "", "verdict_without": "", "differences": {}, "significant": [],
        }  # fmt: skip
        if method != baseline:
            own = {name: tested.get((name, method), (float("nan"), False)) for name in judges}
            own = {name: (value, sure and name not in draws) for name, (value, sure) in own.items()}
            row["differences"] = {name: _number(value) for name, (value, _) in own.items()}
            row["significant"] = [name for name, (_, sure) in own.items() if sure]
            others = {name: value for name, value in own.items() if name not in row["trained_through"]}
            row["verdict"] = _verdict(own)
            row["verdict_without"] = _verdict(others) if len(others) < len(own) else ""
        rows.append(row)
    same = {key: {str(about[key]) for about in abouts.values()} for key in SAME}
    return {
        **{key: values.pop() if len(values) == 1 else "" for key, values in same.items()},
        "dataset": ", ".join(datasets), "metric": metric, "baseline": baseline, "level": level,
        "judges": list(judges), "judge_hashes": hashes,
        "one_training": draws, "w": _number(found.w), "w_low": _number(found.w_interval[0]),
        "w_high": _number(found.w_interval[1]), "w_p": _number(found.w_p), "methods": rows,
    }  # fmt: skip


def _values(rows: pd.DataFrame, metric: str, load: Load) -> dict[str, tuple[float, np.ndarray]]:
    """Method -> point and replicates (R,) of the headline, means over seeds."""
    found = {}
    for method, own in rows.groupby("method", sort=False):
        measured = [load(row) for row in own.drop_duplicates("seed").to_dict("records")]
        if all((metric, "all", "all") in item.keys for item in measured):
            points, replicates, _ = over_runs(measured, (metric, "all", "all"))
            found[str(method)] = float(points.mean()), replicates.mean(axis=0)
    return found


def _tested(
    family: Mapping[str, pd.DataFrame], comparisons: Sequence[Mapping[str, Any]], metric: str, baseline: str,
    alpha: float,
) -> dict[tuple[str, str], tuple[float, bool]]:  # fmt: skip
    """(judge, method) -> difference from the baseline, and whether it is significant after Holm's correction."""
    names = {tuple(rows.iloc[0][key] for key in KEYS): name for name, rows in family.items()}
    found = {}
    for row in comparisons:
        name = names.get(tuple(row[key] for key in KEYS))
        whole = row["metric"] == metric and row["class"] == row["condition"] == "all" and row["b"] == baseline
        if name and whole and row["difference"] is not None:
            sure = row["p_holm"] is not None and float(row["p_holm"]) < alpha
            found[name, row["a"]] = (float(row["difference"]), sure)
    return found


def _verdict(own: Mapping[str, tuple[float, bool]]) -> str:
    values = [value for value, _ in own.values()]
    return verdict(values, [sure for _, sure in own.values()]) if values and not np.isnan(values).any() else ""


def trained_through(recipe: BenchRecipe, judge: str, judge_hash: str) -> list[str]:
    """The recipe's methods that were trained through this judge: the recipe says so, or the card of the weights.

    A card names a detector by its file; cards of shipped weights also by its sha256.
    """
    from fusion.weights import detectors

    weights = recipe.judges[judge].weights if judge in recipe.judges else None
    names = {judge_hash, weights.name} if weights is not None else {judge_hash}
    return [method.name for method in recipe.methods
            if judge in method.trained_through or names & set(detectors(method.name, method.checkpoint))]  # fmt: skip


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
