"""Image-quality scores of all methods on one dataset: every source is decoded once."""

import shutil
from typing import Any

from fuse2task.bench.score_distributions import Scores, mean_scores, read_scores
from fuse2task.bench.workspace import Workspace
from fuse2task.data.fused import open_fused, verify_images
from fuse2task.results.tables import ResultsTable, identity, write_table
from fuse2task.runtime.files import write_json


def score(bench: Workspace, dataset: str) -> list[dict[str, Any]]:
    """Bring DIR/scores/<dataset>/<profile>.csv up to date; returns the new rows: the mean of every score, by condition.

    Methods whose scores are there, and in the results, are not scored again.
    """
    known, present = ResultsTable(bench.folder).identities(), read_scores(bench.scores(dataset))
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
        measured = mean_scores(merged[method], data.ids, data.conditions(), bench.recipe.intervals)
        results += measured.rows(abouts[method], bench.recipe.intervals)
    return results


def _write_summary(bench: Workspace, dataset: str, methods: list[str], rows: list[dict[str, str]]) -> None:
    """Definitions and means beside the table, as `fusion score` writes them."""
    from fusion.quality.profiles import find_profile
    from fusion.quality.scorer import summary

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
    for method in methods:
        verify_images(open_fused(bench.fused(dataset, method)), [data.part])
    score_folders(bench.score_sources(dataset), fused, scores.profile, out, scores.names, device=bench.device)
    found = read_scores(out)
    shutil.rmtree(work)
    return found
