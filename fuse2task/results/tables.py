"""Tables of a bench folder: one way to read, check, type, write and append them; which rows may be compared."""

import contextlib
import csv
import io
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fuse2task.results.schema import ADDED, COMPARISONS, IDENTITY, IMAGES, KEYS, NUMBERS, RESULTS, BenchFolder
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.files import remove_halves, write_text
from fuse2task.runtime.locks import check_held
from fuse2task.runtime.reading import harmless, one_line, read_csv

Row = Mapping[str, Any]
_NOT_DECISIVE = {"run", "value", "ci_low", "ci_high", "n_images", "ci_method", "versions_hash"}
_NUMBER = tuple(column for column in RESULTS if column not in _NOT_DECISIVE)


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file as texts, by these columns; none where there is no file. `ADDED` may be missing.

    Raises:
        RequestError: as `read_csv`, or a column is missing or unknown.
    """
    if not path.is_file():
        return []
    return _checked(path, *read_csv(path), columns)


def read_frame(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The same as a table: texts as str ("" where missing), columns of `schema.NUMBERS` as float (NaN).

    Raises:
        RequestError: as `read_table`, or a text that is no finite number.
    """
    return to_frame(read_table(path, columns), path, columns)


def to_frame(
    rows: Sequence[Row], path: Path, columns: Sequence[str], numbers: Collection[str] = NUMBERS
) -> pd.DataFrame:
    """Rows of texts as `read_frame` gives them; `path` is named in errors."""
    frame = pd.DataFrame(list(rows), columns=list(columns), dtype=object)
    for column in (name for name in columns if name in numbers):
        texts, frame[column] = frame[column], pd.to_numeric(frame[column], errors="coerce").astype(float)
        wrong = texts[~np.isfinite(frame[column]) & ~texts.isin(["", "nan"])]
        if not wrong.empty:
            text = one_line(wrong.iloc[0], 40)
            raise RequestError(f"{path}: column {column}: {text!r} is no number; fix or remove the row")
    return frame


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a CSV file atomically, under a lock of the caller's; None and NaN become empty, floats keep all digits."""
    remove_halves(path)
    write_text(path, _lines(rows, columns))


