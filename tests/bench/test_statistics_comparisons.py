"""Paired differences, Holm, ranking and rank correlation against statsmodels, scipy, scikit-posthocs and tables."""

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from fuse2task.bench.statistics import (
    bootstrap,
    compare,
    holm,
    jackknife,
    left_one_out,
    p_value,
    rank,
    rank_correlation,
)

IMAGES = 60
WEIGHTS, LEFT_OUT = bootstrap(IMAGES, 999, seed=0), jackknife(IMAGES)


def sample(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Point, replicates and jackknife values of the mean over images, the last axis."""
    return scores.mean(axis=-1), scores @ WEIGHTS.T / IMAGES, scores @ LEFT_OUT.T / (IMAGES - 1)


def test_a_method_against_itself() -> None:
    scores = np.random.default_rng(0).random((3, IMAGES))
    for part in (scores[0], scores):
        found = compare(sample(part), sample(part))
        assert (found.difference, found.p_value, found.interval) == (0, 1, None)


def test_close_to_the_t_test() -> None:
    """For a mean of normal differences the paired t test is exact."""
    rng = np.random.default_rng(1)
    for shift in (0.0, 0.1, 0.2, 0.4):
        a, b = rng.normal(shift, 1, IMAGES), rng.normal(0, 1, IMAGES)
        b = 0.9 * a - 0.9 * shift + 0.4 * b  # the same images: correlated
        oracle = scipy.stats.ttest_rel(a, b)
        found, mirrored = compare(sample(a), sample(b)), compare(sample(b), sample(a))
        assert found.p_value == pytest.approx(oracle.pvalue, abs=0.03 + 0.1 * oracle.pvalue)
        ends = oracle.confidence_interval()
        assert (found.interval.low, found.interval.high) == pytest.approx((ends.low, ends.high), abs=0.02)
        assert mirrored.difference == pytest.approx(-found.difference)
        assert mirrored.p_value == pytest.approx(found.p_value, abs=1e-6)


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), shift=st.floats(-0.6, 0.6))
def test_p_value_agrees_with_the_interval(seed: int, shift: float) -> None:
    a, b = np.random.default_rng(seed).gamma(2, 1, (2, IMAGES)) + np.array([[shift], [0]])
    for level in (0.8, 0.95):
        found = compare(sample(a), sample(b), level)
        assert 0 < found.p_value <= 1
        if abs(found.p_value - (1 - level)) > 0.01:  # the +1 makes p a little larger
            assert (found.interval.low <= 0 <= found.interval.high) == (found.p_value > 1 - level)


def test_p_value_by_hand() -> None:
    assert p_value(np.array([-1.0, *np.ones(8)])) == pytest.approx(2 * 2 / 10)
    assert p_value(np.ones(999)) == 2 / 1000  # the smallest
    assert p_value(np.zeros(9)) == 1


@pytest.mark.parametrize(("seeds", "spread"), [(1, 0.0), (3, 0.05), (3, 0.25), (3, 1.0)])
def test_rates_at_no_difference_and_at_the_smallest_detectable(seeds: int, spread: float) -> None:
    """Of 400 experiments 5 % (with seeds, fewer) find a difference of 0, and 80 % one as large as promised."""
    rng = np.random.default_rng(5)
    zero = sample(np.zeros((seeds, IMAGES)))
    samples = [sample(rng.normal(0, 1, IMAGES) + rng.normal(0, spread, (seeds, 1))) for _ in range(400)]
    found = [compare(part, zero, seed=number) for number, part in enumerate(samples)]
    false_alarms = np.mean([result.p_value < 0.05 for result in found])
    assert false_alarms <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 400)
    assert false_alarms >= 0.03 or seeds > 1
    # The root mean square: what is promised where the variances are known.
    promised = np.sqrt(np.mean([result.smallest_detectable**2 for result in found]))
    moved = [tuple(values + promised for values in part) for part in samples]
    shown = np.mean([compare(part, zero, seed=number).p_value < 0.05 for number, part in enumerate(moved)])
    assert shown == pytest.approx(0.8, abs=0.1)
    if seeds == 1:
        assert promised == pytest.approx(2.802 / np.sqrt(IMAGES), rel=0.03)  # z of 0.975 and of 0.8


def test_few_seeds_that_disagree_widen_everything() -> None:
    rng = np.random.default_rng(2)
    image = rng.normal(0, 0.01, IMAGES)
    steady, shaky = (0.05 + image + np.array(moves)[:, None] for moves in ([0, 0, 0], [-0.06, 0.0, 0.06]))
    zero = sample(np.zeros((3, IMAGES)))
    sure, unsure = compare(sample(steady), zero), compare(sample(shaky), zero)
    assert sure.difference == pytest.approx(unsure.difference)
    assert sure.p_value < 0.01 < 0.1 < unsure.p_value
    # Only the seeds vary, nearly: Student's interval of three values.
    ends = scipy.stats.ttest_1samp(shaky.mean(axis=1), 0).confidence_interval()
    assert (unsure.interval.low, unsure.interval.high) == pytest.approx((ends.low, ends.high), abs=0.07)
    assert unsure.smallest_detectable > 5 * sure.smallest_detectable


def test_what_cannot_be_compared() -> None:
    point, many, without = sample(np.random.default_rng(0).random(IMAGES))
    undefined = compare((np.array(np.nan), many, without), (point, many, without))
    assert (undefined.difference, undefined.p_value, undefined.interval) == (None, None, None)
    one_image = compare((np.array(0.5), np.full(99, 0.5), np.array([np.nan])), (np.array(0.25), np.full(99, 0.25), [0]))
    assert (one_image.difference, one_image.p_value, one_image.smallest_detectable) == (0.25, None, None)
    no_replicates = (point, np.full_like(many, np.nan), without)
    assert compare(no_replicates, no_replicates).p_value is None
    with pytest.raises(ValueError, match="both need the same"):
        compare((point, many, without), (point, many[:5], without))


def test_holm() -> None:
    # Holm 1979 by hand: 0.01 x 4, 0.02 x 3, then 0.03 x 2 and 0.04 x 1, not below what stands before.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.5, np.nan, 0.04]), [0.5, np.nan, 0.08])
    assert len(holm([])) == 0
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, 1.5])


@settings(max_examples=50)
@given(p=st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.01, 0.02])), min_size=1, max_size=6))
def test_holm_is_the_closed_test(p: list[float]) -> None:
    """Holm is Bonferroni on every set of comparisons: each one's largest p over the sets that it is in."""
    indices = range(len(p))
    sets = [chosen for size in indices for chosen in itertools.combinations(indices, size + 1)]
    largest = [max(min(1, min(p[j] for j in chosen) * len(chosen)) for chosen in sets if i in chosen) for i in indices]
    np.testing.assert_allclose(holm(p), largest, atol=1e-12)


def test_holm_equals_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(0).random(20) ** 4
    np.testing.assert_allclose(holm(p), multitest.multipletests(p, method="holm")[1], atol=1e-12)


def test_ranking_equals_scikit_posthocs() -> None:
    posthocs = pytest.importorskip("scikit_posthocs")
    rng = np.random.default_rng(3)
    seen = set()
    for _ in range(20):
        scores = np.round(rng.normal(np.linspace(0, 1.2, 6), 1, (25, 6)), 1)  # rounded: ties
        found = rank(scores)
        assert found.p_value == pytest.approx(scipy.stats.friedmanchisquare(*scores.T).pvalue)
        pairs = np.asarray(posthocs.posthoc_nemenyi_friedman(scores))
        apart = np.abs(found.ranks[:, None] - found.ranks) > found.critical_difference
        off_diagonal = ~np.eye(6, dtype=bool)
        assert (apart == (pairs < 0.05))[off_diagonal].all()
        seen |= set(apart[off_diagonal].tolist())
    assert seen == {True, False}


@pytest.mark.parametrize(("methods", "quantile"), [(5, 2.728), (6, 2.850), (8, 3.031), (10, 3.164)])
def test_critical_difference_of_the_table(methods: int, quantile: float) -> None:
    """Demsar 2006, table 5a, alpha = 0.05."""
    scores = np.random.default_rng(0).random((30, methods))
    expected = quantile * np.sqrt(methods * (methods + 1) / (6 * 30))
    assert rank(scores).critical_difference == pytest.approx(expected, rel=3e-4)


def test_ranks_and_what_cannot_be_ranked() -> None:
    scores = np.array([[0.9, 0.5, 0.5, 0.1, 0.0], [0.8, 0.7, 0.6, 0.5, 0.5], [np.nan, 1, 1, 1, 1]])
    found = rank(scores)
    assert found.ranks.tolist() == [1, 2.25, 2.75, 4.25, 4.75]
    assert found.blocks == 2
    assert rank(scores[:, :4]) is None
    assert rank(scores[:1]) is None
    assert rank(np.ones((9, 6))) is None


@pytest.mark.slow
@settings(max_examples=15)
@given(seed=st.integers(0, 1000), count=st.integers(3, 6), digits=st.integers(0, 3))
def test_rank_correlation_equals_scipy(seed: int, count: int, digits: int) -> None:
    scores, metric = np.round(np.random.default_rng(seed).random((2, count)), digits)
    found = rank_correlation(np.append(scores, np.nan), np.append(metric, 0.5))
    assert found.methods == count
    if np.ptp(scores) == 0 or np.ptp(metric) == 0:
        assert np.isnan([found.spearman, found.spearman_p, found.kendall, found.kendall_p]).all()
        return
    spearman, kendall = scipy.stats.spearmanr(scores, metric), scipy.stats.kendalltau(scores, metric)
    assert (found.spearman, found.kendall) == pytest.approx((spearman.statistic, kendall.statistic))
    assert found.kendall_p == pytest.approx(kendall.pvalue)
    exact = scipy.stats.permutation_test(
        (scores,),
        lambda x: abs(scipy.stats.spearmanr(x, metric).statistic),
        permutation_type="pairings",
        alternative="greater",
        n_resamples=np.inf,
    )
    assert found.spearman_p == pytest.approx(exact.pvalue)


def test_rank_correlation_of_few_and_of_many() -> None:
    assert np.isnan(rank_correlation(np.array([1, 2]), np.array([1, 2])).spearman)
    six = rank_correlation(np.arange(6), np.arange(6) ** 2)
    assert (six.spearman, six.kendall) == pytest.approx((1, 1))
    assert six.spearman_p == pytest.approx(2 / 720)
    rng = np.random.default_rng(0)
    scores, metric = rng.random((2, 12))
    assert rank_correlation(scores, metric).spearman_p == pytest.approx(scipy.stats.spearmanr(scores, metric).pvalue)


@given(seed=st.integers(0, 1000), count=st.integers(4, 12))
@settings(max_examples=30)
def test_prediction_of_a_left_out_method_is_that_of_fitting_without_it(seed: int, count: int) -> None:
    scores, metric = np.random.default_rng(seed).random((2, count))
    errors, spread = [], []
    for out in range(count):
        kept = np.arange(count) != out
        slope, constant = np.polyfit(scores[kept], metric[kept], 1)
        errors.append(metric[out] - slope * scores[out] - constant)
        spread.append(metric[out] - metric[kept].mean())
    assert left_one_out(scores, metric) == pytest.approx(1 - np.sum(np.square(errors)) / np.sum(np.square(spread)))
    assert left_one_out(scores, 2 - 3 * scores) == pytest.approx(1)
    lone = np.zeros(count)
    lone[0] = 1
    assert np.isnan(left_one_out(lone, metric))


def test_interval_of_a_correlation_holds_as_often_as_it_says() -> None:
    rng, true, hits = np.random.default_rng(4), 0.6, 0
    # Spearman's rho of a normal distribution (Pearson 1907).
    rho = 6 / np.pi * np.arcsin(true / 2)
    for _ in range(400):
        scores, noise = rng.standard_normal((2, 20))
        found = rank_correlation(scores, true * scores + np.sqrt(1 - true**2) * noise)
        hits += found.spearman_low <= rho <= found.spearman_high
    assert 0.92 <= hits / 400 <= 0.98
    few = rank_correlation(np.arange(4), np.array([1, 3, 2, 5]))
    assert np.isnan([few.spearman_low, few.spearman_high]).all()
