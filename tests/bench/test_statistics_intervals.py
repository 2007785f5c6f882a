"""Resampling weights and bootstrap intervals against scipy and numbers worked out by hand."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from scipy.stats import bootstrap as scipy_bootstrap

from fuse2task.bench.statistics import (
    acceleration,
    bca,
    bootstrap,
    jackknife,
    over_seeds,
    percentile,
    recentre,
    recentred,
    standard_error,
)


@settings(max_examples=30)
@given(images=st.integers(1, 30), seed=st.integers(0, 1000))
def test_bootstrap_draws_as_many_images_as_there_are(images: int, seed: int) -> None:
    weights = bootstrap(images, 20, seed)
    assert weights.shape == (20, images)
    assert (weights.sum(axis=1) == images).all()
    assert (weights == np.rint(weights)).all()
    assert (weights >= 0).all()
    assert (weights == bootstrap(images, 20, seed)).all()
    assert images < 3 or (weights != bootstrap(images, 20, seed + 1)).any()


def test_bootstrap_counts_are_binomial() -> None:
    counts = bootstrap(10, 20_000, seed=0)
    assert counts.mean(axis=0) == pytest.approx(np.ones(10), abs=0.03)
    assert counts.var(axis=0) == pytest.approx(np.full(10, 0.9), rel=0.05)  # n p (1 - p)
    assert np.cov(counts[:, 0], counts[:, 1])[0, 1] == pytest.approx(-0.1, abs=0.03)  # -n p^2


def test_groups_are_drawn_whole() -> None:
    groups = ["b", "a", "b", "c", "a", "b"]
    weights = bootstrap(6, 200, 3, groups)
    assert (weights[:, [0, 0, 1]] == weights[:, [2, 5, 4]]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert jackknife(6, groups).tolist() == [[0, 1, 0, 1, 1, 0], [1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 1, 1]]
    assert jackknife(3).tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    # Frames of a group all alike: the mean's standard error is that of the 5 groups, not of the 50 frames.
    values, labels = np.repeat(np.arange(5.0), 10), np.repeat(np.arange(5), 10)
    spread = (bootstrap(50, 20_000, 0, labels) @ values / 50).std()
    assert spread == pytest.approx(np.arange(5.0).std() / np.sqrt(5), rel=0.03)


def test_wrong_numbers_are_refused() -> None:
    for call in (lambda: bootstrap(0, 5, 0), lambda: bootstrap(5, 0, 0), lambda: jackknife(0)):
        with pytest.raises(ValueError, match=r"\b0 (images|replicates)"):
            call()
    with pytest.raises(ValueError, match="2 group labels for 3 images"):
        bootstrap(3, 5, 0, ["a", "b"])


@pytest.mark.parametrize(("ours", "name"), [("bca", "BCa"), ("percentile", "percentile")])
def test_equal_to_scipy(ours: str, name: str) -> None:
    """scipy's own replicates through our formulas give scipy's interval; our weights nearly so."""
    data = np.random.default_rng(1).lognormal(0, 1, 60)
    oracle = scipy_bootstrap((data,), np.mean, n_resamples=4000, method=name, rng=np.random.default_rng(2))
    skewness = acceleration(jackknife(60) @ data / 59)

    def mine(replicates: np.ndarray):
        return bca(data.mean(), replicates, skewness) if ours == "bca" else percentile(data.mean(), replicates)

    same = mine(oracle.bootstrap_distribution)
    assert (same.low, same.high) == pytest.approx(tuple(oracle.confidence_interval), rel=1e-4)
    drawn = mine(bootstrap(60, 4000, 0) @ data / 60)
    assert (drawn.low, drawn.high) == pytest.approx(tuple(oracle.confidence_interval), rel=0.03)
    assert drawn.method == ours


def test_acceleration_of_a_mean_by_hand() -> None:
    data = np.array([0.0, 0.0, 3.0])  # deviations -1 -1 2: sum of cubes 6, of squares 6
    assert acceleration(jackknife(3) @ data / 2) == pytest.approx(6 / (6 * 6**1.5))
    assert acceleration(np.array([0.3, 0.3 + 1e-17, 0.3])) == 0
    assert acceleration(np.array([0.1 + 0.2, 0.3, 0.3])) == 0  # rounding is not spread
    assert acceleration(np.array([np.nan, 0.5])) == 0


def test_undefined_replicates_are_counted_and_left_out() -> None:
    replicates = np.append(np.linspace(0, 1, 999), [np.nan] * 333)
    found = percentile(0.5, replicates)
    assert found.undefined == pytest.approx(0.25)
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))
    assert bca(0.5, replicates, 0.0).low == pytest.approx(0.025, abs=1e-3)


def test_recentred_has_the_spread_and_the_bias_asked_for() -> None:
    data = np.random.default_rng(3).normal(1, 2, 25)
    replicates, without = bootstrap(25, 4000, 0) @ data / 25, jackknife(25) @ data / 24
    error, units = standard_error(without)
    assert (error, units) == (pytest.approx(scipy.stats.sem(data)), 25)  # of a mean the two are the same
    found = recentred(data.mean(), replicates, without)
    ends = scipy.stats.t.interval(0.95, 24, data.mean(), error)
    assert (found.low, found.high) == pytest.approx(ends, abs=0.06)
    # Replicates that lie 0.1 too high say a bias of 0.1 for order 1, of 0.1 / (sqrt(2) - 1) for order 1 / 2.
    level = data.mean() - (replicates.mean() - data.mean())
    for order, bias in ((1.0, 0.1), (0.5, 0.1 / (2**0.5 - 1))):
        base = recentre(data.mean(), replicates - replicates.mean() + data.mean(), without, order)
        moved = recentre(data.mean(), replicates - replicates.mean() + data.mean() + 0.1, without, order)
        assert np.mean(base - moved) == pytest.approx(bias)
        wider = scipy.stats.t.ppf(0.975, 24) / scipy.stats.norm.ppf(0.975)
        assert base.std(ddof=1) == pytest.approx(error * wider)
        assert moved.std(ddof=1) == pytest.approx(np.hypot(error, bias / 2) * wider)
    assert recentre(data.mean(), replicates, without).mean() == pytest.approx(level)
    cut = recentred(data.mean(), replicates, without, bounds=(0.9, 1.1))
    assert (cut.low, cut.high) == (0.9, 1.1)


def test_order_of_a_bias() -> None:
    """The maximum of two means is biased by the order of the noise; a squared mean by its square."""
    rng = np.random.default_rng(4)
    weights = bootstrap(50, 400, 0)
    left: dict[float, list[float]] = {0.5: [], 1.0: []}
    without = np.arange(50.0)  # spread does not matter here
    for _ in range(400):
        data = rng.normal(0, 1, (50, 2))
        replicates = weights @ data / 50
        left[0.5].append(recentre(data.mean(axis=0).max(), replicates.max(axis=1), without, 0.5).mean())
        left[1.0].append(recentre(data[:, 0].mean() ** 2, replicates[:, 0] ** 2, without, 1.0).mean())
    plain = 1 / np.sqrt(np.pi * 50)  # E max of two standard normal values is 1 / sqrt(pi)
    assert abs(np.mean(left[0.5])) < 0.35 * plain
    assert abs(np.mean(left[1.0])) < 0.35 / 50


def test_nothing_to_compute() -> None:
    spread, without = np.linspace(0, 1, 100), np.array([0.4, 0.5, 0.6])
    for point, replicates in ((0.4, np.full(50, 0.4)), (np.nan, spread), (0.4, np.full(9, np.nan)), (0.4, spread[:1])):
        assert percentile(point, replicates) is None
        assert bca(point, replicates, 0.0) is None
        assert recentred(point, replicates, without) is None
    assert bca(2.0, spread, 0.0) is None  # every replicate lies below the point
    for values in ([np.nan, 0.5], [0.1 + 0.2, 0.3, 0.3], []):  # one image, rounding alone, none
        assert recentred(0.5, spread, np.array(values)) is None
    assert recentred(0.5, np.append(spread, np.nan), without).undefined == pytest.approx(1 / 101)


def test_mean_over_seeds_has_both_variances() -> None:
    rng = np.random.default_rng(0)
    weights, values = bootstrap(400, 4000, 0), rng.normal(0, 1, 400)
    points = values.mean() + np.array([-0.05, 0.0, 0.1])
    replicates = (weights @ values / 400) + np.array([[-0.05], [0.0], [0.1]])
    combined = over_seeds(points, replicates, np.tile(jackknife(400) @ values / 399, (3, 1)))
    assert combined.point == pytest.approx(points.mean())
    assert combined.image_variance == pytest.approx(1 / 400, rel=0.15)
    assert combined.spread == pytest.approx(np.std(points, ddof=1))
    assert combined.seed_variance == pytest.approx(np.var(points, ddof=1) / 3)
    low, high = np.quantile(combined.replicates, [0.25, 0.75])
    single = over_seeds(points[0], replicates[0], jackknife(400) @ values / 399)
    assert high - low > 1.3 * np.subtract(*np.quantile(single.replicates, [0.75, 0.25]))
    assert np.isnan(single.spread)
    assert single.seed_variance == 0
    with pytest.raises(ValueError, match=r"2, .* replicates"):
        over_seeds(points, replicates[:2], values)


@pytest.mark.slow
def test_ap_intervals_cover_the_true_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of tests/robustness/interval_coverage.py: fewer covered of 60 has a chance below 1 in 1000 at 92 %."""
    folder = Path(__file__).resolve().parents[1] / "robustness"
    spec = importlib.util.spec_from_file_location("interval_coverage", folder / "interval_coverage.py")
    coverage = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, coverage)
    spec.loader.exec_module(coverage)
    monkeypatch.setattr(coverage, "POPULATION", 4000)
    monkeypatch.setattr(coverage, "WEIGHTS", bootstrap(coverage.IMAGES, 400, seed=1))
    fewest = binom.ppf(0.001, 60, 0.92) / 60
    for tally in coverage.detections(60):
        if not isinstance(tally, str) and tally.name in ("AP", "AP50", "AP difference"):
            assert tally.covered("recentred") >= fewest, tally.row()
