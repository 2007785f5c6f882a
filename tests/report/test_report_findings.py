"""Numbers of a group and the sentences about them."""

import statistics

import pytest
from scipy.stats import kendalltau

from fuse2task.report.contents import read_contents
from fuse2task.report.estimates import Numbers
from fuse2task.report.findings import finding, opening_sentences
from fuse2task.report.study import studies


@pytest.fixture
def groups(bench):
    return read_contents(bench).groups


def test_seeds_give_mean_and_sample_deviation(groups):
    numbers = Numbers(next(group for group in groups if group.keys["protocol"] == "retrain"), "average")
    found = numbers.estimate("visible", "AP")
    assert found.value == pytest.approx(statistics.mean([0.2, 0.24]))
    assert found.deviation == pytest.approx(statistics.stdev([0.2, 0.24]))
    assert found.seeds == 2
    assert numbers.seeds("visible", "AP") == {"0": 0.2, "1": 0.24}


def test_a_difference_read_backwards_turns_sign_and_interval(groups):
    numbers = Numbers(groups[0], "average")
    forward = numbers.difference("visible", "average", "AP")
    back = numbers.difference("average", "visible", "AP")
    assert (forward.value, forward.low, forward.high) == pytest.approx((-0.10, -0.13, -0.07))
    assert (back.value, back.low, back.high) == pytest.approx((0.10, 0.07, 0.13))
    assert numbers.difference("visible", "infrared", "AP") is None


def test_the_finding_says_who_leads_how_sure_and_what_is_open(groups):
    found = finding(Numbers(groups[0], "average"))
    text = " ".join((found.headline, *found.sentences)).replace("\u00a0", " ")
    assert text.startswith("sum_100% has the highest AP, .410 [.360, .460], but cannot be told apart from average.")
    assert "That fusing helps is not shown: infrared alone could be as good as average." in text
    assert (
        "Worse than the baseline average: visible −.100 [−.130, −.070], p = .001; <img src=x onerror=alert(1)> −.200"
        in text
    )
    assert "Cannot be told apart from the baseline average: sum_100% +.010 [−.020, +.040], p = .900" in text
    assert "2 of 3 fusions score higher than the better single camera, infrared .340" in text
    assert "below about .045 can go unseen" in text


def test_without_paired_differences_nothing_is_called_sure(groups):
    found = finding(Numbers(next(group for group in groups if group.keys["task"] == "segmentation"), "average"))
    assert "whether the lead over average, infrared and visible is real was not tested" in found.headline
    assert "beyond chance" not in found.headline
    assert "but none of these pairs was tested" in found.headline


def test_a_significant_lead_is_called_one(bench):
    path = bench / "comparisons.csv"
    path.write_text(path.read_text().replace(",0.9,", ",0.001,").replace(",0.2,", ",0.01,"))
    found = finding(Numbers(read_contents(bench).groups[0], "average"))
    assert "Fusing helps: average beats the better single camera, infrared, beyond chance." in found.headline
    assert "cannot be told apart" not in found.headline


def test_hopelessly_low_numbers_are_not_ranked(bench):
    path = bench / "results.csv"
    lines = path.read_text().splitlines()
    keep = [line for line in lines if "retrain" not in line]
    low = [line.replace(",0.4,", ",0.04,") for line in lines if "retrain" in line and "AP50" in line]
    for old in ("0.2", "0.24", "0.1", "0.12", "0.3", "0.31"):
        low = [line.replace(f",all,all,{old},", ",all,all,0.09,") for line in low]
    path.write_text("\n".join([*keep, *low, *(line.replace("AP50", "AP") for line in low), ""]))
    group = next(group for group in read_contents(bench).groups if group.keys["protocol"] == "retrain")
    assert finding(Numbers(group, "average")).headline == (
        "Nothing can be ranked here: AP50 stays under .100 for every method (highest .090)."
    )


def test_another_truth_that_turns_the_ranking_is_told_with_tau(groups, true_ap):
    study = studies(groups, "average")[0]
    other = [0.5 if method == "visible" else value for method, value in true_ap.items()]
    tau = kendalltau(list(true_ap.values()), other).statistic
    (sentence,) = study.sensitivity.sentences
    assert sentence == (
        f"With truth visible the ranking of 5 methods changes (Kendall τ {tau:.2f}); "
        "visible comes first instead of sum_100%."
    )


def test_openings_are_counted(bench):
    assert opening_sentences(read_contents(bench)) == [
        "The test split of toy was opened by 2 recipes (10 evaluations)."
    ]
    (bench / "openings.csv").unlink()
    assert opening_sentences(read_contents(bench))[0].startswith("No test split was opened")
