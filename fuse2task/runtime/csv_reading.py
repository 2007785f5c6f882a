"""CSV files that others may have edited: every damage is one readable message."""

import csv
import io
from pathlib import Path

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.reading import MAX_JSON, one_line, read_text


def read_csv(path: Path, what: str = "table", text: str | None = None) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    """Columns and rows of a CSV file, all as texts; empty lines are passed over.

    text: what counts of the file, where the caller has read it.

    Raises:
        RequestError: not a readable file (`what` names its role), no columns, one of them twice, or a row of another
            length.
    """
    text = read_text(path, what, MAX_JSON) if text is None else text
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    try:
        columns = tuple(next(reader, ()))
        if not columns or len(set(columns)) < len(columns):
            raise RequestError(f"{path}: no columns, or one that is there twice; mend the {what} or move it away")
        for row in reader:
            if row and len(row) != len(columns):
                raise RequestError(f"{path}, line {reader.line_num}: has not {len(columns)} fields; mend the line")
            if row:
                rows.append(dict(zip(columns, row, strict=True)))
    except csv.Error as error:
        raise RequestError(f"{path}: not a readable CSV {what} ({one_line(error)}); mend it or move it away") from None
    return columns, rows
