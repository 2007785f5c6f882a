"""comparisons.csv: every method against the baseline on the same images, corrected for how many were compared."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fuse2task.bench.measured import Distribution, Key, Measured, over_runs
from fuse2task.bench.recipe import Intervals
from fuse2task.bench.statistics.holm import holm
from fuse2task.bench.statistics.paired import compare as compare_pair
from fuse2task.results.groups import refuse_unlike
from fuse2task.results.schema import KEYS
from fuse2task.runtime.errors import RequestError

Load = Callable[[Mapping[Hashable, Any]], Measured]
"""The bootstrap distributions behind a method's rows (dataset, truth_hash, method, judge, seed)."""
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
        adjusted = holm([np.nan if row["p_value"] is None else row["p_value"] for row in table])
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
    found = compare_pair(a[0], b[0], intervals.level, intervals.seed)
    return {
        "difference": found.difference,
        "ci_low": found.interval and found.interval.low, "ci_high": found.interval and found.interval.high,
        "p_value": found.p_value, "smallest_detectable": found.smallest_detectable, "n_images": a[1],
        "seeds": found.seeds,
    }  # fmt: skip
