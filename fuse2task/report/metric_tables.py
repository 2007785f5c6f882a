"""Tables of the report: task metrics; image scores, rank correlations, average ranks, costs, published numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from fuse2task.report import tables
from fuse2task.report.estimates import Numbers
from fuse2task.report.tables import Cell, Table, by_rows, fraction, name_cell, number_cell, p_value, placed, text_cell
from fuse2task.results.entries import ours_text, spread_text, theirs_text
from fuse2task.results.tables import Group

SIZES = ("small", "medium", "large")
ONE_TRAINING = (
    "One training is one draw: intervals and p values are over images, for these trained networks and not for the "
    "methods, so nothing is marked as significant. Train with several seeds."
)
COSTS = {"parameters": "parameters", "GMAC": "GMAC a pair", "ms": "ms a pair", "peak_memory": "peak memory, MiB"}


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
    rows, notes = numbers.group.results, []
    counts = rows.dropna(subset="n_images").drop_duplicates("condition").set_index("condition")["n_images"].astype(int)
    shown = [f"{head} {counts[name]}" for name, head in zip(conditions, headings, strict=True) if counts.get(name)]
    if what != "object size" and shown:
        notes.append(f"Images: {', '.join(shown)}.")
    return _table(numbers, "conditions", f"{numbers.main} by {what}", headings, columns, notes)


def seed_table(numbers: Numbers) -> Table | None:
    """The main metric of each seed, with mean and spread; None for one seed."""
    methods = _methods(numbers)
    values = {method: numbers.seeds(method, numbers.main) for method in methods}
    seeds = sorted({seed for own in values.values() for seed in own})
    if len(seeds) < 2:
        return None
    found = [estimate for method in methods if (estimate := numbers.estimate(method, numbers.main))]
    columns = [
        *([number_cell(own.get(seed, math.nan)) for own in values.values()] for seed in seeds),
        placed([number_cell(item.value) for item in found]), [number_cell(item.deviation) for item in found],
        [number_cell(max(own.values()) - min(own.values())) for own in values.values()],
    ]  # fmt: skip
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


def score_table(group: Group, higher_is_better: Mapping[str, bool]) -> Table:
    """Image scores of every method, means over images; best and second best where the direction is known."""
    numbers = Numbers(group, "", math.nan)
    columns = [[name_cell(method) for method in numbers.methods]]
    scores = numbers.metrics()
    for score in scores:
        estimates = [numbers.estimate(method, score) for method in numbers.methods]
        cells = [
            Cell("–") if item is None else tables.plain_cell(item.value, item.low, item.high) for item in estimates
        ]
        columns.append(placed(cells, higher_is_better[score]) if score in higher_is_better else cells)
    lower = [score for score in scores if not higher_is_better.get(score, True)]
    note = f"Higher is better{', except for ' + ', '.join(lower) if lower else ''}."
    if not set(scores) <= set(higher_is_better):
        note = "The better direction is not known for every score."
    note += " These scores rate the images themselves, not a task that uses them."
    headings = ("method", *scores)
    return Table("scores", "Means over images", headings, by_rows(columns), (note,), group.title)


def correlation_table(rows: pd.DataFrame) -> Table:
    """Spearman's and Kendall's correlation of every score with every task metric (column `column` of the rows)."""
    columns = [list(map(name_cell, rows["score"])), list(map(text_cell, rows["column"]))]
    for kind in ("spearman", "kendall"):
        columns.append([number_cell(value, tables.signed) for value in rows[kind]])
        columns.append([number_cell(value, p_value) for value in rows[f"{kind}_p"]])
    for name in ("spearman_low", "spearman_high", "predicted"):
        columns.append([number_cell(value, tables.signed) for value in rows[name]])
    headings = ("score", "metric", "Spearman ρ", "p", "Kendall τ", "p of τ", "ρ from", "to", "predicted")
    note = "ρ from, to: 95 % interval over methods. Predicted: share of the metric's variance that the score explains "
    note += "for a method that was left out; below 0 it is worse than the other methods' mean."
    return Table("correlations", "Rank correlation of scores with task metrics", headings, by_rows(columns), (note,))


def ranking_table(entry: Mapping[str, Any], alpha: float) -> Table:
    """Average ranks of one Friedman test with Nemenyi's critical difference."""
    order = sorted(zip(entry["methods"], entry["ranks"], strict=True), key=lambda item: item[1])
    best = order[0][1]
    rows = []
    for place, (method, rank) in enumerate(order, 1):
        apart = rank - best > entry["critical_difference"]
        gap = "best" if place == 1 else "differs from the best" if apart else "no significant difference"
        rank_cell = Cell(f"{rank:.2f}", float(rank), place=place if place < 3 else 0)
        rows.append((name_cell(method), rank_cell, text_cell(gap)))
    caption = f"Average ranks by {entry['metric']}"
    context = f"{entry['dataset']} · {entry['task']} · {entry['judge']}"
    notes = (
        f"Friedman test over {entry['n']} {entry['blocks']}: {tables.p_text(entry['p_value'])}. Nemenyi's critical "
        f"difference at the {100 * (1 - alpha):g} % level: {entry['critical_difference']:.2f} ranks. Rank 1 is best.",
    )
    return Table("ranking", caption, ("method", "average rank", "Nemenyi"), tuple(rows), notes, context)


