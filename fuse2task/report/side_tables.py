"""Tables beside the task metrics: image scores, rank correlations, average ranks, costs, published numbers."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fuse2task.report.estimates import Numbers
from fuse2task.report.tables import (
    Cell,
    Table,
    by_rows,
    name_cell,
    number_cell,
    p_text,
    p_value,
    placed,
    plain,
    plain_cell,
    signed,
    text_cell,
)
from fuse2task.results.entries import ours_text, spread_text, theirs_text
from fuse2task.results.tables import Group

COSTS = {"parameters": "parameters", "GMAC": "GMAC a pair", "ms": "ms a pair", "peak_memory": "peak memory, MiB"}


def score_table(group: Group, higher_is_better: Mapping[str, bool]) -> Table:
    """Image scores of every method, means over images; best and second best where the direction is known."""
    numbers = Numbers(group, "", math.nan)
    columns = [[name_cell(method) for method in numbers.methods]]
    scores = numbers.metrics()
    for score in scores:
        estimates = [numbers.estimate(method, score) for method in numbers.methods]
        cells = [Cell("–") if item is None else plain_cell(item.value, item.low, item.high) for item in estimates]
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
    cells = [
        (
            name_cell(row["score"]), text_cell(row["column"]),
            number_cell(row["spearman"], signed), number_cell(row["spearman_p"], p_value),
            number_cell(row["kendall"], signed), number_cell(row["kendall_p"], p_value),
        )
        for _, row in rows.iterrows()
    ]  # fmt: skip
    headings = ("score", "metric", "Spearman ρ", "p", "Kendall τ", "p of τ")
    return Table("correlations", "Rank correlation of scores with task metrics", headings, tuple(cells))


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
        f"Friedman test over {entry['n']} {entry['blocks']}: {p_text(entry['p_value'])}. Nemenyi's critical difference "
        f"at the {100 * (1 - alpha):g} % level: {entry['critical_difference']:.2f} ranks. Rank 1 is best.",
    )
    return Table("ranking", caption, ("method", "average rank", "Nemenyi"), tuple(rows), notes, context)


def cost_table(costs: pd.DataFrame) -> Table:
    """Parameters, arithmetic, time and memory of every method."""
    columns = [[name_cell(method) for method in costs["method"]]]
    for key in COSTS:
        columns.append([number_cell(value, plain) for value in costs[key]])
    columns.append([text_cell(device) for device in costs["device"]])
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
