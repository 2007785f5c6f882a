"""Tables as Markdown, LaTeX and CSV."""

import csv
import io
import math
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuse2task.report import write_report
from fuse2task.report.contents import read_contents
from fuse2task.report.documents import latex, latex_text, markdown
from fuse2task.report.estimates import Numbers
from fuse2task.report.metric_tables import class_table, seed_table, summary_table
from fuse2task.report.tables import Cell, Table, fraction, name_cell, p_value, placed, plain

NAMES = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.3714, ".371"),
        (1, "1.000"),
        (-0.0123, "−.012"),
        (0, ".000"),
        (-0.0001, ".000"),
        (math.nan, ""),
        (12.5, "12.500"),
    ],
)
def test_fractions(value, text):
    assert fraction(value) == text


def test_other_numerals():
    assert fraction(0.086, signed=True) == "+.086"
    assert p_value(0.00001) == "<\u00a0.001"
    assert (p_value(0.031), p_value(1.0)) == (".031", "1")
    assert [plain(value) for value in (21_310_000, 0.00064, 431.25, 2150.04, 0, -7.1, math.nan)] == [
        "21\u2009310\u2009000", "0.00064", "431.2", "2\u2009150", "0", "−7.100", "",
    ]  # fmt: skip


@given(st.lists(st.one_of(st.none(), st.floats(-1, 1)), max_size=8), st.booleans())
def test_places_are_those_of_the_distinct_shown_values(values, higher):
    cells = [Cell("–") if value is None else Cell(fraction(value), value) for value in values]
    found = [cell.place for cell in placed(cells, higher)]
    shown = [
        None if value is None else round(float(cell.text.replace("−", "-")), 3)
        for cell, value in zip(cells, values, strict=True)
    ]
    distinct = sorted({value for value in shown if value is not None}, reverse=higher)
    expected = [0 if value is None else {0: 1, 1: 2}.get(distinct.index(value), 0) for value in shown]
    assert found == (expected if sum(value is not None for value in shown) > 1 else [0] * len(values))


def table_of(names):
    rows = tuple(
        (name_cell(name), Cell(".400", 0.4, "[.350, .450]", 1, "better"), Cell(".300", 0.3, place=2)) for name in names
    )
    return Table(
        "summary", "of & % things", ("method", "AP_50", "person #1"), rows, ("Note: 5 %.",), "toy_set", "▲ better."
    )


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_latex_keeps_its_structure_whatever_the_names(names):
    text = latex(table_of(names))
    body = re.search(r"\\midrule\n(.*?)\\bottomrule", text, re.S)[1]
    rows = [row for row in body.split(" \\\\\n") if row]
    assert len(rows) == len(names)
    for row in rows:
        assert len(re.findall(r"(?<!\\)&", row)) == 2
        assert r"\textbf{.400}$^{\uparrow}$ {\scriptsize {[}.350, .450{]}}" in row
        assert r"\underline{.300}" in row
    bare = re.sub(r"\\[a-zA-Z]+|\\.", "", text)
    assert bare.count("{") == bare.count("}")
    assert not set("#%~<>|") & set(bare)


def test_latex_is_booktabs():
    text = latex(table_of(["visible"]))
    order = [
        r"\begin{table*}", r"\caption{of \& \% things \textperiodcentered{} toy\_set}", r"\begin{tabular}{lcc}",
        r"\toprule", r"method & AP\_50 & person \#1 \\", r"\midrule", r"\bottomrule", r"\end{tabular}",
        r"\end{table*}",
    ]  # fmt: skip
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert latex_text("a\\b{c}") == r"a\textbackslash{}b\{c\}"


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_markdown_rows_have_as_many_cells_as_the_heading(names):
    lines = [line for line in markdown(table_of(names)).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines} == {4}
    assert "**.400** \\[.350, .450\\] ▲" in lines[2]
    assert "<u>.300</u>" in lines[2]
    assert not any("<script" in line for line in markdown(table_of(["<script>"])).splitlines())


def test_the_tables_of_the_toy_bench(bench):
    groups = [Numbers(group, "average", 0.05) for group in read_contents(bench).groups]
    summary = summary_table(groups[0])
    assert summary.columns == ("method", "AP", "AP50", "AP75", "AP − average", "p (Holm)")
    assert [row[0].text for row in summary.rows][:3] == ["sum_100%", "average", "infrared"]
    assert [(row[1].text, row[1].place, row[1].mark) for row in summary.rows[:4]] == [
        (".410", 1, ""), (".400", 2, ""), (".340", 0, ""), (".300", 0, "worse"),
    ]  # fmt: skip
    notes = " ".join(summary.notes)
    assert "12 images" in notes
    assert "Smallest detectable difference from average in AP (80 % power, 95 % level): .045." in notes
    assert class_table(groups[0], "AP").columns == ("method", "person", "<script>alert(1)</script>")
    seeds = seed_table(next(item for item in groups if item.group.keys["protocol"] == "retrain"))
    assert [cell.text for cell in seeds.rows[0]] == ["average", ".300", ".310", ".305", ".007", ".010"]
    assert seed_table(groups[0]) is None


@pytest.mark.slow
def test_summary_files(bench, true_ap):
    page = write_report(bench)
    assert page == bench / "report" / "index.html"
    assert sorted(path.name for path in page.parent.iterdir()) == [
        "index.html",
        "summary.csv",
        "summary.md",
        "summary.tex",
    ]
    table = pd.read_csv(page.parent / "summary.csv")
    first = table[
        (table.protocol == "frozen") & (table.truth == "fusion") & (table.metric == "AP") & (table["class"] == "all")
    ]
    assert dict(zip(first.method, first.value, strict=True)) == {
        name: pytest.approx(value) for name, value in true_ap.items()
    }
    assert first.set_index("method").loc["visible", ["difference", "p_holm"]].tolist() == pytest.approx([-0.1, 0.001])
    assert len(next(csv.reader(io.StringIO((page.parent / "summary.csv").read_text())))) == 25
    text = (page.parent / "summary.tex").read_text()
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 8  # two of image scores
    assert r"\textless{}script\textgreater{}" in text
    text = (page.parent / "summary.md").read_text()
    assert "<script" not in text
    assert "toy detection: 3 tables, not ranked together" in text.replace("\\", "")
    before = {path: path.read_bytes() for path in page.parent.iterdir()}
    write_report(bench)
    assert {path: path.read_bytes() for path in page.parent.iterdir()} == before
