"""Our numbers beside those that others published: which row of the results stands beside which."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from fuse2task.bench.recipe import BenchRecipe, PublishedRow
from fuse2task.results.schema import KEYS


def beside_published(
    results: pd.DataFrame, truths: Mapping[str, Mapping[str, Any]], recipe: BenchRecipe
) -> list[dict[str, Any]]:
    """What published.json says: the recipe's `published` rows, each with our number.

    Args:
        results: all rows of results.csv.
        truths: content of truths.json; numbers by other truths than the primary one are left out.

    Returns:
        The row's keys with `ours` (fraction or bits as in results.csv, mean over seeds; None where there is no such
        number), `ci_low` and `ci_high` (None over several seeds), `deviation` (standard, over seeds; None for one),
        `seeds` and `n_images`. Of a number in several versions the one written last.
    """
    others = {truth_hash for truth_hash, about in truths.items() if not about["primary"]}
    primary = results[~results["truth_hash"].isin(others)]
    return [_beside(primary, row, recipe) for row in recipe.published]


def _beside(results: pd.DataFrame, row: PublishedRow, recipe: BenchRecipe) -> dict[str, Any]:
    scores = recipe.scores
    judge = scores.label if scores is not None and row.judge == scores.profile else row.judge
    wanted = {
        "dataset": row.dataset, "method": row.method, "judge": judge, "metric": row.metric,
        "class": row.class_name, "condition": row.condition,
    }  # fmt: skip
    for column, value in wanted.items():
        results = results[results[column] == value]
    empty = {"ours": None, "ci_low": None, "ci_high": None, "deviation": None, "seeds": 0, "n_images": 0}
    return row.model_dump(mode="json") | {"judge": judge} | (empty if results.empty else _newest(results))


def _newest(rows: pd.DataFrame) -> dict[str, Any]:
    keys = [*KEYS, "method_hash"]
    rows = rows[(rows[keys] == rows.iloc[-1][keys]).all(axis=1)].drop_duplicates("seed", keep="last")
    single, last = len(rows) == 1, rows.iloc[-1]
    return {
        "ours": float(rows["value"].mean()),
        "ci_low": float(last["ci_low"]) if single and pd.notna(last["ci_low"]) else None,
        "ci_high": float(last["ci_high"]) if single and pd.notna(last["ci_high"]) else None,
        "deviation": None if single else float(rows["value"].std()),
        "seeds": len(rows), "n_images": int(last["n_images"]),
    }  # fmt: skip
