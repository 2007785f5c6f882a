"""Sweeps over conditions: curves, areas under them, and where fused images overtake the best single camera."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from fuse2task.report.charts import Point, sweep_curves
from fuse2task.report.contents import Contents
from fuse2task.report.estimates import ALPHA, SINGLE
from fuse2task.report.sweep_tables import METRICS
from fuse2task.report.tables import Cell, Table, fraction, interval, name_cell, p_value, placed, plain
from fuse2task.results.schema import ABOUT

SCORES = 12  # charts of image scores; with more the tables tell
VERDICTS = {"above": "above", "not_told_apart": "not told apart", "below": "below"}
JUDGED = tuple(name for name in ABOUT if name != "kind")
Row = Mapping[Hashable, Any]


@dataclass(frozen=True)
class Sweep:
    """All kinds of one dataset and judge.

    sentences: one a kind, told by `intro`; none for image scores. drawings: for each metric one a kind. areas: one a
    metric; others: tables that are folded away.
    """

    title: str
    intro: str
    sentences: tuple[str, ...]
    drawings: tuple[tuple[str, ...], ...]
    areas: tuple[Table, ...]
    others: tuple[Table, ...]


def sweeps(contents: Contents) -> list[Sweep]:
    """One for each dataset and judge (or profile of scores) that robustness.csv has."""
    found = []
    for number, (values, areas) in enumerate(contents.robustness.groupby(list(JUDGED), sort=False)):
        points = contents.conditions
        points = points[(points[list(JUDGED)] == list(values)).all(axis=1)]
        found.append(_sweep(points[points["class"] == "all"], areas, f"sweep{number}"))
    return found


def _sweep(points: pd.DataFrame, areas: pd.DataFrame, name: str) -> Sweep:
    about = areas.iloc[0]
    title = " · ".join(part for part in (about["dataset"], about["task"], about["protocol"], about["judge"]) if part)
    overall = areas[areas["class"] == "all"]
    scored = about["task"] == "quality"
    present = list(dict.fromkeys(overall["metric"]))
    metrics = present if scored else [metric for metric in METRICS[about["task"]] if metric in present]
    shown = [] if scored and len(metrics) * overall["kind"].nunique() > SCORES else metrics
    drawings = tuple(_drawings(points[points["metric"] == metric], metric, name) for metric in shown)
    tables = tuple(_area_table(overall[overall["metric"] == metric], metric, title, scored) for metric in metrics)
    if scored:
        return Sweep(title, "", (), drawings, (), tables)
    main = overall[overall["metric"] == metrics[0]]
    told = [_told(rows) for _, rows in main[~main["method"].isin(SINGLE)].groupby("kind", sort=False)]
    others = tuple(_level_table(overall[overall["metric"] == metric], metric, title) for metric in metrics)
    intro = f"{metrics[0]} of fused images beside the single camera that is better at each level:"
    return Sweep(title, intro, tuple(told), drawings, tables, others)


def _drawings(points: pd.DataFrame, metric: str, name: str) -> tuple[str, ...]:
    """One chart a kind, all on one scale."""
    methods = [method for method in dict.fromkeys(points["method"]) if method not in SINGLE]
    colours = {method: number for number, method in enumerate(methods)}
    found: dict[str, dict[str, list[Point]]] = {}
    for row in points.sort_values("level", kind="stable").to_dict("records"):
        significant = row["verdict"] in ("above", "below")
        point = Point(row["level"], row["value"], row["ci_low"], row["ci_high"], significant)
        found.setdefault(row["kind"], {}).setdefault(row["method"], []).append(point)
    kinds = list(dict.fromkeys(points["kind"]))
    ends = points[["value", "ci_low", "ci_high"]].to_numpy(float)
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    margin = 0.04 * (high - low) or 0.05
    limits = (0.0 if 0 <= low < high / 2 else low - margin, high + margin)
    return tuple(
        sweep_curves(f"{metric} under {kind}", _in_order(found[kind], methods), limits, colours,
                           f"{name}-{metric}-{number}")
        for number, kind in enumerate(kinds)
    )  # fmt: skip


def _in_order(series: Mapping[str, list[Point]], methods: Sequence[str]) -> dict[str, list[Point]]:
    return {method: series[method] for method in (*SINGLE, *methods) if method in series}


def _area_table(rows: pd.DataFrame, metric: str, title: str, scored: bool) -> Table:
    """Methods by kinds: the area with its interval, marked where it differs from the best camera's beyond chance."""
    methods, kinds = (list(dict.fromkeys(rows[name])) for name in ("method", "kind"))
    columns = [[name_cell(method) for method in methods]]
    for kind in kinds:
        own = {row["method"]: row for row in rows[rows["kind"] == kind].to_dict("records")}
        cells = [_area_cell(own.get(method), scored) for method in methods]
        columns.append(cells if scored else placed(cells))
    levels = dict(zip(rows["kind"], rows["levels"], strict=True))
    told = "; ".join(f"{kind} {text.replace(' ', ', ')}" for kind, text in levels.items())
    notes = [
        f"Mean height of the curve over its levels (trapezoidal area over their range), in the unit of {metric}.",
        f"Levels: {told}.",
    ]
    if not scored:
        notes.append("▲ above, ▼ below the single camera with the larger area, beyond chance after Holm's correction.")
    rows_of_cells = tuple(zip(*columns, strict=True))
    return Table("areas", f"Area under {metric}", ("method", *kinds), rows_of_cells, tuple(notes), title)


