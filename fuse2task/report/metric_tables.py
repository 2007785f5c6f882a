"""Tables of task metrics: summary, classes, conditions, seeds, other truths and judges."""

import math
from collections.abc import Sequence
from dataclasses import replace

from fuse2task.report.estimates import Numbers
from fuse2task.report.tables import Cell, Table, by_rows, estimate_cell, fraction, interval, name_cell, p_value, placed
from fuse2task.results.groups import Group

SIZES = ("small", "medium", "large")


def summary_table(numbers: Numbers) -> Table:
    """All metrics over all classes and images, and the difference of the main one to the baseline."""
    methods = [method for method, _ in numbers.ranked()]
    columns = [[name_cell(method) for method in methods]]
    metrics = numbers.metrics()
    columns += [_column(numbers, methods, metric) for metric in metrics]
    headings = ["method", *metrics]
    if numbers.baseline and not numbers.group.comparisons.empty:
        headings += [f"{numbers.main} − {numbers.baseline}", "p (Holm)"]
        columns += _difference_columns(numbers, methods)
    caption = "All metrics over all images"
    return _table(numbers, "summary", caption, headings, columns, _notes(numbers))


def class_table(numbers: Numbers, metric: str) -> Table | None:
    """One metric for each class; None where the group has no classes."""
    names = numbers.kinds("class", metric)
    if not names:
        return None
    methods = [method for method, _ in numbers.ranked()]
    columns = [[name_cell(method) for method in methods]]
    columns += [_column(numbers, methods, metric, name) for name in names]
    return _table(numbers, "classes", f"{metric} of each class", ("method", *names), columns)


def condition_table(numbers: Numbers, conditions: Sequence[str], what: str) -> Table | None:
    """The main metric under each of these conditions; None without a number."""
    if not conditions:
        return None
    methods = [method for method, _ in numbers.ranked()]
    columns = [[name_cell(method) for method in methods]]
    headings = ["method"]
    for condition in conditions:
        headings.append(condition.removeprefix("scene:"))
        column = _column(numbers, methods, numbers.main, condition=condition)
        columns.append(_shaded(column) if what == "scene" else column)
    notes = []
    counts = [_images(numbers, condition) for condition in conditions]
    if what != "object size" and any(counts):
        shown = (f"{name} {count}" for name, count in zip(headings[1:], counts, strict=True) if count)
        notes.append(f"Images: {', '.join(shown)}.")
    return _table(numbers, "conditions", f"{numbers.main} by {what}", headings, columns, notes)


def seed_table(numbers: Numbers) -> Table | None:
    """The main metric of each seed, with mean and spread; None for one seed."""
    methods = [method for method, _ in numbers.ranked()]
    seeds = sorted({seed for method in methods for seed in numbers.seeds(method, numbers.main)})
    if len(seeds) < 2:
        return None
    columns = [[name_cell(method) for method in methods]]
    for seed in seeds:
        values = [numbers.seeds(method, numbers.main).get(seed, math.nan) for method in methods]
        columns.append([Cell(fraction(value) or "–", None if math.isnan(value) else value) for value in values])
    spreads = [estimate for method in methods if (estimate := numbers.estimate(method, numbers.main))]
    columns.append(placed([Cell(fraction(item.value), float(item.value)) for item in spreads]))
    columns.append([_spread(item.deviation) for item in spreads])
    columns.append([_spread(_range(numbers, method)) for method in methods])
    headings = ("method", *(f"seed {seed}" for seed in seeds), "mean", "standard deviation", "highest − lowest")
    return replace(_table(numbers, "seeds", f"{numbers.main} of each seed", headings, columns), marks="")


def sensitivity_table(first: Numbers, others: Sequence[Numbers]) -> Table:
    """The main metric with each truth and judge, each column ranked by itself."""
    methods = [method for method, _ in first.ranked()]
    methods += [method for other in others for method, _ in other.ranked() if method not in methods]
    methods = list(dict.fromkeys(methods))
    columns = [[name_cell(method) for method in methods]]
    headings = ["method"]
    for numbers in (first, *others):
        headings.append(variant(first.group, numbers.group) or variant(None, numbers.group))
        columns.append(_column(numbers, methods, numbers.main))
    note = "Compare within a column only: another truth or judge is another measure."
    return _table(first, "sensitivity", f"{first.main} with each truth and judge", headings, columns, [note])


def variant(first: Group | None, group: Group) -> str:
    """What sets the group apart from the first of its family: judge, truth or both; all of it without a first."""
    parts = []
    if first is None or first.keys["judge"] != group.keys["judge"]:
        parts.append(f"judge {group.keys['judge']}")
    if group.truth and (first is None or first.keys["truth_hash"] != group.keys["truth_hash"]):
        parts.append(f"truth {group.truth}")
    return ", ".join(parts)


