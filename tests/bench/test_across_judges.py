"""Many judges in one table: agreement, verdicts, marks of methods that were trained through a judge."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fuse2task.bench.across_judges import trained_through
from fuse2task.bench.agreement import agree, kendall_w, verdict
from fuse2task.bench.api import run_bench
from fuse2task.report import write_report
from fuse2task.results.schema import DEPENDS, HOLDS, OPEN
from fuse2task.results.tables import ResultsTable


def test_w_of_worked_examples():
    # Siegel & Castellan 1988, chapter 9.5: three interviewers, six applicants, W = .16.
    interviewers = np.array([[1, 6, 3, 2, 5, 4], [1, 5, 6, 4, 2, 3], [6, 3, 2, 5, 4, 1]])
    assert kendall_w(interviewers) == pytest.approx(0.162, abs=5e-4)
    assert kendall_w(np.array([[1, 2, 3], [1, 2, 3]])) == 1
    assert kendall_w(np.array([[1, 2, 3], [3, 2, 1]])) == 0
    assert np.isnan(kendall_w(np.array([[1, 2, 3]])))


def test_w_is_the_mean_rank_correlation():
    """W = (1 + (J - 1) mean rho) / J, ties included, with Spearman's rho of scipy."""
    from itertools import combinations

    from scipy.stats import rankdata, spearmanr

    values = np.random.default_rng(1).integers(0, 5, (4, 7))
    ranks = rankdata(values, axis=1)
    rho = np.mean([spearmanr(values[a], values[b]).statistic for a, b in combinations(range(4), 2)])
    # With ties the identity holds for judges with equally many; here for the corrected coefficient to a few digits.
    assert kendall_w(ranks) == pytest.approx((1 + 3 * rho) / 4, abs=0.02)


def test_ranks_and_standardised_differences():
    points = np.array([[0.3, 0.5, 0.4], [0.1, 0.3, 0.2]])
    replicates = points[..., None] + np.random.default_rng(0).normal(0, 1e-4, (2, 3, 200))
    found = agree(points, replicates, 0, 0.95, 0)
    assert found.mean_ranks.tolist() == [3, 1, 2]
    assert found.rank_interval.tolist() == [[3, 1, 2], [3, 1, 2]]
    assert found.standardised.tolist() == pytest.approx([0, 2, 1])
    assert (found.standardised_interval[0] <= found.standardised + 1e-12).all()
    assert (found.w, found.w_interval) == (1, (1, 1))
    # Of 36 pairs of orders six agree fully: 1/6.
    assert found.w_p == pytest.approx(1 / 6, abs=0.02)


def test_the_interval_knows_that_judges_vary():
    points = np.array([[0.3, 0.5], [0.5, 0.3]])
    found = agree(points, np.repeat(points[..., None], 200, axis=2), 0, 0.95, 0)
    assert found.mean_ranks.tolist() == [1.5, 1.5]
    assert found.rank_interval.tolist() == [[1, 1], [2, 2]]


def test_judges_that_tie_everything_say_nothing():
    found = agree(np.zeros((2, 3)), np.zeros((2, 3, 50)), 0, 0.95, 0)
    assert np.isnan([found.w, found.w_p, *found.w_interval, *found.standardised]).all()
    assert found.mean_ranks.tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("differences", "significant", "expected"),
    [
        ([0.1, 0.2], [True, True], HOLDS),
        ([0.1, 0.2], [True, False], OPEN),
        ([0.1, -0.2], [True, True], DEPENDS),
        ([0.1, -0.001], [True, False], DEPENDS),
        ([0.1, -0.2], [False, False], OPEN),
        ([0.0, 0.0], [False, False], OPEN),
    ],
)
def test_verdicts(differences, significant, expected):
    assert verdict(differences, significant) == expected


def test_the_card_of_shipped_weights_names_its_detector(make_recipe):
    judges = {
        "named": {"task": "detection", "weights": "elsewhere/yolov8n_int8.onnx"},
        "other": {"task": "detection", "weights": "yolox.onnx"},
    }
    methods = ["crossfuse-task", "crossfuse-plus", {"name": "tardal", "folder": "x", "trained_through": ["other"]}]
    recipe = make_recipe(judges=judges, methods=methods)
    assert trained_through(recipe, "named", "abc") == ["crossfuse-task"]
    assert trained_through(recipe, "other", "83de8f0d2cd5") == ["crossfuse-task", "tardal"]
    assert trained_through(recipe, "other", "abc") == ["tardal"]
    plain = make_recipe(judges=judges, methods=[*methods[:2], {"name": "tardal", "folder": "x"}])
    assert plain.id == recipe.id, "it decides no number"
    with pytest.raises(ValueError, match=r"tardal\.trained_through: none is not among the judges"):
        make_recipe(judges=judges, methods=[{"name": "tardal", "folder": "x", "trained_through": ["none"]}])


