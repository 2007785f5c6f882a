"""Doing a job, in whatever process an engine puts it."""

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from fuse2task.bench.plan import Job
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.bench.workspace import Workspace


class Result(NamedTuple):
    """What a job gives back: rows of the results table, and the seconds it took."""

    rows: list[dict[str, Any]]
    seconds: float


def do(bench: Workspace, job: Job) -> Result:
    """Do one job; its files go into the bench folder, its rows to whoever asked."""
    started = time.monotonic()
    rows: list[dict[str, Any]] = []
    if job.kind == "degrade":
        from fuse2task.bench.jobs.degrade import degrade

        degrade(bench, job.dataset)
    elif job.kind == "fuse":
        from fuse2task.bench.jobs.fuse import fuse

        fuse(bench, job.dataset, job.method)
    elif job.kind == "cost":
        from fuse2task.bench.costs import measure_cost, write_cost

        write_cost(bench.folder, measure_cost(bench, job.dataset, job.method))
    elif job.kind == "score":
        from fuse2task.bench.jobs.score import score

        rows = score(bench, job.dataset)
    elif job.kind == "train":
        from fuse2task.bench.jobs.train import train

        assert job.seed is not None
        train(bench, job.dataset, job.method, job.judge, job.seed)
    else:
        from fuse2task.bench.jobs.evaluate import evaluate

        rows = evaluate(bench, job.dataset, job.method, job.judge, job.seed)
    return Result(rows, time.monotonic() - started)


_loaded: dict[str, Workspace] = {}


def do_elsewhere(recipe: dict[str, Any], folder: str, device: str, here: str, job: Job) -> Result:
    """`do` in another process, with relative paths from `here`; what a recipe refers to is loaded once in each."""
    os.chdir(here)
    checked = BenchRecipe.model_validate(recipe)
    key = f"{checked.id} {folder} {device}"
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = Workspace(checked, Path(folder), device)
    return do(_loaded[key], job)
