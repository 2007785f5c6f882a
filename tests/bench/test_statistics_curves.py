"""Areas under curves and where methods lie to the best single camera, against scipy and curves made to differ."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from fuse2task.bench.measured import Measured
from fuse2task.bench.recipe import Intervals
from fuse2task.bench.statistics import bootstrap, jackknife
from fuse2task.bench.sweeps import curve_tables, trapezoid_weights
from fuse2task.results.schema import ABOUT, CONDITIONS, ROBUSTNESS, TO_BASELINE

LEVELS = (0, 1, 3, 5)
INTERVALS = Intervals(replicates=500, level=0.95, seed=0)
IMAGES = 60
DIFFICULTY = np.random.default_rng(0).normal(size=IMAGES)  # of the images, shared by all methods


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=9, unique=True), st.data())
@settings(max_examples=100)
def test_area_is_the_trapezoidal_rule_over_the_range(levels, data):
    levels = sorted(levels)
    values = np.array(data.draw(st.lists(st.floats(-9, 9), min_size=len(levels), max_size=len(levels))))
    weights = trapezoid_weights(levels)
    expected = integrate.trapezoid(values, levels) / (levels[-1] - levels[0])
    assert weights @ values == pytest.approx(expected, abs=1e-9)
    assert weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("levels", [[], [3], [0, 0], [1, 0]])
def test_no_area_without_rising_levels(levels):
    with pytest.raises(ValueError, match="rising order"):
        trapezoid_weights(levels)


def measured(mean: float, spread: float, number: int) -> Measured:
    """The mean of a value that images have: their difficulty, and something of the method's own."""
    own = np.random.default_rng(number).normal(size=IMAGES)
    values = mean + 0.1 * DIFFICULTY + spread * (own - own.mean())
    weights = bootstrap(IMAGES, INTERVALS.replicates, INTERVALS.seed)
    without = jackknife(IMAGES)
    keys = (("AP", "all", "all"), ("AP", "all", "night"))
    rows = [np.array([values.mean()] * 2), np.stack([weights @ values / IMAGES] * 2),
            np.stack([without @ values / (IMAGES - 1)] * 2)]  # fmt: skip
    return Measured(keys, *rows, np.array([IMAGES] * 2))


def curve(*means: float, spread: float = 0.01, number: int = 1) -> list[list[Measured]]:
    return [[measured(mean, spread, number + level)] for level, mean in zip(LEVELS, means, strict=True)]


def tables(**changes):
    about = dict.fromkeys(ABOUT, "x") | {"task": "detection"} | changes
    methods = {
        "visible": curve(0.6, 0.5, 0.3, 0.1),
        "infrared": curve(0.4, 0.4, 0.35, 0.3, number=20),
        "fused": curve(0.5, 0.5, 0.5, 0.3, number=40),  # below, with visible, above, with infrared
        "noisy": curve(0.6, 0.6, 0.6, 0.6, spread=0.9, number=60),
    }
    return curve_tables(about, LEVELS, methods, "fused", INTERVALS)


def test_verdicts_are_against_the_camera_that_is_better_at_each_level():
    points, areas = tables()
    assert {key[:1] for key in {(row["metric"], row["class"]) for row in points}} == {("AP",)}
    assert len(points) == 4 * 4  # condition all alone
    assert set(points[0]) == set(CONDITIONS)
    assert set(ROBUSTNESS) <= set(areas[0])
    fused = [row for row in points if row["method"] == "fused"]
    assert [row["best_single"] for row in fused] == ["visible", "visible", "infrared", "infrared"]
    assert [row["verdict"] for row in fused] == ["below", "not_told_apart", "above", "not_told_apart"]
    (area,) = (row for row in areas if row["method"] == "fused")
    assert (area["above"], area["not_told_apart"], area["below"]) == ("3", "1 5", "0")
    assert area["best_single"] == "infrared"  # areas .37 and .36
    assert area["drop"] == pytest.approx(0.2)
    cameras = [row for row in points + areas if row["method"] in ("visible", "infrared")]
    assert {(row["best_single"], row["verdict"]) for row in cameras} == {(None, "")}


