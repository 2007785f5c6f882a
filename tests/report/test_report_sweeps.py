"""Sweeps in the report: charts, areas, what is said about levels, in HTML, Markdown and LaTeX."""

import re

import pandas as pd
import pytest

from fuse2task.report import write_report
from fuse2task.report.contents import read_contents
from fuse2task.report.metric_tables import ONE_TRAINING
from fuse2task.report.sweeps import ranges, sweeps, turns


@pytest.mark.parametrize(
    ("levels", "text"), [("", ""), ("0", "0"), ("0 1 2", "0–2"), ("0 2 3 5", "0, 2–3, 5"), ("1 3", "1, 3")]
)
def test_ranges(levels, text):
    assert ranges(levels) == text


def test_turns_are_where_the_verdict_changes():
    at = [("0", "below"), ("1", "not_told_apart"), ("2", "above"), ("3", "above"), ("5", "below")]
    assert turns(at) == ["overtakes at level 2", "falls behind at level 5"]
    assert turns(at[:2]) == []
    assert turns([("0", "above"), ("1", "not_told_apart"), ("2", "above")]) == ["overtakes at level 2"]


def test_sentences_and_tables_of_a_sweep(bench):
    detection, scores = sweeps(read_contents(bench))
    assert [detection.title, scores.title] == ["toy · detection · frozen · yolo", "toy · quality · frozen · standard"]
    hostile = "<img src=x onerror=alert(1)>"
    one = "is above at level 2, not significantly different at level 1, below at level 0 (overtakes at level 2)"
    assert detection.sentences[0] == f"haze: average {one}; {hostile} {one}."
    assert detection.sentences[1].startswith(
        "rain: average is above at levels 0–1, not significantly different at level 2; "
    )
    (areas,) = detection.areas
    assert areas.columns == ("method", "haze", "rain")
    cells = {row[0].text: row[1:] for row in areas.rows}
    assert [cell.text for cell in cells["infrared"]] == [".400", ".400"]
    assert [(cell.text, cell.detail, cell.mark) for cell in cells["average"]] == [
        (".360", "[.330, .390]", "worse"), (".360", "[.330, .390]", ""),
    ]  # fmt: skip
    assert cells["infrared"][0].place == 1
    assert [len(drawings) for drawings in detection.drawings + scores.drawings] == [2, 2]
    levels = detection.others[0]
    at = levels.columns.index("area − average")
    beside = {row[1].text: row[at : at + 2] for row in levels.rows if row[0].text == "haze"}
    assert [cell.text for cell in beside["visible"]] == ["−.040", ".060"]
    assert beside["visible"][0].detail == "[−.200, +.100]"
    assert [cell.text for cell in beside["average"]] == ["–", "–"]
    assert scores.areas == ()
    assert scores.others[0].rows[0][1].text == "7.320"


def test_charts_have_all_methods_and_their_own_ids(bench):
    detection, _ = sweeps(read_contents(bench))
    ((haze, rain),) = detection.drawings
    assert 'aria-label="AP under haze, level 0 to 2: visible 0.4 to 0.24, infrared 0.4 to 0.4' in haze
    assert "<img" not in haze
    assert "var(--series1)" in haze
    assert "var(--series2)" in haze
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (haze, rain)]
    assert ids[0]
    assert not ids[0] & ids[1]
    ticks = [re.findall(r">(0\.\d+)</text>", text) for text in (haze, rain)]
    assert ticks[0] == ticks[1] != []  # one scale


@pytest.mark.slow
def test_the_report_has_them_in_every_format(bench):
    page = write_report(bench)
    html, folder = page.read_text(), page.parent
    assert '<a href="#conditions">Bad conditions</a>' in html
    assert html.count("under haze, level 0 to 2") == 2
    assert html.count("significantly worse than the better single camera") == 4  # title and text of two marks
    markdown, latex = (folder / "summary.md").read_text(), (folder / "summary.tex").read_text()
    assert "## Under bad conditions: toy · detection · frozen · yolo" in markdown
    assert r"- haze: average is above at level 2" in markdown
    assert "| average | <u>.360</u> \\[.330, .390\\] ▼ |" in markdown
    assert r"\caption{Area under AP" in latex
    assert r"average & \underline{.360}$^{\downarrow}$" in latex


@pytest.mark.slow
def test_degraded_copies_are_in_no_other_table(bench):
    clean = read_contents(bench).results
    table = pd.read_csv(bench / "results.csv", dtype=str, keep_default_na=False)
    copies = table.assign(dataset=table["dataset"] + "@haze-1", kind="haze", level="1", value="0.99")
    pd.concat([table.assign(kind="", level="0"), copies]).to_csv(bench / "results.csv", index=False)
    assert len(read_contents(bench).results) == len(clean)
    assert "0.99" not in (write_report(bench).parent / "summary.csv").read_text()
    (bench / "robustness.csv").unlink()
    assert "#conditions" not in write_report(bench).read_text()


def test_one_training_marks_nothing(bench):
    path = bench / "robustness.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    judged = frame["task"] == "detection"
    frame.loc[judged, ["protocol", "seeds"]] = ["retrain", "1"]
    frame.to_csv(path, index=False)
    points = pd.read_csv(bench / "conditions.csv", dtype=str, keep_default_na=False)
    points.loc[points["task"] == "detection", "protocol"] = "retrain"
    points.to_csv(bench / "conditions.csv", index=False)
    detection = next(sweep for sweep in sweeps(read_contents(bench)) if "detection" in sweep.title)
    assert not any(cell.mark for table in detection.areas for row in table.rows for cell in row)
    assert detection.intro.startswith(ONE_TRAINING)
    assert ONE_TRAINING in detection.areas[0].notes
