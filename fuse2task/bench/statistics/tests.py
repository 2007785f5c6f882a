"""Significance tests: paired differences, Holm's correction, rank correlation, Friedman with Nemenyi.

The paired test and what goes with it are our own: no library tests with the benchmark's recentred bootstrap. Holm's six
lines are here because scipy corrects by false discovery rate alone; the others call scipy.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from fuse2task.bench.statistics.intervals import Distribution, Interval, OverSeeds, over_seeds

POWER = 0.8
_EXACT = 9  # up to so many methods all orders are enumerated
MINIMUM_METHODS = 5  # with fewer, Holm's paired comparisons say all there is to say


@dataclass(frozen=True)
class Comparison:
    """a minus b. None where it cannot be computed (undefined, one image, replicates that do not vary)."""

    difference: float | None
    interval: Interval | None
    p_value: float | None  # two-sided, for no difference
    smallest_detectable: float | None
    seeds: int

    @property
    def ends(self) -> tuple[float, float] | tuple[None, None]:
        """Both ends of the interval."""
        return (self.interval.low, self.interval.high) if self.interval else (None, None)


def compare(a: Distribution, b: Distribution, level: float = 0.95, seed: int = 0) -> Comparison:
    """Compare two methods scored under the same weights (`resampling.bootstrap`), pairing images and seeds.

    The p value belongs to the interval: it is 1 minus the level at which the interval would end at 0. A method
    against itself gives 1. No bias is taken off: two methods on the same images have much the same, and it cancels.

    Args:
        a: of the first method; S = 1 may be dropped.
        b: of the second; seed s of a is paired with seed s of b.
        level: confidence of the interval.
        seed: see `over_seeds`.

    Raises:
        ValueError: shapes that do not fit.
    """
    parts = [(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)) for x, y in zip(a, b, strict=True)]
    if any(x.shape != y.shape for x, y in parts):
        raise ValueError(f"a has {[x.shape for x, _ in parts]}, b {[y.shape for _, y in parts]}; both need the same")
    points, replicates, jackknife = (x - y for x, y in parts)
    combined = over_seeds(points, replicates, jackknife, seed, order=np.inf)
    if np.isnan(combined.point):
        return Comparison(None, None, None, None, combined.seeds)
    if combined.replicates is None:
        defined = replicates[~np.isnan(replicates)]
        same = bool(len(defined)) and not np.any(points) and not np.any(defined)
        return Comparison(combined.point, None, 1.0 if same else None, None, combined.seeds)
    low, high = np.quantile(combined.replicates, [(1 - level) / 2, (1 + level) / 2])
    undefined = 1 - len(combined.replicates) / np.atleast_2d(replicates).shape[1]
    interval = Interval(float(low), float(high), "recentred", undefined)
    detectable = smallest_detectable(combined, 1 - level)
    return Comparison(combined.point, interval, p_value(combined.replicates), detectable, combined.seeds)


def compare_all(
    values: Mapping[str, Distribution], reference: Distribution, level: float = 0.95, seed: int = 0
) -> dict[str, tuple[Comparison, float]]:
    """Each method compared with the reference, and its p value by Holm's correction over them all."""
    found = [compare(value, reference, level, seed) for value in values.values()]
    adjusted = holm([np.nan if one.p_value is None else one.p_value for one in found]).tolist()
    return dict(zip(values, zip(found, adjusted, strict=True), strict=True))


def p_value(replicates: np.ndarray) -> float:
    """Two-sided p value for no difference: twice the smaller share of recentred replicates (R,) beyond 0.

    Zeros count on both sides, and the share is (1 + count) / (1 + R) (Davison and Hinkley 1997, section 4.2): p is
    at least 2 / (1 + R).
    """
    beyond = min(np.count_nonzero(replicates <= 0), np.count_nonzero(replicates >= 0))
    return min(1.0, 2 * (1 + int(beyond)) / (1 + len(replicates)))


