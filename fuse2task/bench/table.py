"""results.csv: one row per number, checked when read, written whole and atomically under a lock."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fuse2task.bench.locks import Lock
from fuse2task.report.columns import RESULTS
from fuse2task.runtime.csv_reading import read_csv
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import remove_halves, write_text

KEYS = ("dataset", "split_hash", "truth_hash", "image_size", "color", "task", "protocol", "judge", "judge_hash",
        "recipe_hash")  # fmt: skip
"""Rows of different methods are comparable where these agree."""
IDENTITY = (*KEYS, "method", "method_hash", "seed", "ci_method")
"""What a finished evaluation is known by; of `ci_method` what follows the kind of interval."""
CLEAN = {"kind": "", "level": "0"}
"""Kind and level of a dataset as it is; tables from before there were conditions lack the two columns."""
NUMBERS = ("value", "ci_low", "ci_high", "n_images")
Row = Mapping[str, Any]


class ResultsTable:
    """The results of a bench folder, rows in the order in which they were written."""

    def __init__(self, folder: Path):
        self.folder, self.path = Path(folder), Path(folder) / "results.csv"

    def read(self) -> pd.DataFrame:
        """All rows; texts as they are (missing: empty), numbers as float with NaN for missing.

        Raises:
            RequestError: columns that are not the contract's, or a number that is none.
        """
        return to_frame(self._rows(), self.path)

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows; what the table says already about the same number is taken out."""
        if not rows:
            return
        with Lock(self.folder, "results"):
            added = {_number_key(row): row for row in map(_as_texts, rows)}
            kept = [row for row in self._rows() if _number_key(row) not in added]
            write_table(self.path, RESULTS, [*kept, *added.values()])

    def identities(self) -> set[tuple[str, ...]]:
        """`identity` of everything that is in the table."""
        return {identity(row) for row in self._rows()}

    def _rows(self) -> list[dict[str, str]]:
        return read_table(self.path, RESULTS, CLEAN)


def identity(row: Row) -> tuple[str, ...]:
    """The `IDENTITY` texts of a row."""
    texts = [_text(row[column]) for column in IDENTITY]
    return (*texts[:-1], texts[-1].partition(", ")[2])


def read_table(path: Path, columns: Sequence[str], added: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """Rows of a CSV file as texts; none where there is no file.

    added: columns that an older file may lack, all of them, with the value that they have there.

    Raises:
        RequestError: as `read_csv`, or other columns than these.
    """
    if not path.is_file():
        return []
    present, rows = read_csv(path)
    missing = added if added and present == tuple(name for name in columns if name not in added) else {}
    if (*present, *missing) != tuple(columns):
        raise RequestError(f"{path}: its columns are not {', '.join(columns)}; move the file away or mend it")
    return [{**row, **missing} for row in rows]


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a CSV file atomically, under a lock of the caller's; None and NaN become empty, floats keep all digits."""
    remove_halves(path)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_text(row.get(column)) for column in columns] for row in rows)
    write_text(path, text.getvalue())


def to_frame(
    rows: Sequence[Row], path: Path, numbers: Sequence[str] = NUMBERS, columns: Sequence[str] = RESULTS
) -> pd.DataFrame:
    """Rows of texts as a table whose columns `numbers` are float.

    Raises:
        RequestError: a text in `numbers` that is no number; `path` is named.
    """
    frame = pd.DataFrame(list(rows), columns=list(columns), dtype=object)
    for column in numbers:
        try:
            frame[column] = [float(text) if text != "" else float("nan") for text in frame[column]]
        except ValueError as error:
            raise RequestError(f"{path}: column {column}: {error}; mend or remove the row") from None
    return frame


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float):
        return repr(float(value))
    return str(value)


def _as_texts(row: Row) -> dict[str, str]:
    missing = [column for column in RESULTS if column not in row]
    if missing or len(row) > len(RESULTS):
        raise ValueError(f"a results row without {missing}, or with more than the columns: {sorted(row)}")
    return {column: _text(row[column]) for column in RESULTS}


def _number_key(row: Row) -> tuple[str, ...]:
    """All but the value, what was computed beside it, and when."""
    others = ("run", *NUMBERS, "ci_method", "versions_hash")
    return tuple(row[column] for column in RESULTS if column not in others)
