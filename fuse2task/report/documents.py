"""Files of the report: one HTML page that needs nothing else, Markdown, CSV and LaTeX.

Tables are not by pandas: its LaTeX leaves opening brackets and Unicode signs as they are, its Markdown does not escape
names.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

import fuse2task
from fuse2task.report.charts import correlation_map, pareto_plot, rank_plot
from fuse2task.report.contents import Contents, read_contents
from fuse2task.report.estimates import Numbers
from fuse2task.report.judges import judge_panels
from fuse2task.report.metric_tables import correlation_table, cost_table, published_table, ranking_table, score_table
from fuse2task.report.provenance import keys_table, method_tables, opening_sentences, refusals, warnings
from fuse2task.report.study import Panel, Study, studies
from fuse2task.report.sweeps import Sweep, sweeps
from fuse2task.report.tables import Cell, Table
from fuse2task.report.viewer import viewer_scenes
from fuse2task.runtime.files import write_text
from fuse2task.runtime.reading import harmless
from fuse2task.tasks import find_task

COLUMNS = 6  # beyond this the map of correlations shows main metrics only; the table has all
FEW = 10  # methods; with ten, a rank correlation of about .65 is significant
MARKS = {"better": "▲", "worse": "▼", "": ""}
# Names of files and classes may hold anything; an opening bracket after a row's end would be taken for its option.
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "−": "$-$", "±": r"$\pm$", "·": r"\textperiodcentered{}", "–": "--", "▲": r"$\uparrow$",
    "†": r"$\dagger$", "▼": r"$\downarrow$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "\u2009": r"\,", "\u00a0": "~",
    "\n": " ", "[": "{[}", "]": "{]}",
}  # fmt: skip
SUMMARY = (
    "dataset", "task", "protocol", "judge", "truth", "image_size", "split_hash", "truth_hash", "judge_hash",
    "recipe_hash", "method", "metric", "class", "value", "ci_low", "ci_high", "deviation", "seeds", "n_images",
    "baseline", "difference", "difference_low", "difference_high", "p_holm", "smallest_detectable",
)  # fmt: skip


def write_report(folder: Path) -> Path:
    """Write `report/index.html`, `summary.md`, `summary.csv` and `summary.tex` of the bench folder `folder`.

    Returns:
        The path of index.html, one file of at most about 15 MB that opens offline and asks for nothing.

    Raises:
        RequestError: the folder has no results, or a file of it is not what it should be.
    """
    contents = read_contents(folder)
    groups = contents.groups
    baseline = str(contents.recipe.get("baseline") or "")
    found = studies(groups, baseline, contents.alpha, contents.judges)
    out = Path(folder) / "report"
    swept = sweeps(contents)
    together, scores = judge_panels(contents.judges, contents.truth_name), _scores(contents)
    write_text(out / "summary.md", _markdown(contents, found, swept, together, scores))
    write_text(out / "summary.csv", summary_csv([Numbers(group, baseline, contents.alpha) for group in groups]))
    write_text(out / "summary.tex", _latex(found, swept, together, scores))
    write_text(out / "index.html", html_page(contents, found, swept, together, scores))
    return out / "index.html"


def _markdown(
    contents: Contents, found: Sequence[Study], swept: Sequence[Sweep], together: Sequence[Panel],
    scores: Sequence[Panel],
) -> str:  # fmt: skip
    def listed(sentences: Iterable[str]) -> list[str]:
        return [*(f"- {escape(sentence)}" for sentence in sentences), ""]

    escape, groups = markdown_text, contents.groups
    notes = [*opening_sentences(contents), *refusals(groups), *warnings(groups, contents.results)]
    parts = ["# Benchmark", "", *listed(notes)]
    for panel in together:
        parts += [f"## {escape(panel.heading)}", "", *listed(panel.sentences)]
        parts += [markdown(table) for table in (panel.table,) if table]
    for study in found:
        parts += [f"## {escape(study.finding.title)}", "", escape(study.finding.headline), ""]
        panels = [*study.panels, *([study.sensitivity] if study.sensitivity else [])]
        tables = [study.summary, *(panel.table for panel in panels if panel.table), *study.others]
        parts += [*listed(study.finding.sentences), *map(markdown, tables)]
        parts += listed(study.sensitivity.sentences) if study.sensitivity else []
    for sweep in swept:
        parts += [f"## Under bad conditions: {escape(sweep.title)}", ""]
        parts += [escape(sweep.intro), "", *listed(sweep.sentences)] if sweep.sentences else []
        parts += map(markdown, (*sweep.areas, *sweep.others))
    if scores:
        parts += ["## Image scores", "", *(markdown(panel.table) for panel in scores if panel.table)]
    if contents.published:
        parts += ["## Comparison with published numbers", "", markdown(published_table(contents.published))]
    return "\n".join(parts)


def _latex(
    found: Sequence[Study], swept: Sequence[Sweep], together: Sequence[Panel], scores: Sequence[Panel]
) -> str:  # fmt: skip
    tables = [r"% \usepackage{booktabs} in the preamble", ""]
    tables += [latex(panel.table) for panel in together if panel.table]
    for study in found:
        classes = [panel.table for panel in study.panels if panel.table and panel.table.kind == "classes"]
        tables += [latex(table) for table in (study.summary, *classes, *study.others)]
    tables += [latex(table) for sweep in swept for table in sweep.areas]
    tables += [latex(panel.table) for panel in scores if panel.table]
    return "\n".join(tables)


def html_page(
    contents: Contents, studies: Sequence[Study], sweeps: Sequence[Sweep], judges: Sequence[Panel],
    scores: Sequence[Panel],
) -> str:  # fmt: skip
    """The page's text. Every name from a file is escaped by the template."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("fuse2task.report"), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    results, groups = contents.results, contents.groups
    return environment.get_template("report.html.j2").render(
        title=", ".join(dict.fromkeys(results["dataset"])), methods=list(dict.fromkeys(results["method"])),
        studies=studies, sweeps=sweeps, judges=judges, openings=opening_sentences(contents),
        scenes=viewer_scenes(contents),
        scores=scores, rankings=_rankings(contents), costs=_costs(contents, studies),
        published=published_table(contents.published) if contents.published else None,
        refusals=refusals(groups), warnings=warnings(groups, results),
        provenance=[keys_table(groups), *method_tables(contents)],
        recipe=contents.recipe_text, version=fuse2task.__version__,
    )  # fmt: skip


