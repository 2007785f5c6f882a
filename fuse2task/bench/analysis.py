"""Analysis of comparable tables: paired comparisons, rankings, correlations, extreme images, published numbers."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fuse2task.bench.measured import Distribution, Measured, over_runs
from fuse2task.bench.recipe import BenchRecipe, Intervals, PublishedRow
from fuse2task.bench.statistics import tests
from fuse2task.results.groups import refuse_unlike
from fuse2task.results.schema import KEYS
from fuse2task.runtime.errors import RequestError
from fuse2task.tasks import Key, find_task, task_names

EXTREMES = 5  # images listed at either end
Load = Callable[[Mapping[Hashable, Any]], Measured]
"""The bootstrap distributions behind a method's rows (dataset, truth_hash, method, judge, seed)."""
About = Mapping[Hashable, Any]
_Loaded = tuple[Distribution, int]


def compare(
    results: pd.DataFrame, load: Load, baseline: str, intervals: Intervals, methods: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Each method minus the baseline, in one table of comparable rows.

    Images are paired: both methods have the same bootstrap weights. Over several seeds the difference is that of
    the means, and its interval covers images and seeds. Holm's correction is over the methods, for each metric,
    class and condition by itself.

    Args:
        results: rows of results.csv that agree in all of `KEYS`.
        load: gives the distributions of one method and seed.
        baseline: the method that the others are compared with.
        methods: the order of methods; by default that of the rows.

    Returns:
        Rows of comparisons.csv.

    Raises:
        RequestError: rows whose keys differ (the message says which), no baseline among them, or a method
            whose seeds are not the baseline's.
    """
    refuse_unlike(results)
    present = list(dict.fromkeys(results["method"]))
    order = [name for name in methods or present if name in present]
    if baseline not in present:
        raise RequestError(f"no rows of the baseline {baseline}; there are {', '.join(present)}; choose one of them")
    seeds = {name: sorted(set(results[results["method"] == name]["seed"])) for name in order}
    for name, own in seeds.items():
        if own != seeds[baseline]:
            raise RequestError(
                f"cannot compare {name} with {baseline}: seeds {', '.join(own)} and {', '.join(seeds[baseline])} "
                "differ; let the run finish"
            )
    loaded = {name: _load_seeds(results, name, seeds[name], load) for name in order}
    common = {key: results.iloc[0][key] for key in ("run", *KEYS)}
    found: dict[Key, list[dict[str, Any]]] = {}
    for name in order:
        if name == baseline:
            continue
        for key in loaded[baseline]:
            if key in loaded[name]:
                row = _compared(loaded[name][key], loaded[baseline][key], intervals)
                found.setdefault(key, []).append({
                    "a": name, "b": baseline, **common, **dict(zip(("metric", "class", "condition"), key, strict=True)),
                    **row,
                })  # fmt: skip
    rows = []
    for table in found.values():
        adjusted = tests.holm([np.nan if row["p_value"] is None else row["p_value"] for row in table])
        rows += [row | {"p_holm": p} for row, p in zip(table, adjusted.tolist(), strict=True)]
    return sorted(rows, key=lambda row: order.index(row["a"]))


def _load_seeds(results: pd.DataFrame, method: str, seeds: Sequence[str], load: Load) -> dict[Key, _Loaded]:
    """Numbers that every seed has: their distributions, and from how many images they are."""
    rows = results[results["method"] == method]
    measured = [load(rows[rows["seed"] == seed].iloc[0].to_dict()) for seed in seeds]
    return {
        key: (over_runs(measured, key), int(images))
        for key, images in zip(measured[0].keys, measured[0].images, strict=True)
        if all(key in item.keys for item in measured)
    }


def _compared(a: _Loaded, b: _Loaded, intervals: Intervals) -> dict[str, Any]:
    found = tests.compare(a[0], b[0], intervals.level, intervals.seed)
    return {
        "difference": found.difference,
        "ci_low": found.interval and found.interval.low, "ci_high": found.interval and found.interval.high,
        "p_value": found.p_value, "smallest_detectable": found.smallest_detectable, "n_images": a[1],
        "seeds": found.seeds,
    }  # fmt: skip


def ranking(about: About, scores: Mapping[str, np.ndarray], alpha: float) -> dict[str, Any] | None:
    """Friedman's test and Nemenyi's critical difference with images as blocks; None below five methods.

    Args:
        about: dataset, task, judge, truth_hash.
        scores: method -> its number on every image, (I,), mean over seeds; NaN where undefined.
        alpha: level of the critical difference.
    """
    if len(scores) < tests.MINIMUM_METHODS:
        return None
    found = tests.rank(np.stack(list(scores.values()), axis=1), alpha)
    if found is None:
        return None
    return {
        **_named(about), "truth_hash": about["truth_hash"], "methods": list(scores), "ranks": found.ranks.tolist(),
        "p_value": found.p_value, "critical_difference": found.critical_difference, "blocks": "images",
        "n": found.blocks,
    }  # fmt: skip


def extremes(about: About, scores: Mapping[str, np.ndarray], baseline: str, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The images on which each method wins most over the baseline, and those on which it loses most.

    Args and numbers as in `ranking`; ids: of the images in order.
    """
    rows = []
    for method in scores:
        if method == baseline:
            continue
        away = scores[method] - scores[baseline]
        order = [int(index) for index in np.argsort(-away, kind="stable") if np.isfinite(away[index])]
        wins = [index for index in order[:EXTREMES] if away[index] > 0]
        losses = [index for index in order[::-1][:EXTREMES] if away[index] < 0]
        rows += [
            {**_named(about), "truth_hash": about["truth_hash"], "a": method, "b": baseline, "image": ids[index],
             "difference": float(away[index])}
            for index in wins + losses
        ]  # fmt: skip
    return rows


def correlations(results: pd.DataFrame, groups: Sequence[pd.DataFrame]) -> list[dict[str, Any]]:
    """Rank correlation over methods of every image score's mean with every metric that is a mean over classes.

    Args:
        results: all rows.
        groups: the comparable tables of task metrics.
    """
    rows = []
    judged = [name for name in task_names() if find_task(name).is_judged]
    quality = results[~results["task"].isin(judged) & (results["condition"] == "all")]
    for group in groups:
        about = group.iloc[0]
        means = group[(group["class"] == "all") & (group["condition"] == "all")]
        near = quality[(quality["dataset"] == about["dataset"]) & (quality["split_hash"] == about["split_hash"])]
        metrics = means.pivot_table("value", "method", "metric", "mean", sort=False)
        for (profile, score), part in near.groupby(["judge", "metric"], sort=False):
            values = part.drop_duplicates("method", keep="last").set_index("method")["value"]
            for metric in metrics.columns:
                found = tests.rank_correlation(values.reindex(metrics.index).to_numpy(), metrics[metric].to_numpy())
                rows.append({
                    "dataset": about["dataset"], "profile": profile, "score": score, "task": about["task"],
                    "judge": about["judge"], "metric": metric, "truth_hash": about["truth_hash"],
                    "spearman": found.spearman, "spearman_p": found.spearman_p, "kendall": found.kendall,
                    "kendall_p": found.kendall_p, "methods": found.methods,
                })  # fmt: skip
    return rows


def _named(about: About) -> dict[str, str]:
    named = {key: str(about[key]) for key in ("dataset", "task", "judge")}
    return named | {"metric": find_task(named["task"]).image_metric}


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
