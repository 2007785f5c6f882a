"""The ledger of opened test splits: who looks at a test split, and how often, is on record."""

import pandas as pd

from fuse2task.bench.workspace import Workspace
from fuse2task.results.folder import BenchFolder
from fuse2task.results.schema import OPENINGS
from fuse2task.results.tables import ResultsTable, read_table, write_table


def record_openings(bench: Workspace) -> list[dict[str, str]]:
    """Bring openings.csv up to date: one row per recipe, dataset and opened split; returns all rows.

    evaluations: how many evaluations (method, judge, seed) this recipe has put into results.csv on that split.
    """
    path = bench.folder / "openings.csv"
    with BenchFolder(bench.folder).lock("openings"):
        results = ResultsTable(bench.folder).read()
        rows = {(row["run"], row["dataset"], row["split_hash"]): row for row in read_table(path, OPENINGS)}
        for name in bench.datasets:
            data = bench.dataset(name)
            if not (data.opened and data.truths and bench.judges_of(name)):
                continue
            split_hash, truth_hash = bench.evaluated_hash(data), data.truths[0].hash
            row = {"run": bench.recipe.id, "dataset": name, "split": data.part, "split_hash": split_hash,
                   "truth_hash": truth_hash}  # fmt: skip
            before = rows.get((bench.recipe.id, name, split_hash), {"evaluations": "0"})
            # Rows taken out of the results do not take back that somebody has looked.
            count = max(_evaluations(results, row), int(before["evaluations"]))
            if count:
                rows[bench.recipe.id, name, split_hash] = row | {"evaluations": str(count)}
        if rows:
            write_table(path, OPENINGS, rows.values())
    return list(rows.values())


def _evaluations(found: pd.DataFrame, row: dict[str, str]) -> int:
    for key in (key for key in row if key != "split"):
        found = found[found[key] == row[key]]
    return len(found[["method", "method_hash", "judge", "judge_hash", "recipe_hash", "seed"]].drop_duplicates())
