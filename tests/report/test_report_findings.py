"""Numbers of a group and the sentences about them."""

import statistics

import pytest
from scipy.stats import kendalltau

from fuse2task.report.contents import read_contents
from fuse2task.report.estimates import Numbers
from fuse2task.report.provenance import opening_sentences
from fuse2task.report.study import finding, studies
from fuse2task.report.sweeps import sweeps


@pytest.fixture
def groups(bench):
    return read_contents(bench).groups


def test_seeds_give_mean_and_sample_deviation(groups):
    numbers = Numbers(next(group for group in groups if group.keys["protocol"] == "retrain"), "average", 0.05)
    found = numbers.estimate("visible", "AP")
    assert found.value == pytest.approx(statistics.mean([0.2, 0.24]))
    assert found.deviation == pytest.approx(statistics.stdev([0.2, 0.24]))
    assert found.seeds == 2
    assert numbers.seeds("visible", "AP") == {"0": 0.2, "1": 0.24}


def test_a_difference_read_backwards_turns_sign_and_interval(groups):
    numbers = Numbers(groups[0], "average", 0.05)
    forward = numbers.difference("visible", "average", "AP")
    back = numbers.difference("average", "visible", "AP")
    assert (forward.value, forward.low, forward.high) == pytest.approx((-0.10, -0.13, -0.07))
    assert (back.value, back.low, back.high) == pytest.approx((0.10, 0.07, 0.13))
    assert numbers.difference("visible", "infrared", "AP") is None


def test_the_finding_says_who_leads_how_sure_and_what_is_open(groups):
    found = finding(Numbers(groups[0], "average", 0.05))
    text = " ".join((found.headline, *found.sentences)).replace("\u00a0", " ")
    assert text.startswith("sum_100% has the highest AP: .410 [.360, .460]. Its lead over average is not significant.")
    assert "This does not show that fusion helps: average is not significantly better than infrared alone." in text
    assert (
        "Significantly worse than the baseline average: visible −.100 [−.130, −.070], p = .001; "
        "<img src=x onerror=alert(1)> −.200"
    ) in text
    assert "No significant difference from the baseline average: sum_100% +.010 [−.020, +.040], p = .900" in text
    assert (
        "2 of 3 fused methods score above the better single camera (infrared, AP .340). "
        "average: .060 higher, p = .200, not significant at the 95 % level."
    ) in text
    assert "a difference from average smaller than about .045 can remain undetected" in text


def test_without_paired_differences_nothing_is_called_sure(groups):
    found = finding(Numbers(next(group for group in groups if group.keys["task"] == "segmentation"), "average", 0.05))
    assert "The lead over average, infrared and visible was not tested for significance." in found.headline
    assert "significantly" not in found.headline
    assert "but no fused method was tested against that camera." in found.headline
    assert found.sentences == (
        "2 of 2 fused methods score above the better single camera (infrared, mIoU .640). "
        "None of these differences was tested.",
    )


def test_a_significant_lead_is_called_one(bench):
    path = bench / "comparisons.csv"
    path.write_text(path.read_text().replace(",0.9,", ",0.001,").replace(",0.2,", ",0.01,"))
    found = finding(Numbers(read_contents(bench).groups[0], "average", 0.05))
    assert "Fusion helps: average scores significantly above the better single camera, infrared." in found.headline
    assert "average: .060 higher, p\u00a0=\u00a0.010, a real difference at the 95 % level." in found.sentences[-1]
    assert "not significant" not in found.headline


def test_the_recipes_confidence_decides_what_is_significant(bench):
    """One level for sentences, marks of metrics and marks of sweeps."""
    recipe = bench / "recipe.yaml"
    recipe.write_text(recipe.read_text() + "intervals: {level: 0.99}\n")
    contents = read_contents(bench)
    study = studies(contents.groups, "average", contents.alpha)[0]
    assert [row[1].mark for row in study.summary.rows] == ["", "", "", "worse", "worse"]  # p .001 and .0001
    assert "not significant at the 99 % level" in study.finding.sentences[-1]
    assert "Holm-adjusted p < .01)" in study.summary.marks
    assert {cell.mark for row in sweeps(contents)[0].areas[0].rows for cell in row} == {""}  # p .02 and .3


def test_one_fused_method_is_not_counted(bench):
    groups = read_contents(bench).groups
    found = finding(Numbers(next(group for group in groups if group.keys["protocol"] == "retrain"), "average", 0.05))
    assert found.sentences == (
        "The only fused method scores above the better single camera (visible, AP .220). "
        "None of these differences was tested.",
    )


def test_hopelessly_low_numbers_are_not_ranked(bench):
    path = bench / "results.csv"
    lines = path.read_text().splitlines()
    keep = [line for line in lines if "retrain" not in line]
    low = [line.replace(",0.4,", ",0.04,") for line in lines if "retrain" in line and "AP50" in line]
    for old in ("0.2", "0.24", "0.1", "0.12", "0.3", "0.31"):
        low = [line.replace(f",all,all,{old},", ",all,all,0.09,") for line in low]
    path.write_text("\n".join([*keep, *low, *(line.replace("AP50", "AP") for line in low), ""]))
    group = next(group for group in read_contents(bench).groups if group.keys["protocol"] == "retrain")
    assert finding(Numbers(group, "average", 0.05)).headline == (
        "Too low to rank: AP50 is below .100 for every method (highest .090)."
    )


def test_another_truth_that_turns_the_ranking_is_told_with_tau(groups, true_ap):
    study = studies(groups, "average", 0.05)[0]
    other = [0.5 if method == "visible" else value for method, value in true_ap.items()]
    tau = kendalltau(list(true_ap.values()), other).statistic
    (sentence,) = study.sensitivity.sentences
    assert sentence == (
        f"With truth visible the ranking of 5 methods changes (Kendall τ {tau:.2f}); "
        "visible comes first instead of sum_100%."
    )


def test_openings_are_counted(bench):
    assert opening_sentences(read_contents(bench)) == [
        "The test split of toy was opened by 2 recipes (10 evaluations in all)."
    ]
    (bench / "openings.csv").unlink()
    assert opening_sentences(read_contents(bench))[0].startswith("No test split was opened")
