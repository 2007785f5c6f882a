"""Tables of a bench folder; see `fuse2task.results.tables`."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fuse2task.results import tables
from fuse2task.results.tables import Row, read_table

__all__ = ["read_table", "to_frame"]


def to_frame(rows: Sequence[Row], path: Path, numbers: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """As `tables.to_frame`."""
    return tables.to_frame(rows, path, columns, numbers)
