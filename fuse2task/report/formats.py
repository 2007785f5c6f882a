"""Tables as Markdown, LaTeX and CSV.

Not by pandas: its LaTeX leaves opening brackets and Unicode signs as they are, its Markdown does not escape names.
"""

import math
from collections.abc import Sequence

import pandas as pd

from fuse2task.report.estimates import Numbers
from fuse2task.report.tables import Cell, Table

MARKS = {"better": "▲", "worse": "▼", "": ""}
# Names of files and classes may hold anything; an opening bracket after a row's end would be taken for its option.
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "−": "$-$", "±": r"$\pm$", "·": r"\textperiodcentered{}", "–": "--", "▲": r"$\uparrow$",
    "▼": r"$\downarrow$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "\u2009": r"\,", "\u00a0": "~",
    "\n": " ", "[": "{[}", "]": "{]}",
}  # fmt: skip
SUMMARY = (
    "dataset", "task", "protocol", "judge", "truth", "image_size", "split_hash", "truth_hash", "judge_hash",
    "recipe_hash", "method", "metric", "class", "value", "ci_low", "ci_high", "deviation", "seeds", "n_images",
    "baseline", "difference", "difference_low", "difference_high", "p_holm", "smallest_detectable",
)  # fmt: skip


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
    return pd.DataFrame(rows, columns=list(SUMMARY)).to_csv(index=False, float_format="%.10g", lineterminator="\n")


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
