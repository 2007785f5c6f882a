"""Published numbers beside ours, as a sentence and as a table, in the unit in which they were published."""

from collections.abc import Mapping, Sequence
from typing import Any

from fuse2task.report.tables import Cell, Table, name_cell

SUFFIX = {"fraction": "", "percent": " %", "bits": " bits"}


def published_sentence(row: Mapping[str, Any]) -> str:
    """One row of published.json: label, method, our number with its spread, the published one, caveat."""
    missing = f"no result here (no {row['metric']} of {row['method']} on {row['dataset']} by {row['judge']})"
    ours = missing if row["ours"] is None else f"{_ours(row)} {_spread(row)}".rstrip() + " here"
    return f"{row['label']}, {row['method']}: {ours}, {_theirs(row)} published. {row['caveat']}"


def published_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """All rows of published.json; caveats and sources stand below, each once."""
    cells = tuple(
        (
            name_cell(row["label"]), Cell(row["method"], row["method"]), Cell(row["judge"], row["judge"]),
            Cell(_ours(row), row["ours"], _spread(row)), Cell(_theirs(row), row["value"]),
        )
        for row in rows
    )  # fmt: skip
    labels: dict[str, list[str]] = {}
    for row in rows:
        labels.setdefault(f"{row['caveat']} Source: {row['source']}.", []).append(row["label"])
    notes = [note if len(labels) == 1 else f"{'; '.join(names)}: {note}" for note, names in labels.items()]
    headings = ("number", "method", "judge", "here", "published")
    return Table("published", "Numbers of others, and the same row of this folder", headings, cells, tuple(notes))


def _ours(row: Mapping[str, Any]) -> str:
    return "no result" if row["ours"] is None else _in_unit(row["ours"] * _scale(row), row)


def _theirs(row: Mapping[str, Any]) -> str:
    return "none found" if row["value"] is None else _in_unit(row["value"], row)


def _spread(row: Mapping[str, Any]) -> str:
    if row["deviation"] is not None:
        return f"(± {_in_unit(row['deviation'] * _scale(row), row)}, {row['seeds']} seeds)"
    if row["ci_low"] is None or row["ci_high"] is None:
        return ""
    return f"({_in_unit(row['ci_low'] * _scale(row), row)} to {_in_unit(row['ci_high'] * _scale(row), row)})"


def _in_unit(value: float, row: Mapping[str, Any]) -> str:
    return f"{value:.{row['decimals']}f}{SUFFIX[row['unit']]}".replace("-", "−")


def _scale(row: Mapping[str, Any]) -> float:
    return 100 if row["unit"] == "percent" else 1
