"""Tables of task metrics: summary, classes, conditions, seeds, other truths and judges."""

import math
from collections.abc import Sequence
from dataclasses import replace

from fuse2task.report.estimates import Numbers
from fuse2task.report.tables import (
    Cell,
    Table,
    by_rows,
    difference_cell,
    estimate_cell,
    fraction,
    level_text,
    name_cell,
    number_cell,
    p_value,
    placed,
)
from fuse2task.results.tables import Group

SIZES = ("small", "medium", "large")


def summary_table(numbers: Numbers) -> Table:
    """All metrics over all classes and images, and the difference of the main one from the baseline."""
    metrics = numbers.metrics()
    columns = [_column(numbers, metric) for metric in metrics]
    headings = list(metrics)
    if numbers.baseline and not numbers.group.comparisons.empty:
        headings += [f"{numbers.main} − {numbers.baseline}", "p (Holm)"]
        columns += _difference_columns(numbers)
    return _table(numbers, "summary", "All metrics over all images", headings, columns, _notes(numbers))


def class_table(numbers: Numbers, metric: str) -> Table | None:
    """One metric for each class; None where the group has no classes."""
    names = numbers.kinds("class", metric)
    columns = [_column(numbers, metric, name) for name in names]
    return _table(numbers, "classes", f"{metric} of each class", names, columns) if names else None


def condition_table(numbers: Numbers, conditions: Sequence[str], what: str) -> Table | None:
    """The main metric under each of these conditions; None without a number."""
    if not conditions:
        return None
    columns = [_column(numbers, numbers.main, condition=condition) for condition in conditions]
    headings = [condition.removeprefix("scene:") for condition in conditions]
    if what == "scene":
        columns = [_shaded(column) for column in columns]
    notes = []
    counts = [_images(numbers, condition) for condition in conditions]
    if what != "object size" and any(counts):
        shown = (f"{name} {count}" for name, count in zip(headings, counts, strict=True) if count)
        notes.append(f"Images: {', '.join(shown)}.")
    return _table(numbers, "conditions", f"{numbers.main} by {what}", headings, columns, notes)


def seed_table(numbers: Numbers) -> Table | None:
    """The main metric of each seed, with mean and spread; None for one seed."""
    methods = _methods(numbers)
    values = {method: numbers.seeds(method, numbers.main) for method in methods}
    seeds = sorted({seed for own in values.values() for seed in own})
    if len(seeds) < 2:
        return None
    columns = [[number_cell(own.get(seed, math.nan)) for own in values.values()] for seed in seeds]
    found = [estimate for method in methods if (estimate := numbers.estimate(method, numbers.main))]
    columns.append(placed([number_cell(item.value) for item in found]))
    columns.append([number_cell(item.deviation) for item in found])
    columns.append([number_cell(max(own.values()) - min(own.values())) for own in values.values()])
    headings = (*(f"seed {seed}" for seed in seeds), "mean", "standard deviation", "highest − lowest")
    return replace(_table(numbers, "seeds", f"{numbers.main} of each seed", headings, columns), marks="")


def sensitivity_table(first: Numbers, others: Sequence[Numbers]) -> Table:
    """The main metric with each truth and judge, each column ranked by itself."""
    every = (first, *others)
    methods = list(dict.fromkeys(method for numbers in every for method in _methods(numbers)))
    columns = [_column(numbers, numbers.main, methods=methods) for numbers in every]
    headings = [variant(first.group, numbers.group) or variant(None, numbers.group) for numbers in every]
    note = "Compare methods within a column only: another truth or judge is another measure."
    caption = f"{first.main} with each truth and judge"
    return _table(first, "sensitivity", caption, headings, columns, [note], methods)


def variant(first: Group | None, group: Group) -> str:
    """How the group differs from the first of its family: judge, truth or both; all of it without a first."""
    parts = []
    if first is None or first.keys["judge"] != group.keys["judge"]:
        parts.append(f"judge {group.keys['judge']}")
    if group.truth and (first is None or first.keys["truth_hash"] != group.keys["truth_hash"]):
        parts.append(f"truth {group.truth}")
    return ", ".join(parts)


def conditions_of(numbers: Numbers) -> dict[str, list[str]]:
    """Conditions with numbers, by their subject: light and weather, object size, scene."""
    found = numbers.kinds("condition", numbers.main)
    return {
        "light and weather": [name for name in found if name not in SIZES and not name.startswith("scene:")],
        "object size": [name for name in SIZES if name in found],
        "scene": [name for name in found if name.startswith("scene:")],
    }


def _methods(numbers: Numbers) -> list[str]:
    return [method for method, _ in numbers.ranked()]


def _column(
    numbers: Numbers, metric: str, name: str = "all", condition: str = "all", methods: Sequence[str] = ()
) -> list[Cell]:
    return placed([
        estimate_cell(
            numbers.estimate(method, metric, name, condition), numbers.against_baseline(method, metric, name, condition)
        )
        for method in methods or _methods(numbers)
    ])  # fmt: skip


def _difference_columns(numbers: Numbers) -> list[list[Cell]]:
    differences, p_values = [], []
    for method in _methods(numbers):
        found = numbers.against_baseline(method, numbers.main)
        if found is None:
            differences.append(Cell("baseline" if method == numbers.baseline else "–"))
            p_values.append(Cell(""))
            continue
        differences.append(difference_cell(found.value, found.low, found.high, found.mark))
        p_values.append(number_cell(found.p, p_value))
    return [differences, p_values]


def _notes(numbers: Numbers) -> list[str]:
    rows = numbers.group.results
    images = [int(count) for count in dict.fromkeys(rows[rows["condition"] == "all"]["n_images"].dropna())]
    notes = [f"{' or '.join(map(str, images))} images."] if images else []
    notes.append("Values are fractions, higher is better; the best is bold, the second best underlined.")
    several = any(item.seeds > 1 for method in _methods(numbers) if (item := numbers.estimate(method, numbers.main)))
    kinds = [name for name in dict.fromkeys(rows[rows["ci_low"].notna()]["ci_method"]) if name]
    if several:
        notes.append("Mean over seeds ± standard deviation.")
    elif kinds:
        notes.append(f"In brackets: confidence interval over images ({' / '.join(kinds)}).")
        if numbers.main == "AP":
            notes.append("AP on few images is biased upwards, so the printed value is near the top of its interval.")
    if numbers.group.comparisons.empty:
        return [*notes, "No paired differences have been computed for this table."]
    if detectable := numbers.detectable():
        low, high = fraction(min(detectable)), fraction(max(detectable))
        size = low if low == high else f"{low} to {high}, depending on the method"
        test = f"80 % power, {100 * (1 - numbers.alpha):g} % level"
        notes.append(f"Smallest detectable difference from {numbers.baseline} in {numbers.main} ({test}): {size}.")
    return notes


def _table(
    numbers: Numbers, kind: str, caption: str, headings: Sequence[str], columns: Sequence[Sequence[Cell]],
    notes: Sequence[str] = (), methods: Sequence[str] = (),
) -> Table:  # fmt: skip
    marks = ""
    if not numbers.group.comparisons.empty:
        marks = (
            f"▲ significantly better, ▼ significantly worse than {numbers.baseline} (paired on the same images, "
            f"Holm-adjusted p < {level_text(numbers.alpha)}); no mark: not significant."
        )
    rows = by_rows([[name_cell(method) for method in methods or _methods(numbers)], *columns])
    return Table(kind, caption, ("method", *headings), rows, tuple(notes), numbers.group.title, marks)


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
