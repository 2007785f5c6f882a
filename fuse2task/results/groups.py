"""Groups of rows that may be compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fuse2task.results.schema import KEYS
from fuse2task.runtime.errors import RequestError


@dataclass(frozen=True)
class Group:
    """Rows that agree in all of `KEYS`: they may be ranked together, and with no others.

    results, comparisons: the rows with these keys, in file order; of a method in several versions those written last.
    truth: name of the truth, "" without one. primary: whether results are reported by this truth first.
    """

    keys: dict[str, str]
    truth: str
    primary: bool
    results: pd.DataFrame
    comparisons: pd.DataFrame

    @property
    def title(self) -> str:
        """Dataset, task, protocol, judge and truth in words; judge is the profile for image scores."""
        keys = self.keys
        parts = [keys["dataset"], keys["task"], " ".join(part for part in (keys["protocol"], keys["judge"]) if part)]
        return " · ".join([part for part in parts if part] + ([f"truth {self.truth}"] if self.truth else []))


def comparable_groups(
    results: pd.DataFrame, comparisons: pd.DataFrame | None = None,
    truths: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Group]:  # fmt: skip
    """All groups, in the order of the rows of results.csv.

    truths: content of truths.json; a truth that it does not name is called by its hash and counts as primary.
    """
    pairs = pd.DataFrame(columns=["a", "b", *KEYS]) if comparisons is None else comparisons
    paired, truths = dict(iter(pairs.groupby(list(KEYS), sort=False))), truths or {}
    groups = []
    for values, rows in results.groupby(list(KEYS), sort=False):
        keys = dict(zip(KEYS, map(str, values), strict=True))
        truth = truths.get(keys["truth_hash"], {})
        name = str(truth.get("name") or keys["truth_hash"])
        newest = rows.groupby("method")["method_hash"].transform("last")
        own = rows[rows["method_hash"] == newest]
        groups.append(Group(
            keys, name, bool(truth.get("primary", True)),
            own.drop_duplicates(["method", "seed", "metric", "class", "condition"], keep="last"),
            paired.get(values, pairs.iloc[:0]).drop_duplicates(
                [name for name in ("a", "b", "metric", "class", "condition") if name in pairs], keep="last"
            ),
        ))  # fmt: skip
    return groups


def refuse_unlike(results: pd.DataFrame) -> None:
    """Raise RequestError where rows differ in a key that decides whether they can be compared."""
    if results.empty:
        raise RequestError("no rows to compare; let `fuse2task bench run` finish an evaluation first")
    differing = [key for key in KEYS if results[key].nunique() > 1]
    if differing:
        values = "; ".join(f"{key}: {', '.join(map(str, results[key].unique()))}" for key in differing)
        raise RequestError(
            f"these rows cannot be compared, they differ in {', '.join(differing)} ({values}); "
            "compare rows of one dataset, truth, judge and recipe"
        )