class ResultsTable:
    """results.csv: a row for each number. Rows are appended; of rows about the same number the last one counts."""

    def __init__(self, folder: Path):
        self.folder = BenchFolder(Path(folder))
        self.path = self.folder.table("results")
        # Holds the file's length while rows are appended: what a killed process wrote beyond it does not count.
        self._mark = self.path.with_name(".results.csv.length")
        self._rows: dict[tuple[str, ...], dict[str, str]] = {}
        self._counts: Counter[tuple[str, ...]] | None = None
        self._seen: tuple[int, ...] = ()

    def read(self) -> pd.DataFrame:
        """All rows in the order in which they were written; texts ("" where missing), numbers as float (NaN).

        Raises:
            RequestError: columns that are not the contract's, or a number that is none.
        """
        return to_frame(self.rows(), self.path, RESULTS, NUMBERS - {"level"})

    def rows(self) -> list[dict[str, str]]:
        """The same as texts."""
        return list(self._read().values())

    def counts(self) -> Counter[tuple[str, ...]]:
        """How many rows there are of each `identity`."""
        rows = self._read().values()
        self._counts = Counter(map(identity, rows)) if self._counts is None else self._counts
        return self._counts

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows, all or none; what the table says already about the same number does not count any more."""
        if not rows:
            return
        if wrong := [set(row) ^ set(RESULTS) for row in rows if set(row) != set(RESULTS)]:
            raise ValueError(f"columns of a results row that are missing or too many: {sorted(wrong[0])}")
        texts = [{column: _text(row[column]) for column in RESULTS} for row in rows]
        with self.folder.lock("results"):
            self._repair()
            known = self._read()
            texts = [row for row in texts if known.get(number(row)) != row]  # made again, with the same outcome
            _replace(known, texts)
            self._counts = None
            if _first_line(self.path) == _lines([], RESULTS):
                self._add(_lines(texts, RESULTS, head=False).encode())
            else:  # a new table, or one of a version before
                write_table(self.path, RESULTS, known.values())
            self._seen = self._signature()

    def _add(self, data: bytes) -> None:
        check_held(self.path)
        write_text(self._mark, str(self.path.stat().st_size))
        try:
            with self.path.open("ab", buffering=0) as handle:
                if handle.write(data) != len(data):
                    raise OSError("not all could be written")
                os.fsync(handle.fileno())
        except OSError as error:
            self._repair()
            raise Fuse2TaskError(f"{self.path}: cannot be written ({error}); free space and run again") from error
        self._mark.unlink()

    def _repair(self) -> None:
        """Take off what a killed process has half written. Under the lock."""
        length = self._length()
        if length is not None and self.path.is_file():
            with self.path.open("rb+") as handle:
                handle.truncate(min(length, self.path.stat().st_size))
            self._seen = ()
        self._mark.unlink(missing_ok=True)
        if self.path.is_file() and self.path.stat().st_size:
            with self.path.open("rb+") as handle:
                handle.seek(-1, os.SEEK_END)
                if handle.read() != b"\n":  # edited by hand: its last line ends without a line break
                    handle.write(b"\n")

    def _length(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            return int(self._mark.read_text())
        return None

    def _signature(self) -> tuple[int, ...]:
        with contextlib.suppress(OSError):
            found = self.path.stat()
            return found.st_ino, found.st_size, found.st_mtime_ns, self._length() or 0
        return ()

    def _read(self) -> dict[tuple[str, ...], dict[str, str]]:
        """Rows by number. The file is read again only where it has changed."""
        signature = self._signature()
        if not signature:
            self._rows, self._counts, self._seen = {}, None, ()
        elif signature != self._seen:
            length = self._length()
            text = None if length is None else self.path.read_bytes()[:length].decode("utf-8-sig", "replace")
            rows = _checked(self.path, *read_csv(self.path, text=text), RESULTS)
            self._rows, self._counts, self._seen = {}, None, signature
            _replace(self._rows, rows)
        return self._rows


def identity(row: Row) -> tuple[str, ...]:
    """The `IDENTITY` texts of a row."""
    texts = [_text(row[column]) for column in IDENTITY]
    settings = texts[-1].partition(", ")[2]
    # Folders of former versions, which resampled images, keep their identities.
    resampled = _text(row["resampled"])
    return (*texts[:-1], settings if resampled == IMAGES else f"{settings}, {resampled}")


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
        dataset, task, protocol, judge = (self.keys[key] for key in ("dataset", "task", "protocol", "judge"))
        parts = (dataset, task, f"{protocol} {judge}".strip(), self.truth and f"truth {self.truth}")
        return " · ".join(part for part in parts if part)


def comparable_groups(
    results: pd.DataFrame, comparisons: pd.DataFrame | None = None,
    truths: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Group]:  # fmt: skip
    """All groups, in the order of the rows of results.csv.

    truths: content of truths.json; a truth that it does not name is called by its hash and counts as primary.
    """
    pairs = pd.DataFrame(columns=list(COMPARISONS)) if comparisons is None else comparisons
    paired, number = dict(iter(pairs.groupby(list(KEYS), sort=False))), ["metric", "class", "condition"]
    groups = []
    for values, rows in results.groupby(list(KEYS), sort=False):
        keys = dict(zip(KEYS, map(str, values), strict=True))
        truth = (truths or {}).get(keys["truth_hash"], {})
        newest = rows[rows["method_hash"] == rows.groupby("method")["method_hash"].transform("last")]
        groups.append(Group(
            keys, str(truth.get("name") or keys["truth_hash"]), bool(truth.get("primary", True)),
            newest.drop_duplicates(["method", "seed", *number], keep="last"),
            paired.get(values, pairs.iloc[:0]).drop_duplicates(["a", "b", *number], keep="last"),
        ))  # fmt: skip
    return groups


def refuse_unlike(results: pd.DataFrame) -> None:
    """Raise RequestError where rows differ in a key that decides whether they can be compared."""
    if results.empty:
        raise RequestError("no rows to compare; let `fuse2task bench run` finish an evaluation first")
    if differing := [key for key in KEYS if results[key].nunique() > 1]:
        values = "; ".join(f"{key}: {', '.join(map(str, results[key].unique()))}" for key in differing)
        problem = f"these rows cannot be compared, they differ in {', '.join(differing)} ({values})"
        raise RequestError(f"{problem}; compare rows of one dataset, truth, judge and recipe")


def _checked(
    path: Path, present: Sequence[str], rows: list[dict[str, str]], columns: Sequence[str]
) -> list[dict[str, str]]:
    if missing := [name for name in columns if name not in present and name not in ADDED]:
        raise RequestError(f"{path}: no column {', '.join(missing)}; move the file away, and run again to write it")
    if unknown := [name for name in present if name not in columns]:
        raise RequestError(f"{path}: unknown column {', '.join(map(one_line, unknown))}; remove it")
    return [{name: row[name] if name in row else ADDED[name] for name in columns} for row in rows]


def _replace(known: dict[tuple[str, ...], dict[str, str]], rows: Iterable[dict[str, str]]) -> None:
    for row in rows:
        known.pop(number(row), None)  # to the end
        known[number(row)] = row


def number(row: Mapping[str, str]) -> tuple[str, ...]:
    """The identity of the number in a row of texts: all but the value, what was computed beside it, and when."""
    return tuple(row[column] for column in _NUMBER)


def _lines(rows: Iterable[Row], columns: Sequence[str], head: bool = True) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns] if head else [])
    writer.writerows([harmless(_text(row.get(column))) for column in columns] for row in rows)
    return text.getvalue()


def _first_line(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8") as handle:
        return handle.readline()


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)
