"""conditions.csv and robustness.csv: what the results of a bench folder say about sweeps over conditions."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from fuse2task.bench.conditions import ConditionSection
from fuse2task.bench.curves import curve_tables
from fuse2task.bench.measured import Measured
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.bench.score_distributions import score_distributions
from fuse2task.results.schema import ABOUT, CONDITIONS, ROBUSTNESS, name_at
from fuse2task.results.tables import write_table
from fuse2task.runtime.errors import RequestError

NOT_SWEPT = ("dataset", "kind")
Load = Callable[[dict[Any, Any]], Measured | None]
LoadScores = Callable[[str, str], dict[str, Measured]]
Rows = list[dict[str, Any]]


def write_sweeps(folder: Path, recipe: BenchRecipe, results: pd.DataFrame, truths: dict[str, Any], load: Load) -> None:
    """Write both tables for the recipe's conditions; without conditions both are removed.

    Args:
        results: all rows of results.csv.
        truths: content of truths.json; curves are by the primary truth.
        load: gives the distributions behind a row of a task metric, None where they are not in the folder.
    """
    # Level 0 is in every sweep.
    scores = lru_cache(None)(lambda name, label: _scores(folder, recipe, name, label))
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
    for name, columns, rows in (("conditions", CONDITIONS, points), ("robustness", ROBUSTNESS, areas)):
        path = folder / f"{name}.csv"
        if recipe.conditions:
            write_table(path, columns, rows)
        else:
            path.unlink(missing_ok=True)


def _tables(
    recipe: BenchRecipe, results: pd.DataFrame, dataset: str, section: ConditionSection, load: Load, scores: LoadScores
) -> list[tuple[dict[str, Any], dict[str, list[list[Measured]]]]]:
    """For each judge (or profile) that has been at all levels: `ABOUT`, and what `curve_tables` takes."""
    names = [name_at(dataset, section.kind, level) for level in section.levels]
    rows = results[results["dataset"].isin(names)]
    tables = []
    for _, own in rows.groupby([key for key in ABOUT if key not in NOT_SWEPT], sort=False):
        about = {key: own.iloc[0][key] for key in ABOUT} | {"dataset": dataset, "kind": section.kind}
        measured = {}
        for method in (method.name for method in recipe.methods):
            of_method = own[own["method"] == method]
            if of_method.empty:
                continue
            # Of a method in several versions the one written last.
            of_method = of_method[of_method["method_hash"] == of_method["method_hash"].iloc[-1]]
            if about["task"] == "quality":
                at_levels = _scores_at(names, of_method, scores)
            else:
                at_levels = _numbers_at(names, of_method, load)
            if at_levels:
                measured[method] = at_levels
        if measured:
            tables.append((about, measured))
    return tables


def _numbers_at(names: Sequence[str], rows: pd.DataFrame, load: Load) -> list[list[Measured]]:
    """For each level, for each seed; empty where a level or a seed is missing."""
    found = []
    seeds = sorted(set(rows["seed"]))
    for name in names:
        first = rows[rows["dataset"] == name].drop_duplicates("seed", keep="last").sort_values("seed")
        loaded = [load(row) for row in first.to_dict("records")]
        present = [item for item in loaded if item is not None]
        if len(present) < max(1, len(seeds)):
            return []
        found.append(present)
    return found


def _scores(folder: Path, recipe: BenchRecipe, dataset: str, label: str) -> dict[str, Measured]:
    return score_distributions(folder / "scores" / dataset / f"{label}.csv", recipe.intervals)


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