def conditions_of(numbers: Numbers) -> dict[str, list[str]]:
    """Conditions with numbers, by what they tell: light and weather, object size, scene."""
    found = numbers.kinds("condition", numbers.main)
    return {
        "light and weather": [name for name in found if name not in SIZES and not name.startswith("scene:")],
        "object size": [name for name in SIZES if name in found],
        "scene": [name for name in found if name.startswith("scene:")],
    }


def _column(
    numbers: Numbers, methods: Sequence[str], metric: str, name: str = "all", condition: str = "all"
) -> list[Cell]:
    cells = []
    for method in methods:
        against = numbers.against_baseline(method, metric, name, condition)
        cells.append(estimate_cell(numbers.estimate(method, metric, name, condition), against))
    return placed(cells)


def _difference_columns(numbers: Numbers, methods: Sequence[str]) -> list[list[Cell]]:
    differences, p_values = [], []
    for method in methods:
        found = numbers.against_baseline(method, numbers.main)
        if found is None:
            differences.append(Cell("baseline" if method == numbers.baseline else "–"))
            p_values.append(Cell(""))
            continue
        mark = "" if not found.significant else "better" if found.value > 0 else "worse"
        detail = interval(found.low, found.high, signed=True)
        differences.append(Cell(fraction(found.value, signed=True), float(found.value), detail, mark=mark))
        p_values.append(Cell(p_value(found.p), float(found.p)))
    return [differences, p_values]


def _notes(numbers: Numbers) -> list[str]:
    rows = numbers.group.results
    images = [int(count) for count in dict.fromkeys(rows[rows["condition"] == "all"]["n_images"].dropna())]
    notes = ["Fractions, higher is better; best bold, second best underlined."]
    if images:
        notes[0] = f"{' or '.join(map(str, images))} images. {notes[0]}"
    several = any(numbers.estimate(method, numbers.main).seeds > 1 for method, _ in numbers.ranked())  # type: ignore[union-attr]
    kinds = [name for name in dict.fromkeys(rows[rows["ci_low"].notna()]["ci_method"]) if name]
    if several:
        notes.append("Mean over seeds ± standard deviation.")
    elif kinds:
        notes.append(f"In brackets: intervals over images ({' / '.join(kinds)}), for endless images of this kind.")
        if numbers.main == "AP":
            notes.append("AP on few images comes out too high, so the printed value lies high in its interval.")
    if numbers.group.comparisons.empty:
        notes.append("No paired differences have been computed for this table.")
        return notes
    found = [numbers.against_baseline(method, numbers.main) for method in numbers.methods]
    detectable = [item.detectable for item in found if item is not None and not math.isnan(item.detectable)]
    if detectable:
        low, high = fraction(min(detectable)), fraction(max(detectable))
        size = low if low == high else f"{low} to {high}, depending on the method"
        notes.append(
            f"Smallest detectable difference from {numbers.baseline} in {numbers.main} (80 % power, 5 % level): {size}."
        )
    return notes


def _table(
    numbers: Numbers, kind: str, caption: str, headings: Sequence[str], columns: Sequence[Sequence[Cell]],
    notes: Sequence[str] = (),
) -> Table:  # fmt: skip
    marks = ""
    if not numbers.group.comparisons.empty:
        marks = (
            f"▲ better, ▼ worse than {numbers.baseline} beyond chance (paired on the same images, "
            "Holm-adjusted p < .05); without a mark, chance could explain the difference."
        )
    return Table(kind, caption, tuple(headings), by_rows(columns), tuple(notes), numbers.group.title, marks)


def _images(numbers: Numbers, condition: str) -> int:
    rows = numbers.group.results
    counts = rows[rows["condition"] == condition]["n_images"].dropna()
    return int(counts.iloc[0]) if len(counts) else 0


def _shaded(cells: list[Cell]) -> list[Cell]:
    values = [cell.order for cell in cells if isinstance(cell.order, float)]
    if len(set(values)) < 2:
        return cells
    low, span = min(values), max(values) - min(values)
    return [replace(cell, shade=(cell.order - low) / span) if isinstance(cell.order, float) else cell for cell in cells]


def _spread(value: float) -> Cell:
    return Cell(fraction(value) or "–", None if math.isnan(value) else float(value))


def _range(numbers: Numbers, method: str) -> float:
    values = numbers.seeds(method, numbers.main).values()
    return max(values) - min(values)
