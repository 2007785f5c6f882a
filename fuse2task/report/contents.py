"""What a bench folder holds, read into tables; nothing is computed here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import read_json

RESULTS = (
    "run", "dataset", "split_hash", "truth_hash", "image_size", "color", "method", "method_hash", "task", "protocol",
    "judge", "judge_hash", "recipe_hash", "seed", "metric", "class", "condition", "value", "ci_low", "ci_high",
    "ci_method", "n_images", "versions_hash",
)  # fmt: skip
KIND = "kind"  # of degradation; tables from before there were conditions lack it
COMPARISONS = (
    "a", "b", "run", "dataset", "split_hash", "truth_hash", "image_size", "color", "task", "protocol", "judge",
    "judge_hash", "recipe_hash", "metric", "class", "condition", "difference", "ci_low", "ci_high", "p_value",
    "p_holm", "smallest_detectable", "n_images", "seeds",
)  # fmt: skip
ABOUT = ("dataset", "kind", "color", "image_size", "task", "protocol", "judge", "judge_hash", "recipe_hash")
AGAINST = ("best_single", "difference", "difference_low", "difference_high", "p_value", "p_holm")
CONDITIONS = (*ABOUT, "level", "method", "metric", "class", "value", "ci_low", "ci_high", *AGAINST, "verdict",
              "n_images", "seeds")  # fmt: skip
ROBUSTNESS = (*ABOUT, "levels", "method", "metric", "class", "area", "ci_low", "ci_high", "drop", "drop_low",
              "drop_high", *AGAINST, "above", "not_told_apart", "below", "n_images", "seeds")  # fmt: skip
COSTS = ("method", "parameters", "GMAC", "ms", "peak_memory", "device")
CORRELATIONS = (
    "dataset", "profile", "score", "task", "judge", "metric", "truth_hash", "spearman", "spearman_p", "kendall",
    "kendall_p", "methods",
)  # fmt: skip
OPENINGS = ("run", "dataset", "split", "split_hash", "truth_hash", "evaluations")
NUMBERS = {
    "value", "ci_low", "ci_high", "n_images", "difference", "p_value", "p_holm", "smallest_detectable", "parameters",
    "GMAC", "ms", "peak_memory", "spearman", "spearman_p", "kendall", "kendall_p", "evaluations", "methods", "area",
    "drop", "drop_low", "drop_high", "difference_low", "difference_high", "level",
}  # fmt: skip


@dataclass(frozen=True)
class Contents:
    """A bench folder. Tables have the columns named above: text as str ("" where missing), numbers as float (NaN).

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
    results = _table(folder / "results.csv", RESULTS, KIND)
    results = results[results[KIND] == ""] if KIND in results else results
    if results.empty:
        raise RequestError(f"{folder / 'results.csv'}: no rows yet; let `fuse2task bench run` finish a job first")
    recipe_text, recipe = _recipe(folder / "recipe.yaml")
    return Contents(
        folder,
        results,
        comparisons=_table(folder / "comparisons.csv", COMPARISONS),
        costs=_table(folder / "costs.csv", COSTS),
        correlations=_table(folder / "correlations.csv", CORRELATIONS),
        openings=_table(folder / "openings.csv", OPENINGS),
        conditions=_table(folder / "conditions.csv", CONDITIONS),
        robustness=_table(folder / "robustness.csv", ROBUSTNESS),
        truths=_json(folder / "truths.json", dict),
        ranking=_json(folder / "ranking.json", list),
        extremes=_json(folder / "extremes.json", list),
        published=_json(folder / "published.json", list),
        recipe=recipe,
        recipe_text=recipe_text,
        directions=_directions(folder / "scores"),
    )


def _table(path: Path, columns: tuple[str, ...], optional: str = "") -> pd.DataFrame:
    if not path.is_file():
        return _typed(pd.DataFrame(columns=list(columns), dtype=str))
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (ValueError, OSError) as error:  # pandas' parser errors and UnicodeDecodeError are ValueErrors
        raise RequestError(f"{path}: not a readable CSV table: {error}") from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise RequestError(f"{path}: no column {', '.join(missing)}; was it written by another version? Run it again")
    return _typed(table[[*columns, *(name for name in (optional,) if name in table.columns)]])


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    for name in table.columns:
        if name in NUMBERS:
            table[name] = pd.to_numeric(table[name], errors="coerce").astype(float)
    return table


def _json(path: Path, kind: type) -> Any:
    if not path.is_file():
        return kind()
    value = read_json(path, "file of the bench")
    if not isinstance(value, kind):
        raise RequestError(f"{path}: a JSON {kind.__name__} expected; run `fuse2task bench report` again to rewrite it")
    return value


def _directions(folder: Path) -> dict[str, bool]:
    directions = {}
    for path in sorted(folder.glob("*/*.json")):
        for name, definition in _json(path, dict).get("definitions", {}).items():
            directions[name] = definition.get("better") == "higher"
    return directions


def _recipe(path: Path) -> tuple[str, dict[str, Any]]:
    import yaml

    if not path.is_file():
        return "", {}
    try:
        text = path.read_text("utf-8")
        value = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RequestError(f"{path}: not a readable recipe: {error}") from None
    return text, value if isinstance(value, dict) else {}
