"""Sweeps over degradation levels: curves, areas under them, and comparison with the better single camera."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from fuse2task.report import tables
from fuse2task.report.charts import Point, sweep_curves
from fuse2task.report.contents import Contents
from fuse2task.report.metric_tables import ONE_TRAINING
from fuse2task.report.tables import Cell, Table, by_rows, interval, name_cell, number_cell, p_value, placed, text_cell
from fuse2task.results.schema import ABOUT, SINGLE, VERDICTS
from fuse2task.tasks import find_task

SCORES = 12  # charts of image scores; beyond this only tables are shown
JUDGED = tuple(name for name in ABOUT if name != "kind")
Row = Mapping[Hashable, Any]


@dataclass(frozen=True)
class Sweep:
    """All kinds of one dataset and judge.

    sentences: one a kind, introduced by `intro`; none for image scores. drawings: for each metric one a kind. areas:
    one a metric; others: tables that are folded away.
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
        found.append(_sweep(points[points["class"] == "all"], areas, f"sweep{number}", contents.alpha))
    return found


def _sweep(points: pd.DataFrame, areas: pd.DataFrame, name: str, alpha: float) -> Sweep:
    about = areas.iloc[0]
    title = " · ".join(part for part in (about["dataset"], about["task"], about["protocol"], about["judge"]) if part)
    overall = areas[areas["class"] == "all"]
    task = find_task(about["task"])
    scored = not task.is_judged
    present = list(dict.fromkeys(overall["metric"]))
    metrics = present if scored else [metric for metric in task.sweep_metrics if metric in present]
    shown = [] if scored and len(metrics) * overall["kind"].nunique() > SCORES else metrics
    drawings = tuple(_drawings(points[points["metric"] == metric], metric, name) for metric in shown)
    own = {metric: overall[overall["metric"] == metric] for metric in metrics}
    once = about["protocol"] == "retrain" and bool((areas["seeds"] == 1).all())
    area_tables = tuple(
        _area_table(rows, metric, title, scored, 0.0 if once else alpha) for metric, rows in own.items()
    )
    if scored:
        return Sweep(title, "", (), drawings, (), area_tables)
    main = own[metrics[0]]
    sentences = [_sentence(rows) for _, rows in main[~main["method"].isin(SINGLE)].groupby("kind", sort=False)]
    others = tuple(_level_table(rows, metric, title) for metric, rows in own.items())
    intro = f"Significant differences in {metrics[0]} from the single camera that is better at the same level:"
    intro = f"{ONE_TRAINING} {intro}" if once else intro
    return Sweep(title, intro, tuple(sentences), drawings, area_tables, others)


def _drawings(points: pd.DataFrame, metric: str, name: str) -> tuple[str, ...]:
    """One chart a kind, all on one scale."""
    methods = [method for method in dict.fromkeys(points["method"]) if method not in SINGLE]
    colours = {method: number for number, method in enumerate(methods)}
    found: dict[str, dict[str, list[Point]]] = {}
    for row in points.sort_values("level", kind="stable").to_dict("records"):
        significant = row["verdict"] in ("above", "below")
        point = Point(row["level"], row["value"], row["ci_low"], row["ci_high"], significant)
        found.setdefault(row["kind"], {}).setdefault(row["method"], []).append(point)
    ends = points[["value", "ci_low", "ci_high"]].to_numpy(float)
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    margin = 0.04 * (high - low) or 0.05
    limits = (0.0 if 0 <= low < high / 2 else low - margin, high + margin)
    drawings = []
    for number, kind in enumerate(dict.fromkeys(points["kind"])):
        series = {method: found[kind][method] for method in (*SINGLE, *methods) if method in found[kind]}
        drawings.append(sweep_curves(f"{metric} under {kind}", series, limits, colours, f"{name}-{metric}-{number}"))
    return tuple(drawings)


