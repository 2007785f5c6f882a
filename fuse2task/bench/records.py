"""Records beside the results: truths.json, further truths, and openings.csv, the ledger of opened test splits."""

from collections.abc import Sequence
from typing import Any

from fuse2task.bench.workspace import Workspace
from fuse2task.data.truth.coco import coco_truth
from fuse2task.results.entries import read_truths
from fuse2task.results.schema import OPENINGS, source_of
from fuse2task.results.tables import read_table, write_table
from fuse2task.runtime.files import remove_halves, remove_leftovers, write_json


def record_truths(bench: Workspace, datasets: Sequence[str]) -> None:
    """Bring truths.json and DIR/truth up to date for these datasets, as far as their files are there."""
    with bench.at.lock("truths"):
        path = bench.at.entries("truths")
        remove_halves(path)
        remove_leftovers(bench.at.truth)
        known: dict[str, Any] = read_truths(bench.folder)
        for name in datasets:
            data = bench.dataset(name)
            for truth in data.truths if data.ready else ():
                # A copy whose truth stayed where it was shares the hash; it is described as the first one's.
                if name == source_of(name) or truth.hash not in known:
                    known[truth.hash] = truth.describe(name)
                if not truth.primary and truth.boxes is not None:
                    write_json(bench.at.further_truth(name, truth.name, data.part),
                               coco_truth(data.evaluated, truth.boxes))  # fmt: skip
        write_json(path, known)


def record_openings(bench: Workspace) -> list[dict[str, str]]:
    """Bring openings.csv up to date: one row per recipe, dataset and opened split; returns all rows.

    evaluations: how many evaluations (method, judge, seed) this recipe has put into results.csv on that split.
    """
    path = bench.at.table("openings")
    with bench.at.lock("openings"):
        before = read_table(path, OPENINGS)
        rows = {(row["run"], row["dataset"], row["split_hash"]): row for row in before}
        for name in bench.datasets:
            data = bench.dataset(name)
            if not (data.opened and data.truths and bench.judges_of(name)):
                continue
            row = {"run": bench.recipe.id, "dataset": name, "split": data.part, "split_hash": data.split_hash,
                   "truth_hash": data.truths[0].hash}  # fmt: skip
            known = rows.get((bench.recipe.id, name, data.split_hash), {"evaluations": "0"})
            # Rows taken out of the results do not take back that somebody has looked.
            count = max(_evaluations(bench, row), int(known["evaluations"]))
            if count:
                rows[bench.recipe.id, name, data.split_hash] = row | {"evaluations": str(count)}
        if list(rows.values()) != before:
            write_table(path, OPENINGS, rows.values())
    return list(rows.values())


def _evaluations(bench: Workspace, row: dict[str, str]) -> int:
    wanted = {key: value for key, value in row.items() if key != "split"}
    named = ("method", "method_hash", "judge", "judge_hash", "recipe_hash", "seed")
    return len({
        tuple(found[key] for key in named)
        for found in bench.table.rows() if all(found[key] == value for key, value in wanted.items())
    })  # fmt: skip
