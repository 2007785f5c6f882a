"""Many judges in one table: values and ranks by every judge, agreement, verdicts; methods trained through a judge."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fuse2task.report.study import Panel
from fuse2task.report.tables import (
    Cell,
    Table,
    by_rows,
    first_of,
    fraction,
    interval,
    level_text,
    name_cell,
    p_text,
    placed,
    signed,
)
from fuse2task.results.schema import JUDGES_SAY, OPEN, significance

FEW = 5  # judges; with fewer an interval over judges is a hint


def judge_panels(entries: Sequence[Mapping[str, Any]], truth_name: Callable[[str], str]) -> list[Panel]:
    """One panel for each entry of judges.json that has several judges; truth_name: of a truth's hash."""
    panels = []
    for entry in entries:
        if len(entry["judges"]) > 1:
            truth = truth_name(entry["truth_hash"])  # none of several datasets together
            parts = (entry["dataset"], entry["task"], f"{len(entry['judges'])} judges", truth and f"truth {truth}")
            heading = " · ".join(part for part in parts if part)
            panels.append(Panel(heading, _table(entry, heading), (), tuple(sentences(entry))))
    return panels


def sentences(entry: Mapping[str, Any]) -> list[str]:
    """What the judges say together."""
    judges, alpha = entry["judges"], significance(entry["level"])
    found = []
    if entry["w"] is not None:
        ends = interval(_float(entry["w_low"]), _float(entry["w_high"]))
        random = "" if entry["w_p"] < alpha else ", which judges that rank at random reach as well"
        found.append(
            f"{len(judges)} judges rank {len(entry['methods'])} methods with Kendall's W {fraction(entry['w'])} {ends} "
            f"({p_text(entry['w_p'])}{random}); 1 is full agreement."
        )
    tested = sorted((row for row in entry["methods"] if row["verdict"]), key=lambda row: row["mean_rank"])
    for text in dict.fromkeys((*JUDGES_SAY, *(row["verdict"] for row in tested))):
        if names := "; ".join(first_of([_verdict(row, judges) for row in tested if row["verdict"] == text])):
            found.append(f"The difference from {entry['baseline']} {'is ' if text == OPEN else ''}{text}: {names}.")
    found += [through_note(row["method"], row["trained_through"]) + _without(row)
              for row in entry["methods"] if row["trained_through"]]  # fmt: skip
    if entry["one_training"]:
        found.append(f"{', '.join(entry['one_training'])}: one training is one draw, so nothing is significant there.")
    return found


def through_note(method: str, judges: Sequence[str]) -> str:
    """What † means."""
    return f"† {method} was trained through {' and '.join(judges)}: there it is judged by its own teacher."


def _without(row: Mapping[str, Any]) -> str:
    return f" Without: {row['verdict_without']}." if row["verdict_without"] else ""


def _verdict(row: Mapping[str, Any], judges: Sequence[str]) -> str:
    if len(judges) > FEW:  # a sentence of fifty numbers is a table
        return str(row["method"])
    parts = [f"{name} {signed(_float(row['differences'][name]))}{'*' if name in row['significant'] else ''}"
             for name in judges]  # fmt: skip
    return f"{row['method']} ({', '.join(parts)})"


def _table(entry: Mapping[str, Any], context: str) -> Table:
    rows = sorted(entry["methods"], key=lambda row: row["mean_rank"])
    columns = [[name_cell(row["method"]) for row in rows]]
    for judge in entry["judges"]:
        columns.append(placed([
            Cell(fraction(row["values"][judge]) + ("†" if judge in row["trained_through"] else ""),
                 row["values"][judge], f"rank {row['ranks'][judge]:g}", mark=_mark(row, judge))
            for row in rows
        ]))  # fmt: skip
    columns.append([Cell(f"{row['mean_rank']:.2f}", row["mean_rank"], _ends(row, "rank", ".1f")) for row in rows])
    columns.append([_standardised(row) for row in rows])
    columns.append([_verdict_cell(row) for row in rows])
    headings = ("method", *entry["judges"], "mean rank", "standardised", f"against {entry['baseline']}")
    notes = [
        f"{entry['metric']} by each judge; compare methods within a column only.",
        f"Standardised: the difference from {entry['baseline']} in standard deviations of the methods at that judge, "
        "mean over judges.",
        "Intervals of the last numbers draw images and judges"
        + (f"; with {len(entry['judges'])} judges they are a hint." if len(entry["judges"]) < FEW else "."),
    ]
    notes += [through_note(row["method"], row["trained_through"]) for row in rows if row["trained_through"]]
    marks = (
        f"▲ significantly better, ▼ significantly worse than {entry['baseline']} at that judge (paired on the same "
        f"images, Holm-adjusted p < {level_text(significance(entry['level']))})."
    )
    caption = f"{entry['metric']} by every judge"
    return Table("judges", caption, headings, by_rows(columns), tuple(notes), context, marks, entry["baseline"])


def _verdict_cell(row: Mapping[str, Any]) -> Cell:
    without = f"without †: {row['verdict_without']}" if row["verdict_without"] else ""
    return Cell(row["verdict"] or "baseline", row["verdict"] or None, without)


def _mark(row: Mapping[str, Any], judge: str) -> str:
    if judge not in row["significant"]:
        return ""
    return "better" if _float(row["differences"][judge]) > 0 else "worse"


def _standardised(row: Mapping[str, Any]) -> Cell:
    value = _float(row["standardised"])
    if math.isnan(value):
        return Cell("–")
    return Cell(f"{value:+.2f}".replace("-", "−"), value, _ends(row, "standardised", "+.1f"))


def _ends(row: Mapping[str, Any], name: str, form: str) -> str:
    low, high = _float(row[f"{name}_low"]), _float(row[f"{name}_high"])
    return "" if math.isnan(low + high) else f"[{low:{form}}, {high:{form}}]".replace("-", "−")


def _float(value: float | None) -> float:
    return math.nan if value is None else value
