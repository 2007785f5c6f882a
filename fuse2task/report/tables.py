"""Table model of the report, whatever the format: cells with text, rank and mark, and how numbers are written.

Numbers have three decimals without the leading zero and a true minus sign. Not pandas' writers: cells carry ranks,
marks and notes, and one model serves HTML, Markdown and LaTeX.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from fuse2task.report.estimates import Difference, Estimate

LISTED = 6  # methods in a sentence


@dataclass(frozen=True)
class Cell:
    """One cell.

    order: what the column sorts by, None where there is nothing (sorted last). detail: interval or deviation, in small
    type. place: 1 best, 2 second best of the column. mark: "better" or "worse", of a significant difference from the
    table's reference. shade: in [0, 1] for a background, lowest to highest of the column.
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

    kind: its subject in one word. context: its comparable group. reference: what its marks compare with; marks: what
    they mean, for where the table stands alone.
    """

    kind: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    context: str = ""
    marks: str = ""
    reference: str = "the baseline"


def name_cell(text: str) -> Cell:
    """The first cell of a row."""
    return Cell(text, text)


def text_cell(text: str) -> Cell:
    """A text that the column sorts by; a dash where there is none."""
    return Cell(text or "–", text or None)


def number_cell(value: float, write: Callable[[float], str] | None = None, detail: str = "") -> Cell:
    """A number as `write` (default `fraction`) gives it; a dash for NaN."""
    return Cell("–") if math.isnan(value) else Cell((write or fraction)(value), float(value), detail)


def difference_cell(value: float, low: float, high: float, mark: str = "") -> Cell:
    """A signed fraction with its interval; a dash for NaN."""
    return replace(number_cell(value, signed, interval(low, high, signed=True)), mark=mark)


def plain_cell(value: float, low: float, high: float) -> Cell:
    """A number in its own unit with its interval; a dash for NaN."""
    ends = "" if math.isnan(low + high) else f"[{plain(low)}, {plain(high)}]"
    return number_cell(value, plain, ends)


def estimate_cell(estimate: Estimate | None, against: Difference | None) -> Cell:
    """A fraction with its interval or deviation, marked where the difference from the baseline is significant."""
    if estimate is None:
        return Cell("–")
    detail = f"± {fraction(estimate.deviation)}" if estimate.seeds > 1 else interval(estimate.low, estimate.high)
    return Cell(fraction(estimate.value), estimate.value, detail, mark=against.mark if against else "")


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


def by_rows(columns: Sequence[Iterable[Cell]]) -> tuple[tuple[Cell, ...], ...]:
    """Columns of cells to rows of cells."""
    return tuple(zip(*columns, strict=True))


def first_of(parts: Sequence[str]) -> list[str]:
    """What a sentence can hold: the first LISTED, and how many more there are, which stand in the table."""
    return list(parts) if len(parts) <= LISTED + 1 else [*parts[:LISTED], f"{len(parts) - LISTED} more"]


def fraction(value: float, signed: bool = False) -> str:
    """A value in [0, 1] or a difference of two, as `.371`, `1.000`, `−.012`, `+.086`; "" for NaN."""
    if math.isnan(value):
        return ""
    digits = f"{abs(value):.3f}".removeprefix("0")
    sign = "−" if value < 0 and digits != ".000" else "+" if signed and digits != ".000" else ""
    return sign + digits


def signed(value: float) -> str:
    """A difference of two fractions."""
    return fraction(value, signed=True)


def interval(low: float, high: float, signed: bool = False) -> str:
    """`[.312, .421]`; "" where an end is missing."""
    return "" if math.isnan(low + high) else f"[{fraction(low, signed)}, {fraction(high, signed)}]"


def p_value(value: float) -> str:
    """`.031`, `< .001` (with a space that does not break); "" for NaN."""
    if math.isnan(value):
        return ""
    return "<\u00a0.001" if value < 0.001 else "1" if value > 0.9995 else fraction(value)


def p_text(value: float) -> str:
    """`p = .031`, with spaces that do not break; "" for NaN."""
    text = p_value(value)
    return "" if not text else f"p\u00a0{text}" if text.startswith("<") else f"p\u00a0=\u00a0{text}"


def level_text(alpha: float) -> str:
    """A significance level as `.05`."""
    return f"{alpha:g}".removeprefix("0")


def plain(value: float) -> str:
    """Four significant digits without an exponent, whole numbers whole, thin spaces between thousands; "" for NaN."""
    if math.isnan(value):
        return ""
    if value and abs(value) < 1:
        return f"{value:.4g}".replace("-", "−")
    decimals = 0 if value == int(value) else max(0, 4 - len(str(int(abs(value)))))
    return f"{value:,.{decimals}f}".replace(",", "\u2009").replace("-", "−")