def _scores(contents: Contents) -> list[Panel]:
    scored = [group for group in contents.groups if not find_task(group.keys["task"]).is_judged]
    panels = [Panel(group.title.replace(" · quality", ""), score_table(group, contents.directions)) for group in scored]
    tables = contents.correlations
    for number, ((dataset, profile), rows) in enumerate(tables.groupby(["dataset", "profile"], sort=False)):
        heading = f"Do scores of profile {profile} predict task metrics on {dataset}?"
        panels.append(_correlation_panel(contents, heading, rows, f"correlation{number}"))
    return panels


def _correlation_panel(contents: Contents, heading: str, rows: pd.DataFrame, name: str) -> Panel:
    parts = {"metric": rows["metric"], "judge": rows["judge"], "truth": rows["truth_hash"].map(contents.truth_name)}
    told = [part for part in parts.values() if part is parts["metric"] or part.nunique() > 1]
    rows = rows.assign(column=[", ".join(texts) for texts in zip(*told, strict=True)])
    columns = list(dict.fromkeys(rows["column"]))
    if len(columns) > COLUMNS:
        headlines = rows["task"].map(lambda task: find_task(task).headline)
        columns = list(dict.fromkeys(rows[rows["metric"] == headlines]["column"]))
    values = {(row["score"], row["column"]): (row["spearman"], row["spearman_p"]) for _, row in rows.iterrows()}
    drawing = correlation_map(list(dict.fromkeys(rows["score"])), columns, values, name)
    methods = int(rows["methods"].min()) if rows["methods"].notna().any() else 0
    sentence = f"Spearman's rank correlation over {methods} methods; bold: p < .05 for this cell alone. "
    sentence += "With so few methods only a near-perfect correlation is significant." if methods < FEW else ""
    return Panel(heading, correlation_table(rows), (drawing,), (sentence,), fold="All correlations as a table")


def _rankings(contents: Contents) -> list[Panel]:
    panels = []
    for number, entry in enumerate(contents.ranking):
        drawing = rank_plot(entry["methods"], entry["ranks"], entry["critical_difference"], f"rank{number}")
        truth = contents.truth_name(entry["truth_hash"])
        heading = f"{entry['dataset']}, {entry['task']}, {entry['judge']}, truth {truth}"
        panels.append(Panel(heading, ranking_table(entry, contents.alpha), (drawing,)))
    return panels