def cost_table(costs: pd.DataFrame) -> Table:
    """Parameters, arithmetic, time and memory of every method."""
    numbers = ([number_cell(value, tables.plain) for value in costs[key]] for key in COSTS)
    columns = [map(name_cell, costs["method"]), *numbers, map(text_cell, costs["device"])]
    note = "For one pair at the data set's image size; – means unknown (for example a folder of fused images)."
    return Table("costs", "Cost of fusing", ("method", *COSTS.values(), "device"), by_rows(columns), (note,))


def published_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """All rows of published.json; caveats and sources stand below, each once."""
    cells = tuple(
        (
            name_cell(row["label"]), text_cell(row["method"]), text_cell(row["judge"]),
            Cell(ours_text(row), row["ours"], spread_text(row)), Cell(theirs_text(row), row["value"]),
        )
        for row in rows
    )  # fmt: skip
    labels: dict[str, list[str]] = {}
    for row in rows:
        labels.setdefault(f"{row['caveat']} Source: {row['source']}.", []).append(row["label"])
    notes = [note if len(labels) == 1 else f"{'; '.join(names)}: {note}" for note, names in labels.items()]
    headings = ("number", "method", "judge", "here", "published")
    return Table("published", "Published numbers beside those of this folder", headings, cells, tuple(notes))


def _methods(numbers: Numbers) -> list[str]:
    return [method for method, _ in numbers.ranked()]


def _column(
    numbers: Numbers, metric: str, name: str = "all", condition: str = "all", methods: Sequence[str] = ()
) -> list[Cell]:
    key = (metric, name, condition)
    found = [(numbers.estimate(method, *key), numbers.against_baseline(method, *key))
             for method in methods or _methods(numbers)]  # fmt: skip
    return placed([tables.estimate_cell(*item) for item in found])


def _difference_columns(numbers: Numbers) -> list[list[Cell]]:
    differences, p_values = [], []
    for method in _methods(numbers):
        if found := numbers.against_baseline(method, numbers.main):
            differences.append(tables.difference_cell(found.value, found.low, found.high, found.mark))
            p_values.append(number_cell(found.p, p_value))
        else:
            differences.append(Cell("baseline" if method == numbers.baseline else "–"))
            p_values.append(Cell(""))
    return [differences, p_values]


def _notes(numbers: Numbers) -> list[str]:
    rows = numbers.group.results
    images = [int(count) for count in dict.fromkeys(rows[rows["condition"] == "all"]["n_images"].dropna())]
    notes = [f"{' or '.join(map(str, images))} images."] if images else []
    notes.append("Values are fractions, higher is better; the best is bold, the second best underlined.")
    kinds = [name for name in dict.fromkeys(rows[rows["ci_low"].notna()]["ci_method"]) if name]
    if any(item.seeds > 1 for method in _methods(numbers) if (item := numbers.estimate(method, numbers.main))):
        notes.append("Mean over seeds ± standard deviation.")
    elif kinds:
        notes.append(f"In brackets: confidence interval over {numbers.group.keys['resampled']} ({' / '.join(kinds)}).")
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
    marks = (
        f"▲ significantly better, ▼ significantly worse than {numbers.baseline} (paired on the same images, "
        f"Holm-adjusted p < {tables.level_text(numbers.alpha)}); no mark: not significant."
    )
    if numbers.group.comparisons.empty or numbers.one_training:
        marks = ONE_TRAINING if numbers.one_training else ""
    notes = [*notes, *(f"† {method} was trained through this judge." for method in sorted(numbers.through))]
    rows = by_rows([[name_cell(numbers.label(method)) for method in methods or _methods(numbers)], *columns])
    return Table(kind, caption, ("method", *headings), rows, tuple(notes), numbers.group.title, marks)


def _shaded(cells: list[Cell]) -> list[Cell]:
    values = [cell.order for cell in cells if isinstance(cell.order, float)]
    if len(set(values)) < 2:
        return cells
    low, span = min(values), max(values) - min(values)
    return [replace(cell, shade=(cell.order - low) / span) if isinstance(cell.order, float) else cell for cell in cells]
