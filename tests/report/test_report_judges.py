"""Many judges in the report: one table, verdicts, † where a method was trained through the judge, one training."""

from dataclasses import replace

import pytest

from fuse2task.bench.printing import print_results
from fuse2task.report.contents import read_contents
from fuse2task.report.documents import markdown_text, write_report
from fuse2task.report.estimates import Numbers
from fuse2task.report.judges import judge_panels, sentences
from fuse2task.report.metric_tables import ONE_TRAINING, summary_table
from fuse2task.report.study import finding
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import read_json, write_json


def entry(**changes):
    def row(method, values, ranks, mean_rank, **more):
        return {
            "method": method, "values": values, "ranks": ranks, "mean_rank": mean_rank, "rank_low": 1.0,
            "rank_high": 2.0, "standardised": 0.5, "standardised_low": -0.1, "standardised_high": 1.2,
            "trained_through": [], "verdict": "", "verdict_without": "", "differences": {}, "significant": [],
        } | more  # fmt: skip

    methods = [
        row("average", {"a": 0.3, "b": 0.2}, {"a": 2, "b": 1}, 1.5, standardised=None),
        row("task", {"a": 0.4, "b": 0.1}, {"a": 1, "b": 2}, 1.4, differences={"a": 0.1, "b": -0.1}, significant=["a"],
            trained_through=["a"], verdict="depends on the judge", verdict_without="not shown for every judge"),
    ]  # fmt: skip
    return {
        "dataset": "d", "split_hash": "s", "color": "rgb", "task": "detection", "truth_hash": "t", "metric": "AP",
        "baseline": "average", "level": 0.95, "judges": ["a", "b"], "judge_hashes": {"a": "1", "b": "2"},
        "one_training": [], "w": 0.25, "w_low": 0.1, "w_high": 1.0, "w_p": 0.4, "methods": methods,
    } | changes  # fmt: skip


def test_one_table_for_all_judges():
    (panel,) = judge_panels([entry(), entry(judges=["a"])], lambda truth: f"truth of {truth}")
    assert panel.heading == "d · detection · 2 judges · truth truth of t"
    table = panel.table
    assert table.columns == ("method", "a", "b", "mean rank", "standardised", "against average")
    assert [row[0].text for row in table.rows] == ["task", "average"]
    assert [(cell.text, cell.detail, cell.mark) for cell in table.rows[0][1:3]] == [
        (".400†", "rank 1", "better"), (".100", "rank 2", "")
    ]  # fmt: skip
    assert table.rows[0][5].detail == "without †: not shown for every judge"
    assert any("trained through a" in note for note in table.notes)


def test_sentences_say_what_depends():
    found = " ".join(sentences(entry()))
    assert (
        "Kendall's W .250 [.100, 1.000] (p\u00a0=\u00a0.400, which judges that rank at random reach as well)" in found
    )
    assert "The difference from average depends on the judge: task (a +.100*, b −.100)." in found
    assert "† task was trained through a: there it is judged by its own teacher. Without: not shown" in found
    assert "one training is one draw" in " ".join(sentences(entry(one_training=["b"])))


def test_sentences_stay_short_with_many_methods_and_judges():
    (task,) = (row for row in entry()["methods"] if row["method"] == "task")
    many = [task | {"method": f"m{number}", "mean_rank": float(9 - number)} for number in range(9)]
    found = next(text for text in sentences(entry(methods=many)) if "depends" in text)
    assert "m8 (a +.100*, b −.100); m7" in found  # the best first
    assert found.endswith("m3 (a +.100*, b −.100); 3 more.")
    names = [f"j{number}" for number in range(6)]
    found = next(text for text in sentences(entry(methods=many[:2], judges=names)) if "depends" in text)
    assert found == "The difference from average depends on the judge: m1; m0."


def test_the_mark_stands_in_every_table_of_that_judge(bench, capsys):
    groups = read_contents(bench).groups
    keys = groups[0].keys
    through = entry(judges=[keys["judge"]], judge_hashes={keys["judge"]: keys["judge_hash"]})
    for row in through["methods"]:
        row["values"], row["ranks"], row["differences"] = ({keys["judge"]: 1.0} for _ in range(3))
    method = next(name for name in groups[0].results["method"] if name not in ("average", "visible", "infrared"))
    through["methods"][1] |= {"method": method, "trained_through": [keys["judge"]]}
    write_json(bench / "judges.json", [through])
    contents = read_contents(bench)
    table = summary_table(Numbers(groups[0], "average", 0.05, contents.judges))
    assert f"{method} †" in [row[0].text for row in table.rows]
    other = next(group for group in groups if group.keys["judge"] != keys["judge"])
    assert not Numbers(other, "average", 0.05, contents.judges).through
    write_report(bench)
    note = f"† {method} was trained through this judge."
    assert note in (bench / "report" / "index.html").read_text()
    assert markdown_text(note) in (bench / "report" / "summary.md").read_text()
    assert r"$\dagger$" in (bench / "report" / "summary.tex").read_text()
    print_results(bench, list(groups[0].results["method"].unique()), "average")
    assert f"{method} †" in capsys.readouterr().out


def test_one_training_marks_nothing(bench):
    groups = read_contents(bench).groups
    assert not Numbers(next(group for group in groups if group.keys["protocol"] == "retrain"), "", 0.05).one_training
    frozen = groups[0]
    pairs = frozen.comparisons.assign(p_holm=0.0001)
    once = replace(frozen, keys=frozen.keys | {"protocol": "retrain"}, comparisons=pairs)
    assert any(cell.mark for row in summary_table(Numbers(replace(frozen, comparisons=pairs), "average", 0.05)).rows
               for cell in row)  # fmt: skip
    numbers = Numbers(once, "average", 0.05)
    assert numbers.one_training
    assert all(not cell.mark for row in summary_table(numbers).rows for cell in row)
    assert ONE_TRAINING in finding(numbers).headline
    assert "significantly" not in finding(numbers).headline.replace(ONE_TRAINING, "")
    assert "for these trained networks" in finding(numbers).sentences[0]


@pytest.mark.parametrize(
    "changes",
    [{"w_p": None}, {"judge_hashes": {}}, {"judges": ["a", "c"], "judge_hashes": {"a": "1", "c": "2"}}, {"level": 2}],
)
def test_damaged_entries_are_refused(bench, changes):
    write_json(bench / "judges.json", [entry(**changes)])
    with pytest.raises(RequestError, match=r"judges\.json: not a readable file of the bench"):
        read_contents(bench)
    assert read_json(bench / "judges.json", "x")