def _costs(contents: Contents, studies: Sequence[Study]) -> Panel | None:
    if contents.costs.empty:
        return None
    ms = contents.costs.dropna(subset="ms").set_index("method")["ms"]
    drawings = []
    for number, study in enumerate(studies):
        points = {method: (float(ms[method]), value) for method, value in study.numbers.ranked() if method in ms}
        if len(points) > 1:
            title = " · ".join((study.numbers.main, *(study.numbers.group.keys[key] for key in ("dataset", "judge"))))
            drawings.append(pareto_plot(points, title, f"cost{number}"))
    return Panel("Cost and task metrics", cost_table(contents.costs), tuple(drawings))


def markdown(table: Table) -> str:
    """A GitHub table: best bold, second best underlined, intervals and marks behind the number."""
    rows = [map(markdown_text, table.columns), *(map(_md_cell, row) for row in table.rows)]
    head, *lines = (f"| {' | '.join(cells)} |" for cells in rows)
    rule = "|" + "---|" * len(table.columns)
    title, legend = markdown_text(_title(table)), markdown_text(_legend(table))
    return "\n".join([f"**{title}**", "", head, rule, *lines, "", legend, ""])


def markdown_text(text: str) -> str:
    """`text` with everything escaped that Markdown or HTML would take for markup."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    return "".join("\\" + letter if letter in "\\`*_[]|#$~" else letter for letter in text)


def latex(table: Table) -> str:
    """A booktabs table: best bold, second best underlined, intervals in small type, notes below."""
    head = [r"\begin{table*}[t]", r"\centering", rf"\caption{{{latex_text(_title(table))}}}"]
    head += [rf"\begin{{tabular}}{{l{'c' * (len(table.columns) - 1)}}}", r"\toprule"]
    rows = [" & ".join(map(latex_text, table.columns)) + r" \\", r"\midrule"]
    rows += [" & ".join(map(_latex_cell, row)) + r" \\" for row in table.rows]
    legend = latex_text(_legend(table))
    notes = [rf"\par\smallskip{{\footnotesize {legend}}}"] if legend else []
    return "\n".join([*head, *rows, r"\bottomrule", r"\end{tabular}", *notes, r"\end{table*}", ""])


def latex_text(text: str) -> str:
    """`text` with every character escaped that LaTeX would act on."""
    return "".join(LATEX.get(letter, letter) for letter in text)


def summary_csv(groups: Sequence[Numbers]) -> str:
    """Every number over all images of these groups, over all classes and for each: one row a method and metric."""
    rows = []
    for numbers in groups:
        keys = numbers.group.keys | {"truth": numbers.group.truth}
        results = numbers.group.results
        kinds = results[results["condition"] == "all"][["metric", "class", "method"]].drop_duplicates()
        for metric, name, method in kinds.itertuples(index=False):
            if (own := numbers.estimate(method, metric, name)) is None:
                continue
            found = numbers.against_baseline(method, metric, name)
            differs = (found.value, found.low, found.high, found.p, found.detectable) if found else (math.nan,) * 5
            values = (own.value, own.low, own.high, own.deviation, own.seeds, own.images, numbers.baseline, *differs)
            rows.append((*(keys[key] for key in SUMMARY[:10]), method, metric, name, *values))
    texts = [[harmless(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    return pd.DataFrame(texts, columns=list(SUMMARY)).to_csv(index=False, float_format="%.10g", lineterminator="\n")


def _title(table: Table) -> str:
    return " · ".join(part for part in (table.caption, table.context) if part)


def _legend(table: Table) -> str:
    return " ".join(part for part in (*table.notes, table.marks) if part)


def _md_cell(cell: Cell) -> str:
    text = markdown_text(cell.text)
    text = {1: f"**{text}**", 2: f"<u>{text}</u>"}.get(cell.place, text)
    return " ".join(part for part in (text, markdown_text(cell.detail), MARKS[cell.mark]) if part)


def _latex_cell(cell: Cell) -> str:
    text = latex_text(cell.text)
    text = {1: rf"\textbf{{{text}}}", 2: rf"\underline{{{text}}}"}.get(cell.place, text)
    mark = {"better": r"$^{\uparrow}$", "worse": r"$^{\downarrow}$", "": ""}[cell.mark]
    detail = rf" {{\scriptsize {latex_text(cell.detail)}}}" if cell.detail else ""
    return text + mark + detail