def _area_table(rows: pd.DataFrame, metric: str, title: str, scored: bool, alpha: float) -> Table:
    """Methods by kinds: the area with its interval, marked where it differs significantly from the better camera's."""
    methods, kinds = (list(dict.fromkeys(rows[name])) for name in ("method", "kind"))
    columns = [[name_cell(method) for method in methods]]
    for kind in kinds:
        own = {row["method"]: row for row in rows[rows["kind"] == kind].to_dict("records")}
        cells = [_area_cell(own[method], scored, alpha) if method in own else Cell("–") for method in methods]
        columns.append(cells if scored else placed(cells))
    levels = dict(zip(rows["kind"], rows["levels"], strict=True))
    listed = "; ".join(f"{kind} {text.replace(' ', ', ')}" for kind, text in levels.items())
    notes = [f"Mean of {metric} over the levels (trapezoidal area divided by their range).", f"Levels: {listed}."]
    if not scored:
        marks = "▲ significantly above, ▼ significantly below the single camera with the larger area"
        notes.append(f"{marks} (Holm-adjusted p < {tables.level_text(alpha)})." if alpha else ONE_TRAINING)
    return Table("areas", f"Area under {metric}", ("method", *kinds), by_rows(columns), tuple(notes), title,
                 reference="the better single camera")  # fmt: skip


def _area_cell(row: Row, scored: bool, alpha: float) -> Cell:
    if scored:
        return tables.plain_cell(row["area"], row["ci_low"], row["ci_high"])
    mark = "" if not row["p_holm"] < alpha else "better" if row["difference"] > 0 else "worse"
    return replace(number_cell(row["area"], detail=interval(row["ci_low"], row["ci_high"])), mark=mark)


def _level_table(rows: pd.DataFrame, metric: str, title: str) -> Table:
    """Kinds and methods: drop, differences of the areas, and the levels at which a fused method differs."""

    def cell(row: Row, name: str) -> Cell:
        return tables.difference_cell(row[name], row[f"{name}_low"], row[f"{name}_high"])

    cells = tuple(
        (
            name_cell(row["kind"]), text_cell(row["method"]),
            number_cell(row["drop"], detail=interval(row["drop_low"], row["drop_high"])),
            cell(row, "difference"), text_cell(row["best_single"]), number_cell(row["p_holm"], p_value),
            cell(row, "to_baseline"), number_cell(row["to_baseline_p_holm"], p_value),
            *(Cell(ranges(row[name]) or "–", row[name] or None) for name in VERDICTS),
        )
        for row in rows.to_dict("records")
    )  # fmt: skip
    baseline = next((name for name in rows["baseline"] if name), "baseline")
    headings = ("kind", "method", "drop", "area − better camera", "better camera", "p (Holm)", f"area − {baseline}",
                "p (Holm)", *(f"{words} at" for words in VERDICTS.values()))  # fmt: skip
    note = (
        "Drop: from the first level to the last. Better camera: for areas the one with the larger area, at a level the "
        "one that is better there. Holm's correction is over the fused methods, for each area and level separately; "
        f"for differences from {baseline} it is over all other methods."
    )
    caption = f"{metric}: drops, and levels at which fused methods differ from the better single camera"
    return Table("levels", caption, headings, cells, (note,), title)


def _sentence(rows: pd.DataFrame) -> str:
    """The levels of one kind at which the fused methods differ from the better camera, and where that changes."""
    never, parts = [], []
    for row in rows.to_dict("records"):
        at = {level: name for name in VERDICTS for level in row[name].split()}
        if set(at.values()) <= {"not_told_apart"}:
            never.append(row["method"])
            continue
        told = {words: row[name] for name, words in VERDICTS.items() if row[name]}
        places = ", ".join(f"{words} at level{'s' * (' ' in at)} {ranges(at)}" for words, at in told.items())
        turned = turns([(level, at[level]) for level in row["levels"].split() if level in at])
        parts.append(f"{row['method']} is {places}" + (f" ({', '.join(turned)})" if turned else ""))
    if never:
        parts.append(f"no significant difference at any level for {', '.join(never)}")
    return f"{rows.iloc[0]['kind']}: {'; '.join(parts)}."


def turns(verdicts: Sequence[tuple[str, str]]) -> list[str]:
    """The levels at which a method rises above the better camera, or falls below it."""
    words = {"above": "overtakes", "below": "falls behind"}
    changed = [(level, now) for (_, before), (level, now) in pairwise(verdicts) if now != before]
    return [f"{words[now]} at level {level}" for level, now in changed if now in words]


def ranges(levels: str) -> str:
    """`0 1 2 4` as `0–2, 4`."""
    numbers = np.array(levels.split(), dtype=int)
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1) if levels else []
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
