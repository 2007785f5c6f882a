"""What a bench folder holds, read into tables; nothing is computed here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fuse2task.report.columns import (
    COMPARISONS,
    CONDITIONS,
    CORRELATIONS,
    COSTS,
    OLD_RESULTS,
    OPENINGS,
    ROBUSTNESS,
    TO_BASELINE,
)
from fuse2task.report.entries import read_directions, read_extremes, read_published, read_rankings, read_truths
from fuse2task.report.sweep_tables import check_sweeps
from fuse2task.runtime.csv_reading import read_csv
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.reading import one_line, read_text
from fuse2task.runtime.yaml_reading import MAX_BYTES, parse_yaml

KIND = "kind"  # of degradation; tables from before there were conditions lack it
NUMBERS = {
    "value", "ci_low", "ci_high", "n_images", "difference", "p_value", "p_holm", "smallest_detectable", "parameters",
    "GMAC", "ms", "peak_memory", "spearman", "spearman_p", "kendall", "kendall_p", "evaluations", "methods", "area",
    "drop", "drop_low", "drop_high", "difference_low", "difference_high", "level", *TO_BASELINE[1:],
}  # fmt: skip


@dataclass(frozen=True)
class Contents:
    """A bench folder. Tables have the columns of `columns`: text as str ("" where missing), numbers as float (NaN).

    results are of datasets as they are; degraded copies of them are in conditions and robustness alone.

    directions: name of an image score -> whether higher is better, where the scores' definitions say so.
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

    def truth_name(self, truth_hash: str) -> str:
        """What the recipe calls this truth; its hash where it calls it nothing, "" for no truth."""
        return str(self.truths.get(truth_hash, {}).get("name") or truth_hash)

    def is_primary(self, truth_hash: str) -> bool:
        """Whether results are told by this truth first; also where the folder says nothing about it."""
        return bool(self.truths.get(truth_hash, {}).get("primary", True))


def read_contents(folder: Path) -> Contents:
    """Read the bench folder `folder`; everything but results.csv may be absent.

    Raises:
        RequestError: results.csv is missing or empty, or a file is not what it should be.
    """
    folder = Path(folder)
    if not (folder / "results.csv").is_file():
        raise RequestError(f"{folder}: no results.csv; run `fuse2task bench run RECIPE -o {folder}` first")
    results = _table(folder / "results.csv", OLD_RESULTS, KIND)
    results = results[results[KIND] == ""] if KIND in results else results
    if results.empty:
        raise RequestError(f"{folder / 'results.csv'}: no rows yet; let `fuse2task bench run` finish a job first")
    conditions, robustness = (
        _table(folder / f"{name}.csv", columns)
        for name, columns in (("conditions", CONDITIONS), ("robustness", ROBUSTNESS))
    )
    check_sweeps(folder, conditions, robustness)
    recipe_text, recipe = _recipe(folder / "recipe.yaml")
    return Contents(
        folder,
        results,
        comparisons=_table(folder / "comparisons.csv", COMPARISONS),
        costs=_table(folder / "costs.csv", COSTS),
        correlations=_table(folder / "correlations.csv", CORRELATIONS),
        openings=_table(folder / "openings.csv", OPENINGS),
        conditions=conditions,
        robustness=robustness,
        truths=read_truths(folder),
        ranking=read_rankings(folder),
        extremes=read_extremes(folder),
        published=read_published(folder),
        recipe=recipe,
        recipe_text=recipe_text,
        directions=read_directions(folder),
    )


def _table(path: Path, columns: tuple[str, ...], optional: str = "") -> pd.DataFrame:
    if not path.is_file():
        return _typed(pd.DataFrame(columns=list(columns), dtype=str), path)
    head, rows = read_csv(path)
    table = pd.DataFrame(rows, columns=list(head), dtype=str)
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise RequestError(f"{path}: no column {', '.join(missing)}; was it written by another version? Run it again")
    return _typed(table[[*columns, *(name for name in (optional,) if name in table.columns)]], path)


def _typed(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    for name in table.columns:
        if name in NUMBERS:
            texts, table[name] = table[name], pd.to_numeric(table[name], errors="coerce").astype(float)
            wrong = texts[~np.isfinite(table[name]) & ~texts.isin(["", "nan"])]
            if not wrong.empty:
                raise RequestError(
                    f"{path}: column {name}: {one_line(wrong.iloc[0], 40)!r} is no number; mend or remove the row"
                )
    return table


def _recipe(path: Path) -> tuple[str, dict[str, Any]]:
    if not path.is_file():
        return "", {}
    text = read_text(path, "recipe", MAX_BYTES)
    value = parse_yaml(text, f"{path}: not a readable recipe (YAML expected)")
    return text, value if isinstance(value, dict) else {}
