"""Image scores: how fused images relate to their sources, without any use of them. No truth, no judge."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.reading import read_csv
from fuse2task.tasks import Measurement, Task, Values

Scores = Mapping[str, list[dict[str, str]]]
"""Method -> its rows of the table of scores, as texts."""


class Quality(Task):
    """Means over images of the scores of a profile, each in its own unit."""

    name = "quality"

    def measure_scores(self, rows: Sequence[Mapping[str, str]], ids: Sequence[str]) -> Measurement:
        """Means of one method's scores by its rows; ids: of the images (I,), in the order of the weights."""
        by_id = {row["image"]: row for row in rows}
        numbers = [_numbers(by_id[key]) for key in ids]
        columns = {name: np.array([row[name] for row in numbers]) for name in _numbers(rows[0])}

        def values(mask: np.ndarray, weights: np.ndarray) -> Values:
            return {(name, "all", ""): _mean(column[mask], weights) for name, column in columns.items()}

        return Measurement(values)


TASK = Quality()


def read_scores(path: Path) -> Scores:
    """The rows of a table of scores by method; nothing where there is no file; RequestError: not such a table."""
    if not path.is_file():
        return {}
    columns, rows = read_csv(path, "table of scores")
    found: dict[str, list[dict[str, str]]] = {}
    try:
        if not {"method", "image"} <= set(columns):
            raise ValueError("no columns `method` and `image`")
        for row in rows:
            _numbers(row)
            found.setdefault(row["method"], []).append(row)
    except ValueError as error:
        raise RequestError(f"{path}: not a table of scores ({error}); remove it, and run again") from None
    return found


def _numbers(row: Mapping[str, str]) -> dict[str, float]:
    return {name: float(text or "nan") for name, text in row.items() if name not in ("method", "image")}


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    defined = np.isfinite(values)
    total = weights[:, defined].sum(axis=1)
    sums = weights[:, defined] @ values[defined]
    return np.divide(sums, total, out=np.full(len(weights), np.nan), where=total > 0)
