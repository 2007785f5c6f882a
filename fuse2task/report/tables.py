"""A table as it is shown, whatever the format: cells with their text, place and mark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fuse2task.report.estimates import Difference, Estimate
from fuse2task.report.numerals import fraction, interval


@dataclass(frozen=True)
class Cell:
    """One cell.

    order: what the column sorts by, None where there is nothing (sorted last). detail: interval or deviation, in small
    type. place: 1 best, 2 second best of the column. mark: "better" or "worse" than the baseline beyond chance.
    shade: in [0, 1] for a background, lowest to highest of the column.
    """

    text: str
    order: float | str | None = None
    detail: str = ""
    place: int = 0
    mark: str = ""
    shade: float | None = None


@dataclass(frozen=True)
class Table:
    """Columns are headings, the first of the rows' names; notes are sentences to print below.

    kind: what it tells, in one word. context: which comparable group it is of, and marks: what its marks mean, for
    where the table stands alone.
    """

    kind: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    context: str = ""
    marks: str = ""


def name_cell(text: str) -> Cell:
    """The first cell of a row."""
    return Cell(text, text)


def estimate_cell(estimate: Estimate | None, against: Difference | None) -> Cell:
    """A fraction with its interval or deviation, marked where the difference to the baseline is beyond chance."""
    if estimate is None:
        return Cell("–")
    detail = interval(estimate.low, estimate.high)
    if estimate.seeds > 1:
        detail = f"± {fraction(estimate.deviation)}"
    mark = "" if against is None or not against.significant else "better" if against.value > 0 else "worse"
    return Cell(fraction(estimate.value), estimate.value, detail, mark=mark)


def placed(cells: Sequence[Cell], higher_is_better: bool = True) -> list[Cell]:
    """The same column with best and second best placed; what is shown as equal shares a place.

    A column with fewer than two numbers has no best.
    """
    values = {cell.text: cell.order for cell in cells if isinstance(cell.order, float) and not math.isnan(cell.order)}
    if sum(cell.text in values for cell in cells) < 2:
        return list(cells)
    texts = sorted(values, key=lambda text: values[text], reverse=higher_is_better)  # type: ignore[arg-type,return-value]
    places = {text: place for place, text in enumerate(texts[:2], 1)}
    return [replace(cell, place=places.get(cell.text, 0)) for cell in cells]


def by_rows(columns: Sequence[Sequence[Cell]]) -> tuple[tuple[Cell, ...], ...]:
    """Columns of cells to rows of cells."""
    return tuple(zip(*columns, strict=True))
