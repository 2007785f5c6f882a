"""Tables of image scores in a bench folder: reading one, and the bootstrap distributions of its means."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fuse2task.bench.measured import Measured, Values, measure
from fuse2task.bench.recipe import Intervals

Scores = Mapping[str, list[dict[str, str]]]
"""Method -> its rows of the table of scores, as texts."""


def read_scores(path: Path) -> Scores:
    """The rows of a table of scores by method; nothing where there is no file."""
    if not path.is_file():
        return {}
    found: dict[str, list[dict[str, str]]] = {}
    with path.open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            found.setdefault(row["method"], []).append(row)
    return found


def mean_scores(
    rows: list[dict[str, str]], ids: list[str], conditions: Mapping[str, np.ndarray], intervals: Intervals
) -> Measured:
    """Means of one method's scores over the images, by condition.

    Args:
        rows: of that method. ids: of the images (I,), in the order of the weights.
        conditions: condition -> (I,) bool.
    """
    by_id = {row["image"]: row for row in rows}
    names = [name for name in rows[0] if name not in ("method", "image")]
    columns = {name: np.array([float(by_id[key][name] or "nan") for key in ids]) for name in names}

    def values(mask: np.ndarray, weights: np.ndarray) -> Values:
        return {(name, "all", ""): _mean(column[mask], weights) for name, column in columns.items()}

    return measure(conditions, intervals, values)


def score_distributions(path: Path, intervals: Intervals) -> dict[str, Measured]:
    """Method -> the means of its scores over all images of a table."""
    found = {}
    for method, rows in read_scores(path).items():
        ids = sorted(row["image"] for row in rows)
        found[method] = mean_scores(rows, ids, {"all": np.ones(len(ids), bool)}, intervals)
    return found


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    defined = np.isfinite(values)
    total = weights[:, defined].sum(axis=1)
    sums = weights[:, defined] @ values[defined]
    return np.divide(sums, total, out=np.full(len(weights), np.nan), where=total > 0)
