"""The report as one HTML file that needs nothing else: styles, script, drawings and pictures are inside."""

import math
from collections.abc import Sequence

import pandas as pd

import fuse2task
from fuse2task.report import pareto, rank_plots
from fuse2task.report.comparability import KEYS, Group, refusals, warnings
from fuse2task.report.contents import Contents
from fuse2task.report.estimates import MAIN
from fuse2task.report.findings import opening_sentences
from fuse2task.report.provenance import method_rows
from fuse2task.report.published import published_table
from fuse2task.report.side_tables import correlation_table, cost_table, ranking_table, score_table
from fuse2task.report.study import Panel, Study
from fuse2task.report.sweeps import Sweep
from fuse2task.report.tables import Cell, Table, name_cell
from fuse2task.report.viewer import viewer_scenes

COLUMNS = 6  # beyond this the map of correlations shows main metrics only; the table has all
FEW = 10  # methods; with ten, a rank correlation of about .65 is significant


def render(contents: Contents, groups: Sequence[Group], studies: Sequence[Study], sweeps: Sequence[Sweep]) -> str:
    """The page's text. Every name from a file is escaped by the template."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("fuse2task.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        title=", ".join(dict.fromkeys(contents.results["dataset"])),
        methods=list(dict.fromkeys(contents.results["method"])),
        studies=studies,
        sweeps=sweeps,
        openings=opening_sentences(contents),
        scenes=viewer_scenes(contents),
        scores=_scores(contents, groups),
        rankings=_rankings(contents),
        costs=_costs(contents, studies),
        published=published_table(contents.published) if contents.published else None,
        refusals=refusals(list(groups)),
        warnings=warnings(list(groups), contents.results),
        provenance=[_keys_table(groups), *method_rows(contents)],
        recipe=contents.recipe_text,
        version=fuse2task.__version__,
    )


def _scores(contents: Contents, groups: Sequence[Group]) -> list[Panel]:
    panels = [
        Panel(group.title.replace(" · quality", ""), score_table(group, contents.directions))
        for group in groups
        if group.keys["task"] == "quality"
    ]
    tables = contents.correlations
    for number, ((dataset, profile), rows) in enumerate(tables.groupby(["dataset", "profile"], sort=False)):
        heading = f"Do scores of profile {profile} predict use on {dataset}?"
        panels.append(_correlation_panel(contents, heading, rows, f"correlation{number}"))
    return panels


def _correlation_panel(contents: Contents, heading: str, rows: pd.DataFrame, name: str) -> Panel:
    telling = [name for name in ("judge", "truth_hash") if rows[name].nunique() > 1]
    rows = rows.assign(column=[_column(contents, row, telling) for _, row in rows.iterrows()])
    columns = list(dict.fromkeys(rows["column"]))
    if len(columns) > COLUMNS:
        columns = list(dict.fromkeys(rows[rows["metric"].isin(MAIN.values())]["column"]))
    values = {(row["score"], row["column"]): (row["spearman"], row["spearman_p"]) for _, row in rows.iterrows()}
    drawing = rank_plots.correlation_map(list(dict.fromkeys(rows["score"])), columns, values, name)
    methods = int(rows["methods"].min()) if rows["methods"].notna().any() else 0
    sentences = (
        f"Spearman's rank correlation over {methods} methods; bold: p < .05 for this cell alone. "
        + ("With so few methods only near-perfect agreement can be told from chance." if methods < FEW else ""),
    )
    return Panel(heading, correlation_table(rows), (drawing,), sentences, fold="All correlations as a table")


def _column(contents: Contents, row: pd.Series, telling: Sequence[str]) -> str:
    shown = {"judge": row["judge"], "truth_hash": contents.truth_name(row["truth_hash"])}
    return ", ".join([row["metric"], *(shown[name] for name in telling)])


def _rankings(contents: Contents) -> list[Panel]:
    panels = []
    for number, entry in enumerate(contents.ranking):
        drawing = rank_plots.rank_plot(entry["methods"], entry["ranks"], entry["critical_difference"], f"rank{number}")
        truth = contents.truth_name(str(entry.get("truth_hash", "")))
        heading = ", ".join([*(entry[key] for key in ("dataset", "task", "judge")), f"truth {truth}"])
        panels.append(Panel(heading, ranking_table(entry), (drawing,)))
    return panels


def _costs(contents: Contents, studies: Sequence[Study]) -> Panel | None:
    if contents.costs.empty:
        return None
    ms = {row["method"]: row["ms"] for _, row in contents.costs.iterrows() if not math.isnan(row["ms"])}
    drawings = []
    for number, study in enumerate(studies):
        points = {method: (ms[method], value) for method, value in study.numbers.ranked() if method in ms}
        if len(points) > 1:
            title = (
                f"{study.numbers.main} · {study.numbers.group.keys['dataset']} · {study.numbers.group.keys['judge']}"
            )
            drawings.append(pareto.pareto_plot(points, title, f"cost{number}"))
    return Panel("Cost beside use", cost_table(contents.costs), tuple(drawings))


def _keys_table(groups: Sequence[Group]) -> Table:
    """What must agree for rows to be compared, one row a table."""
    columns = [*KEYS, "runs", "package versions"]
    rows = []
    for number, group in enumerate(groups, 1):
        values = [group.keys[key] for key in KEYS]
        values[KEYS.index("truth_hash")] = " ".join(dict.fromkeys([group.truth, group.keys["truth_hash"]]))
        values += [", ".join(dict.fromkeys(group.results[name])) for name in ("run", "versions_hash")]
        rows.append((name_cell(str(number)), *(Cell(value or "–", value) for value in values)))
    headings = ("table", *(name.replace("_", " ") for name in columns))
    return Table("keys", "Keys of every table: rows are compared only where all agree", headings, tuple(rows))
