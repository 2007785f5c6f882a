"""Image-quality scores of all methods on one dataset: every source is decoded once."""

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fuse2task.bench.measured import Values, measure
from fuse2task.bench.table import ResultsTable, identity, write_table
from fuse2task.bench.workspace import Workspace
from fuse2task.runtime.files import write_json

Scores = Mapping[str, list[dict[str, str]]]
"""Method -> its rows of the table of scores, as texts."""


def score(bench: Workspace, dataset: str) -> list[dict[str, Any]]:
    """Bring DIR/scores/<dataset>/<profile>.csv up to date; returns the new rows: the mean of every score, by condition.

    Methods whose scores are there, and in the results, are not scored again.
    """
    known, present = ResultsTable(bench.folder).identities(), _read(bench.scores(dataset))
    methods = [method.name for method in bench.recipe.methods]
    abouts = {method: bench.about_scores(dataset, method) for method in methods}
    missing = [name for name in methods if identity(abouts[name]) not in known or name not in present]
    merged = {**present, **_scored(bench, dataset, missing)}
    rows = [row for name in methods for row in merged[name]]
    write_table(bench.scores(dataset), list(rows[0]), rows)
    _write_summary(bench, dataset, methods, rows)

    data = bench.dataset(dataset)
    results: list[dict[str, Any]] = []
    for method in missing:
        by_id = {row["image"]: row for row in merged[method]}
        names = [name for name in rows[0] if name not in ("method", "image")]
        columns = {name: np.array([float(by_id[key][name] or "nan") for key in data.ids]) for name in names}

        def values(mask: np.ndarray, weights: np.ndarray, columns: dict[str, np.ndarray] = columns) -> Values:
            return {(name, "all", ""): _mean(column[mask], weights) for name, column in columns.items()}

        measured = measure(data.conditions(), bench.recipe.intervals, values)
        results += measured.rows(abouts[method], bench.recipe.intervals)
    return results


def _write_summary(bench: Workspace, dataset: str, methods: list[str], rows: list[dict[str, str]]) -> None:
    """Definitions and means beside the table, as `fusion score` writes them."""
    from fusion.quality.profiles import find_profile
    from fusion.quality.score_tables import summary

    assert bench.recipe.scores is not None
    profile = find_profile(bench.recipe.scores.profile)
    chosen = profile.chosen(bench.recipe.scores.names)
    found = {
        (row["method"], row["image"]): {score.name: float(row[score.name] or "nan") for score in chosen} for row in rows
    }
    write_json(bench.scores(dataset).with_suffix(".json"), summary(profile, methods, chosen, found), sort_keys=False)


def _scored(bench: Workspace, dataset: str, methods: list[str]) -> Scores:
    """Score these methods, in a folder that a killed run leaves to the next one."""
    from fusion.quality.scorer import score_folders

    data, scores, whole = bench.dataset(dataset), bench.recipe.scores, bench.scores(dataset)
    assert scores is not None
    work = whole.with_name(f".{whole.stem}")
    out = work / whole.name
    fused = {method: bench.fused(dataset, method) / "images" / data.part for method in methods}
    score_folders(bench.score_sources(dataset), fused, scores.profile, out, scores.names, device=bench.device)
    found = _read(out)
    shutil.rmtree(work)
    return found


def _read(path: Path) -> Scores:
    if not path.is_file():
        return {}
    found: dict[str, list[dict[str, str]]] = {}
    with path.open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            found.setdefault(row["method"], []).append(row)
    return found


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    defined = np.isfinite(values)
    total = weights[:, defined].sum(axis=1)
    sums = weights[:, defined] @ values[defined]
    return np.divide(sums, total, out=np.full(len(weights), np.nan), where=total > 0)