def _area_cell(row: Row | None, scored: bool) -> Cell:
    if row is None or math.isnan(row["area"]):
        return Cell("–")
    if scored:
        ends = "" if math.isnan(row["ci_low"]) else f"[{plain(row['ci_low'])}, {plain(row['ci_high'])}]"
        return Cell(plain(row["area"]), float(row["area"]), ends)
    mark = "" if not row["p_holm"] < ALPHA else "better" if row["difference"] > 0 else "worse"
    return Cell(fraction(row["area"]), float(row["area"]), interval(row["ci_low"], row["ci_high"]), mark=mark)


def _level_table(rows: pd.DataFrame, metric: str, title: str) -> Table:
    """Kinds and methods: drop, difference of the areas, and at which levels a fused image lies where."""
    cells = []
    for row in rows.to_dict("records"):
        cells.append((
            name_cell(row["kind"]), Cell(row["method"], row["method"]),
            Cell(fraction(row["drop"]), float(row["drop"]), interval(row["drop_low"], row["drop_high"])),
            _difference_cell(row, "difference"), Cell(row["best_single"] or "–", row["best_single"] or None),
            _p_cell(row["p_holm"]), _difference_cell(row, "to_baseline"), _p_cell(row["to_baseline_p_holm"]),
            *(Cell(ranges(row[name]) or "–", row[name] or None) for name in VERDICTS),
        ))  # fmt: skip
    baseline = next((name for name in rows["baseline"] if name), "baseline")
    headings = ("kind", "method", "drop", "area − best camera", "best camera", "p (Holm)", f"area − {baseline}",
                "p (Holm)", "above at", "not told apart at", "below at")  # fmt: skip
    note = (
        "Drop: from the first level to the last. Best camera of an area: the one with the larger area; of a level: the "
        "one that is better there. Holm's correction is over the fused methods, for each area and level by itself; for "
        f"differences from {baseline} over all other methods."
    )
    caption = f"{metric}: drops, and levels beside the best single camera"
    return Table("levels", caption, headings, tuple(cells), (note,), title)


def _difference_cell(row: Row, name: str) -> Cell:
    if math.isnan(row[name]):
        return Cell("–")
    ends = interval(row[f"{name}_low"], row[f"{name}_high"], signed=True)
    return Cell(fraction(row[name], signed=True), float(row[name]), ends)


def _p_cell(p: float) -> Cell:
    return Cell(p_value(p) or "–", None if math.isnan(p) else float(p))


def _told(rows: pd.DataFrame) -> str:
    """Where the fused methods lie to the better camera under one kind, and at which levels that changes."""
    never, parts = [], []
    for row in rows.to_dict("records"):
        at = {level: name for name in VERDICTS for level in row[name].split()}
        if set(at.values()) <= {"not_told_apart"}:
            never.append(row["method"])
            continue
        places = ", ".join(f"{VERDICTS[name]} at {ranges(row[name])}" for name in VERDICTS if row[name])
        turned = turns([(level, at[level]) for level in row["levels"].split() if level in at])
        parts.append(f"{row['method']} {places}" + (f" ({', '.join(turned)})" if turned else ""))
    if never:
        parts.append(f"{', '.join(never)} not told apart at any level")
    return f"{rows.iloc[0]['kind']}: {'; '.join(parts)}."


def turns(verdicts: Sequence[tuple[str, str]]) -> list[str]:
    """The levels at which a method gets above the best camera, or below it, from one level to the next."""
    words = {"above": "overtakes", "below": "falls behind"}
    return [
        f"{words[now]} at level {level}"
        for (_, before), (level, now) in pairwise(verdicts)
        if now != before and now in words
    ]


def ranges(levels: str) -> str:
    """`0 1 2 4` as `0–2, 4`."""
    runs: list[list[int]] = []
    for level in map(int, levels.split()):
        if runs and runs[-1][-1] == level - 1:
            runs[-1].append(level)
        else:
            runs.append([level])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