def test_one_training_of_a_retrained_judge_differs_nowhere():
    points, areas = tables(protocol="retrain")
    fused = [row for row in points if row["method"] == "fused"]
    assert {row["verdict"] for row in fused} == {"not_told_apart"}
    assert [row["p_holm"] for row in fused] == [row["p_holm"] for row in tables()[0] if row["method"] == "fused"]
    assert next(row for row in areas if row["method"] == "fused")["above"] == ""


def test_the_difference_of_areas_is_paired():
    _, areas = tables()
    rows = {row["method"]: row for row in areas}
    width = {name: row["ci_high"] - row["ci_low"] for name, row in rows.items()}
    row = rows["fused"]
    assert row["difference"] == pytest.approx(row["area"] - rows["infrared"]["area"])
    # What makes an image hard for both methods cancels: it is most of the spread of either.
    assert row["difference_high"] - row["difference_low"] < 0.2 * min(width["fused"], width["infrared"])
    # A mean over images: Student's interval is the right one.
    half = stats.t.ppf(0.975, IMAGES - 1) * np.std(0.1 * DIFFICULTY, ddof=1) / np.sqrt(IMAGES)
    assert width["visible"] == pytest.approx(2 * half, rel=0.1)


def test_holm_is_over_the_fused_methods_of_one_level_or_area():

    points, areas = tables()
    for rows in (areas, *([row for row in points if row["level"] == level] for level in LEVELS)):
        tested = sorted((row for row in rows if row["best_single"]), key=lambda row: row["p_value"])
        first, second = tested
        assert first["p_holm"] == pytest.approx(min(1, 2 * first["p_value"]))
        assert second["p_holm"] == pytest.approx(max(first["p_holm"], second["p_value"]))


def test_areas_are_compared_with_the_baselines():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    rows = {row["method"]: row for row in tables()[1]}
    assert {rows["fused"][name] for name in TO_BASELINE} == {None}
    others = [row for name, row in rows.items() if name != "fused"]
    assert {row["baseline"] for row in others} == {"fused"}
    for row in others:
        assert row["to_baseline"] == pytest.approx(row["area"] - rows["fused"]["area"])
        assert row["to_baseline_low"] < row["to_baseline"] < row["to_baseline_high"]
    # The same pair of curves, seen from the other side.
    assert rows["infrared"]["to_baseline"] == pytest.approx(-rows["fused"]["difference"])
    assert rows["infrared"]["to_baseline_p"] == pytest.approx(rows["fused"]["p_value"])
    values = [row["to_baseline_p"] for row in others]
    expected = multitest.multipletests(values, method="holm")[1]
    assert [row["to_baseline_p_holm"] for row in others] == pytest.approx(expected.tolist())
    assert {row["baseline"] for row in tables(task="quality")[1]} == {None}


def test_scores_have_areas_and_no_best_camera():
    points, areas = tables(task="quality")
    assert {row["best_single"] for row in points + areas} == {None}
    assert {row["above"] for row in areas} == {""}
    assert all(row["ci_low"] < row["area"] < row["ci_high"] for row in areas)


def test_seeds_are_averaged_and_widen_the_interval():
    about = dict.fromkeys(ABOUT, "x") | {"task": "detection"}
    one = {"visible": curve(0.4, 0.4, 0.4, 0.4)}
    three = {"visible": [[measured(0.4 + shift, 0.01, 1 + level) for shift in (-0.03, 0, 0.03)] for level in LEVELS]}
    single, several = (curve_tables(about, LEVELS, methods, "average", INTERVALS)[1][0] for methods in (one, three))
    assert several["seeds"] == 3
    assert several["area"] == pytest.approx(single["area"], abs=0.01)
    assert several["ci_high"] - several["ci_low"] > 1.5 * (single["ci_high"] - single["ci_low"])