def smallest_detectable(combined: OverSeeds, alpha: float = 0.05) -> float:
    """The smallest true difference that so many images and seeds show with 80 % power in a two-sided test.

    (z_{1 - alpha / 2} + z_{0.8}) times the standard error (Cohen 1988, chapter 2). With several seeds the first
    term is what the test asks for there, the 1 - alpha quantile of the replicates' distance from their median, and
    the second has Student's quantile with Satterthwaite's degrees of freedom (1946). Three seeds know their own
    spread only to a factor of two or so, and the result no better.
    """
    variance = combined.image_variance + combined.seed_variance
    needed, power = ndtri(1 - alpha / 2) * np.sqrt(variance), ndtri(POWER)
    if combined.seed_variance > 0 and combined.replicates is not None:
        values = combined.replicates
        needed = np.quantile(np.abs(values - np.median(values)), 1 - alpha)
        power = stdtrit((combined.seeds - 1) * (variance / combined.seed_variance) ** 2, POWER)
    return float(needed + power * np.sqrt(variance))


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Step-down adjusted p values (Holm 1979), same order; NaN stays NaN and does not count as a comparison.

    Raises:
        ValueError: a value outside [0, 1].
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    if np.any((p[tested] < 0) | (p[tested] > 1)):
        raise ValueError("p values lie between 0 and 1")
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rho and Kendall's tau-b in [-1, 1] with two-sided p values; NaN where undefined."""

    spearman: float
    spearman_p: float
    kendall: float
    kendall_p: float
    methods: int


def rank_correlation(scores: np.ndarray, metric: np.ndarray) -> RankCorrelation:
    """Correlate one score with one metric over methods; those without either are left out.

    Spearman's p value is exact (all orders equally likely) up to 9 methods, where the usual approximation by
    Student's distribution gives 0 for equal orders; Kendall's as scipy chooses. All NaN below 3 methods or where
    one side is constant.

    Args:
        scores: (M,)
        metric: (M,)
    """
    from scipy.stats import kendalltau, spearmanr

    scores, metric = np.asarray(scores, dtype=np.float64), np.asarray(metric, dtype=np.float64)
    both = ~(np.isnan(scores) | np.isnan(metric))
    scores, metric = scores[both], metric[both]
    count = len(scores)
    if count < 3 or np.ptp(scores) == 0 or np.ptp(metric) == 0:
        return RankCorrelation(np.nan, np.nan, np.nan, np.nan, count)
    spearman, kendall = spearmanr(scores, metric), kendalltau(scores, metric)
    p = _exact_spearman_p(scores, metric) if count <= _EXACT else float(spearman.pvalue)
    return RankCorrelation(float(spearman.statistic), p, float(kendall.statistic), float(kendall.pvalue), count)


def _exact_spearman_p(scores: np.ndarray, metric: np.ndarray) -> float:
    """Share of all orders at least as correlated, in absolute value, as the one at hand."""
    from scipy.stats import rankdata

    first, second = rankdata(scores), rankdata(metric)
    first -= first.mean()
    orders = second[np.array(list(itertools.permutations(range(len(second)))))]
    products = np.abs(orders @ first)
    return float(np.mean(products >= abs(second @ first) - 1e-9))


@dataclass(frozen=True)
class FriedmanRanking:
    """Mean ranks of M methods over N blocks."""

    ranks: np.ndarray  # (M,) 1 is best; ties share their mean rank
    p_value: float  # Friedman: no method differs
    critical_difference: float  # mean ranks this far apart differ
    blocks: int


def rank(scores: np.ndarray, alpha: float = 0.05) -> FriedmanRanking | None:
    """Rank methods within blocks (images, or datasets and seeds) and test (Friedman 1937; Demsar 2006, section 3.2.2).

    Args:
        scores: (blocks, methods), higher is better; blocks with NaN are left out.
        alpha: level of the critical difference.

    Returns:
        None with fewer than 5 methods or 2 complete blocks, or where every block ties all methods.
    """
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    scores = np.asarray(scores, dtype=np.float64)
    scores = scores[~np.isnan(scores).any(axis=1)]
    blocks, methods = scores.shape
    if methods < MINIMUM_METHODS or blocks < 2 or not np.ptp(scores, axis=1).any():
        return None
    ranks = rankdata(-scores, axis=1).mean(axis=0)
    # Demsar 2006, section 3.2.2: the studentized range's quantile for infinite degrees of freedom over sqrt(2).
    quantile = studentized_range.ppf(1 - alpha, methods, np.inf) / np.sqrt(2)
    difference = quantile * np.sqrt(methods * (methods + 1) / (6 * blocks))
    return FriedmanRanking(ranks, float(friedmanchisquare(*scores.T).pvalue), float(difference), blocks)
