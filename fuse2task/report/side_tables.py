"""Tables beside the task metrics: image scores, their correlations with use, rankings, costs."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from fuse2task.report.estimates import Estimate, Numbers
from fuse2task.report.tables import Cell, Table, by_rows, fraction, name_cell, p_value, placed, plain
from fuse2task.results.groups import Group

COSTS = {"parameters": "parameters", "GMAC": "GMAC a pair", "ms": "ms a pair", "peak_memory": "peak memory, MiB"}


def score_table(group: Group, higher_is_better: Mapping[str, bool]) -> Table:
    """Image scores of every method, means over images; best and second best where the direction is known."""
    numbers = Numbers(group, "")
    columns = [[name_cell(method) for method in numbers.methods]]
    scores = numbers.metrics()
    for score in scores:
        estimates = [numbers.estimate(method, score) for method in numbers.methods]
        cells = [
            Cell("–") if item is None else Cell(plain(item.value), float(item.value), _interval(item))
            for item in estimates
        ]
        columns.append(placed(cells, higher_is_better[score]) if score in higher_is_better else cells)
    lower = [score for score in scores if not higher_is_better.get(score, True)]
    note = f"Higher is better{', except for ' + ', '.join(lower) if lower else ''}."
    if not set(scores) <= set(higher_is_better):
        note = "Which direction is better is not known for every score."
    note += " These scores judge images, not what the images are used for."
    headings = ("method", *scores)
    return Table("scores", "Means over images", headings, by_rows(columns), (note,), group.title)


def correlation_table(rows: pd.DataFrame) -> Table:
    """Spearman's and Kendall's correlation of every score with every task metric, which `column` of the rows names."""
    cells = [
        (
            name_cell(row["score"]), Cell(row["column"], row["column"]),
            _signed(row["spearman"]), Cell(p_value(row["spearman_p"]) or "–", _order(row["spearman_p"])),
            _signed(row["kendall"]), Cell(p_value(row["kendall_p"]) or "–", _order(row["kendall_p"])),
        )
        for _, row in rows.iterrows()
    ]  # fmt: skip
    headings = ("score", "metric", "Spearman ρ", "p", "Kendall τ", "p of τ")
    return Table("correlations", "Rank correlation of scores with task metrics", headings, tuple(cells))


def ranking_table(entry: Mapping[str, Any]) -> Table:
    """Average ranks of one Friedman test with Nemenyi's critical difference."""
    order = sorted(zip(entry["methods"], entry["ranks"], strict=True), key=lambda item: item[1])
    best = order[0][1]
    rows = []
    for place, (method, rank) in enumerate(order, 1):
        apart = rank - best > entry["critical_difference"]
        gap = "best" if place == 1 else "apart from the best" if apart else "not told apart from the best"
        rows.append(
            (name_cell(method), Cell(f"{rank:.2f}", float(rank), place=place if place < 3 else 0), Cell(gap, gap))
        )
    caption = f"Average ranks by {entry['metric']}"
    context = f"{entry['dataset']} · {entry['task']} · {entry['judge']}"
    notes = (
        f"Friedman test over {entry['n']} {entry['blocks']}: p {_p(entry['p_value'])}. "
        f"Nemenyi's critical difference {entry['critical_difference']:.2f} ranks (5 % level). Rank 1 is best.",
    )
    return Table("ranking", caption, ("method", "average rank", "Nemenyi"), tuple(rows), notes, context)


def cost_table(costs: pd.DataFrame) -> Table:
    """Parameters, arithmetic, time and memory of every method."""
    columns = [[name_cell(method) for method in costs["method"]]]
    for key in COSTS:
        columns.append([Cell(plain(value) or "–", _order(value)) for value in costs[key]])
    columns.append([Cell(device or "–", device or None) for device in costs["device"]])
    note = "For one pair at the data set's image size. – : unknown, such as for a folder of finished images."
    return Table("costs", "Cost of fusing", ("method", *COSTS.values(), "device"), by_rows(columns), (note,))


def _interval(item: Estimate) -> str:
    return "" if math.isnan(item.low + item.high) else f"[{plain(item.low)}, {plain(item.high)}]"


def _signed(value: float) -> Cell:
    return Cell("–") if math.isnan(value) else Cell(fraction(value, signed=True), float(value))


def _order(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _p(value: float) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"
