"""The contents of a bench folder, read into tables and grouped; nothing is computed here."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fuse2task.results import schema
from fuse2task.results.entries import read_directions, read_entries, read_truths
from fuse2task.results.schema import ABOUT, CLEAN, VERDICTS, BenchFolder, significance_of
from fuse2task.results.tables import Group, ResultsTable, comparable_groups, read_frame
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.reading import MAX_YAML, one_line, parse_yaml, read_text
from fuse2task.tasks import Task, find_task, task_names

_CURVE = [*ABOUT, "method", "metric", "class"]


@dataclass(frozen=True)
class Contents:
    """A bench folder. Tables have the columns of `schema`: text as str ("" where missing), numbers as float (NaN).

    results are of datasets as they are; degraded copies of them are in conditions and robustness alone. directions:
    name of an image score -> whether higher is better, where the scores' definitions say so.
    """

    folder: Path
    results: pd.DataFrame
    comparisons: pd.DataFrame
    costs: pd.DataFrame
    correlations: pd.DataFrame
    openings: pd.DataFrame
    conditions: pd.DataFrame
    robustness: pd.DataFrame
    truths: dict[str, dict[str, Any]]
    ranking: list[dict[str, Any]]
    extremes: list[dict[str, Any]]
    published: list[dict[str, Any]]
    recipe: dict[str, Any]
    recipe_text: str
    directions: dict[str, bool]
    judges: list[dict[str, Any]] = field(default_factory=list)

    def truth_name(self, truth_hash: str) -> str:
        """What the recipe calls this truth; its hash where it calls it nothing, "" for no truth."""
        return str(self.truths.get(truth_hash, {}).get("name") or truth_hash)

    @cached_property
    def groups(self) -> list[Group]:
        """All groups of rows that may be compared."""
        return comparable_groups(self.results, self.comparisons, self.truths)

    @property
    def alpha(self) -> float:
        """The level below which a p value marks a difference."""
        return significance_of(self.recipe)


def read_contents(folder: Path) -> Contents:
    """Read the bench folder `folder`; everything but results.csv may be absent.

    RequestError: results.csv is missing or empty, or a file is not what it should be.
    """
    at = BenchFolder(Path(folder))
    if not at.table("results").is_file():
        raise RequestError(f"{folder}: no results.csv; run `fuse2task bench run RECIPE -o {folder}` first")
    results = ResultsTable(folder).read()
    results = results[results["kind"] == CLEAN["kind"]]
    if results.empty:
        raise RequestError(f"{at.table('results')}: no rows yet; let `fuse2task bench run` finish a job first")
    for name in results["task"].unique():
        _task(at.table("results"), name)
    text = read_text(at.recipe, "recipe", MAX_YAML) if at.recipe.is_file() else ""
    recipe = parse_yaml(text, f"{at.recipe}: not a readable recipe (YAML expected)")
    found: dict[str, Any] = {name: read_frame(at.table(name), columns) for name, columns in schema.TABLES.items()}
    _check_sweeps(at.root, found["conditions"], found["robustness"])
    found |= {name: read_entries(at.root, name) for name in ("ranking", "extremes", "judges", "published")}
    found |= {"recipe": recipe if isinstance(recipe, dict) else {}, "recipe_text": text}
    return Contents(at.root, results, truths=read_truths(at.root), directions=read_directions(at.root), **found)


def _task(path: Path, name: str) -> Task:
    if name not in task_names():
        raise RequestError(f"{path}: unknown task {one_line(name)!r}; known are {', '.join(task_names())}")
    return find_task(name)


def _check_sweeps(folder: Path, conditions: pd.DataFrame, robustness: pd.DataFrame) -> None:
    """Refuse a level that is no number, an unknown task, a judge without main metric, an area without its curve."""
    path, fix = folder / "robustness.csv", "run `fuse2task bench report` to rewrite it"
    if not np.isfinite(conditions["level"]).all():
        raise RequestError(f"{folder / 'conditions.csv'}: a row without level; {fix}")
    for column in ("levels", *VERDICTS):
        if not robustness[column].str.fullmatch(r"(\d( \d)*)?").all():
            raise RequestError(f"{path}: column {column} holds something other than levels; {fix}")
    for (task, judge), rows in robustness.groupby(["task", "judge"], sort=False):
        known = _task(path, str(task))
        if known.is_judged and not set(known.sweep_metrics) & set(rows[rows["class"] == "all"]["metric"]):
            raise RequestError(f"{path}: no main metric of task {task!r} by {judge!r}; {fix}")
    drawn = conditions[np.isfinite(conditions["value"])]
    curves = set(drawn[_CURVE].itertuples(index=False, name=None))
    for row in robustness[_CURVE].itertuples(index=False, name=None):
        if row not in curves:
            about = ", ".join(part for part in row if part)
            raise RequestError(f"{path}: conditions.csv has no curve for this area: {about}; {fix}")
