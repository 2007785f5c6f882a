"""Writing the report of a bench folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fuse2task.report import formats
from fuse2task.report.comparability import comparable_groups, refusals, warnings
from fuse2task.report.contents import read_contents
from fuse2task.report.estimates import Numbers
from fuse2task.report.findings import opening_sentences
from fuse2task.report.html import render
from fuse2task.report.published import published_table
from fuse2task.report.study import Study, studies
from fuse2task.report.sweeps import Sweep, sweeps
from fuse2task.runtime.files import write_text


def write_report(folder: Path) -> Path:
    """Write `report/index.html`, `summary.md`, `summary.csv` and `summary.tex` of the bench folder `folder`.

    Returns:
        The path of index.html, one file of at most about 15 MB that opens offline and asks for nothing.

    Raises:
        RequestError: the folder has no results, or a file of it is not what it should be.
    """
    contents = read_contents(folder)
    groups = comparable_groups(contents)
    baseline = str(contents.recipe.get("baseline") or "")
    found = studies(groups, baseline)
    out = Path(folder) / "report"
    notes = [*opening_sentences(contents), *refusals(groups), *warnings(groups, contents.results)]
    swept = sweeps(contents)
    write_text(out / "summary.md", _markdown(found, notes, contents.published, swept))
    write_text(out / "summary.csv", formats.summary_csv([Numbers(group, baseline) for group in groups]))
    write_text(out / "summary.tex", _latex(found, swept))
    write_text(out / "index.html", render(contents, groups, found, swept))
    return out / "index.html"


def _markdown(
    found: Sequence[Study], notes: Sequence[str], published: Sequence[Mapping[str, Any]], swept: Sequence[Sweep]
) -> str:
    escape = formats.markdown_text
    parts = ["# Benchmark", "", *(f"- {escape(note)}" for note in notes), ""]
    for study in found:
        parts += [f"## {escape(study.finding.title)}", "", escape(study.finding.headline), ""]
        parts += [f"- {escape(sentence)}" for sentence in study.finding.sentences]
        panels = [*study.panels, *([study.sensitivity] if study.sensitivity else [])]
        tables = [study.summary, *(panel.table for panel in panels if panel.table), *study.others]
        parts += ["", *(formats.markdown(table) for table in tables)]
        if study.sensitivity:
            parts += [*(f"- {escape(sentence)}" for sentence in study.sensitivity.sentences), ""]
    for sweep in swept:
        parts += [f"## Under bad conditions: {escape(sweep.title)}", ""]
        if sweep.sentences:
            parts += [escape(sweep.intro), "", *(f"- {escape(sentence)}" for sentence in sweep.sentences), ""]
        parts += map(formats.markdown, (*sweep.areas, *sweep.others))
    if published:
        parts += ["## Beside published numbers", "", formats.markdown(published_table(published))]
    return "\n".join(parts)


def _latex(found: Sequence[Study], swept: Sequence[Sweep]) -> str:
    tables = [r"% \usepackage{booktabs} in the preamble", ""]
    for study in found:
        classes = [panel.table for panel in study.panels if panel.table and panel.table.kind == "classes"]
        tables += [formats.latex(table) for table in (study.summary, *classes, *study.others)]
    tables += [formats.latex(table) for sweep in swept for table in sweep.areas]
    return "\n".join(tables)
