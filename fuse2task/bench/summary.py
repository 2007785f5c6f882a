"""Everything that follows from a bench folder's results: comparisons, rankings, correlations, extremes, sweeps."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fuse2task.bench import analysis
from fuse2task.bench.measured import Measured
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.bench.sweeps import write_sweeps
from fuse2task.data.fused import open_fused
from fuse2task.results.entries import read_truths
from fuse2task.results.folder import BenchFolder, suffixed
from fuse2task.results.groups import comparable_groups
from fuse2task.results.schema import CLEAN, COMPARISONS, CORRELATIONS, SINGLE, significance
from fuse2task.results.tables import ResultsTable, identity, write_table
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import read_json, remove_halves, write_json
from fuse2task.runtime.progress import say
from fuse2task.tasks import find_task

Row = Mapping[Hashable, Any]


def summarise(folder: Path, recipe: BenchRecipe) -> None:
    """Write comparisons.csv, correlations.csv, ranking.json, extremes.json and published.json, and of sweeps over
    conditions conditions.csv and robustness.csv.

    Needs nothing outside the folder. Degraded copies are in the last two alone.

    Rows whose distributions have been replaced by those of another recipe, judge or truth are left out.
    """
    at = BenchFolder(folder)
    with at.lock("summary"):
        summary = Summary(at, recipe)
        write_table(at.table("comparisons"), COMPARISONS, summary.comparisons)
        write_table(at.table("correlations"), CORRELATIONS, summary.correlations)
        write_sweeps(at, recipe, summary.results, summary.truths, summary.load)
        published = analysis.beside_published(summary.results, summary.truths, recipe)
        for name, value in {
            "ranking": summary.ranking, "extremes": summary.extremes, "published": published,
        }.items():  # fmt: skip
            remove_halves(at.entries(name))
            write_json(at.entries(name), value)
    say(f"{folder}: {len(summary.comparisons)} comparisons in {len(summary.groups)} tables")


class Summary:
    """What is computed from the results in `folder`, table by table of comparable rows."""

    def __init__(self, at: BenchFolder, recipe: BenchRecipe):
        self.at, self.recipe = at, recipe
        self.methods = [method.name for method in recipe.methods]
        self.truths = read_truths(at.root)
        self.comparisons: list[dict[str, Any]] = []
        self.ranking: list[dict[str, Any]] = []
        self.extremes: list[dict[str, Any]] = []
        self.results = ResultsTable(at.root).read()
        if missing := set(self.results["truth_hash"]) - {"", *self.truths}:
            raise RequestError(f"{at.entries('truths')}: says nothing about truth {min(missing)} of results.csv; "
                               "`fuse2task bench run` writes it again")  # fmt: skip
        clean = self.results[self.results["kind"] == CLEAN["kind"]]
        tables = [group.results for group in comparable_groups(clean) if find_task(group.keys["task"]).is_judged]
        self.groups = [rows for rows in map(self._current, tables) if not rows.empty]
        for rows in self.groups:
            self._add(rows)
        self.correlations = analysis.correlations(clean, self.groups)

    def _current(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of the recipe's methods whose distributions lie in the folder; none without the baseline."""
        keys = ["method", "seed"]
        first = rows.drop_duplicates(keys)
        found = {(row["method"], row["seed"]) for row in first.to_dict("records") if self.load(row) is not None}
        known = [pair in found and pair[0] in self.methods for pair in zip(rows["method"], rows["seed"], strict=True)]
        rows = rows[known]
        return rows if self.recipe.baseline in set(rows["method"]) else rows.iloc[:0]

    def _add(self, rows: pd.DataFrame) -> None:
        baseline = self.recipe.baseline
        loaded: dict[Path, Measured] = {}

        def load(row: Row) -> Measured:  # once, for all that is compared in this table
            path = self._file(row, "replicates.npz")
            if path not in loaded:
                loaded[path] = self._loaded(row)
            return loaded[path]

        # Besides the chosen baseline the single cameras: whether fusing is worth it at all is asked of these.
        for other in dict.fromkeys((baseline, *SINGLE)):
            if other in set(rows["method"]):
                self.comparisons += analysis.compare(rows, load, other, self.recipe.intervals, self.methods)
        about = rows.iloc[0].to_dict()
        scores = self._scores_of_images(rows)
        if ranking := analysis.ranking(about, scores, significance(self.recipe.intervals.level)):
            self.ranking.append(ranking)
        self.extremes += analysis.extremes(about, scores, baseline, self._ids(about, len(scores[about["method"]])))

    def _ids(self, about: Row, count: int) -> list[str]:
        """Ids of the evaluated images, which must be `count`."""
        record = self._folder(about) / "predicted.json"
        predicted = read_json(record, "record of predictions")
        part = predicted.get("split") if isinstance(predicted, dict) else None
        if not isinstance(part, str):
            raise RequestError(f"{record}: names no split; remove it, and let `fuse2task bench run` predict again")
        root = self.at.fused(about["dataset"], about["method"])
        ids = open_fused(root).ids(part)
        if len(ids) != count:
            raise RequestError(f"{root / 'manifest.json'}: {len(ids)} images of split {part}, of which {count} were "
                               "evaluated; remove the folder, and let `fuse2task bench run` fuse again")  # fmt: skip
        return ids

    def _scores_of_images(self, rows: pd.DataFrame) -> dict[str, np.ndarray]:
        task = find_task(rows.iloc[0]["task"])
        found = {}
        for method in (name for name in self.methods if name in set(rows["method"])):
            own = rows[rows["method"] == method].drop_duplicates("seed")
            of_seeds = [task.image_values(self._file(row, "matches.npz")) for row in own.to_dict("records")]
            found[method] = np.mean(of_seeds, axis=0)
        return found

    def load(self, row: Row) -> Measured | None:
        """The distributions behind a row; None where the folder has none, or those of other rows."""
        texts = {str(key): "" if value is None else str(value) for key, value in row.items()}
        return Measured.load(self._file(row, "replicates.npz"), identity(texts))

    def _loaded(self, row: Row) -> Measured:
        found = self.load(row)
        assert found is not None
        return found

    def _file(self, row: Row, name: str) -> Path:
        truth = self.truths[row["truth_hash"]]
        return self._folder(row) / suffixed(name, truth["name"], truth["primary"])

    def _folder(self, row: Row) -> Path:
        return self.at.predictions(row["dataset"], row["method"], row["judge"], row["seed"])