def test_judges_json_of_a_run(tmp_path, make_recipe, tiny_source):
    weights = str(tiny_source.parent / "judge.onnx")
    copy = tmp_path / "copy.onnx"
    copy.write_bytes((tiny_source.parent / "judge.onnx").read_bytes())
    (tmp_path / "dets").mkdir()
    judges = {"places": {"task": "detection", "weights": weights}, "twin": {"task": "detection", "weights": str(copy)}}
    methods = [{"name": "average", "trained_through": ["twin"]}, "maximum"]
    recipe = make_recipe(judges=judges, methods=methods, baseline="visible")
    assert run_bench(recipe, tmp_path / "run")
    entries = json.loads((tmp_path / "run" / "judges.json").read_text())
    assert len(entries) == 2, "one for each truth"
    for entry in entries:
        assert entry["judges"] == ["places", "twin"]
        assert entry["w"] == pytest.approx(1)
        by_name = {row["method"]: row for row in entry["methods"]}
        assert by_name["average"]["trained_through"] == ["twin"]
        assert by_name["visible"]["verdict"] == ""
        assert by_name["average"]["verdict"] in (HOLDS, OPEN)
        assert by_name["average"]["verdict_without"] == by_name["average"]["verdict"]
        assert by_name["maximum"]["verdict_without"] == ""
        assert by_name["infrared"]["values"]["places"] == by_name["infrared"]["values"]["twin"]


def test_several_datasets_are_put_together(tmp_path, make_recipe, recipe_values):
    tiny = recipe_values()["datasets"]["tiny"]
    tiny, other = tiny | {"truths": {}}, tiny["truths"]["infrared"]
    datasets = {"one": tiny, "two": tiny | {"boxes": other}}
    for name, camera, unknown in (("one", "vi", ""), ("two", "ir", "car: null\n")):
        (tmp_path / "given" / name).mkdir(parents=True)
        for path in Path(tiny["root"]).glob(f"*/{camera}/*"):
            Image.open(path).convert("RGB").save(tmp_path / "given" / name / path.name)
        (tmp_path / f"{name}.yaml").write_text(f"person: person\n{unknown or 'car: car'}")
    places = recipe_values()["judges"]["places"] | {"class_map": str(tmp_path / "{dataset}.yaml")}
    given = {"name": "given", "folder": str(tmp_path / "given" / "{dataset}")}
    methods = ["average", given, {"name": "maximum", "datasets": ["two"]}]
    recipe = make_recipe(datasets=datasets, judges={"places": places}, methods=methods)
    assert run_bench(recipe, tmp_path / "run")
    results = ResultsTable(tmp_path / "run").read()
    assert set(results[results["method"] == "maximum"]["dataset"]) == {"two"}
    assert set(results[results["dataset"] == "two"]["class"]) == {"all", "person"}
    entries = json.loads((tmp_path / "run" / "judges.json").read_text())
    assert [entry["dataset"] for entry in entries] == ["one", "two", "one, two"]
    pooled = entries[-1]
    assert pooled["judges"] == ["places on one", "places on two"]
    assert (pooled["truth_hash"], pooled["task"]) == ("", "detection")
    single = {row["method"]: row for row in entries[0]["methods"]}
    for row in pooled["methods"]:
        assert row["values"]["places on one"] == single[row["method"]]["values"]["places"]
        assert (row["verdict"] == "") == (row["method"] == "average")
    by_name = {row["method"]: row["values"] for row in pooled["methods"]}
    assert by_name["given"]["places on one"] == by_name["visible"]["places on one"]
    assert by_name["given"]["places on two"] == by_name["infrared"]["places on two"]
    write_report(tmp_path / "run")
    assert "## one, two · detection · 2 judges" in (tmp_path / "run" / "report" / "summary.md").read_text()
