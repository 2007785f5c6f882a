"""Bootstrap confidence intervals and significance tests: paired differences, Holm, rank correlation, Friedman, Nemenyi.

Several seeds: images are resampled alike for all, and the mean over seeds is taken in every replicate; that leaves out
that other seeds would have given other values. Resampling S = 3 seeds would show only (S - 1) / S of their variance, so
each replicate is moved instead by t * s / sqrt(S), with s the standard deviation over seeds and t drawn from Student's
distribution with S - 1 degrees of freedom: what is known of a mean of S normal values (two seeds: very little). Tests
on it keep below their nominal rate of false alarms (Behrens-Fisher: 2 to 5 % instead of 5 % with 3 seeds), where
Satterthwaite's degrees of freedom go up to 8 % with 3 seeds and 13 % with 2. What of the spread over seeds comes from
these very images is counted twice, which errs on the wide side too.

The paired test and what goes with it are our own: no library tests with this recentred bootstrap. Holm's six lines are
here because scipy corrects by false discovery rate alone; the other tests call scipy.
"""

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

Distribution = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Points (S,), replicates (S, R), leave-one-out values (S, J) of one number from S seeds."""
POWER = 0.8
MINIMUM_SEQUENCES = 10
"""With fewer, intervals over whole sequences cannot be relied on (docs/methodology.md)."""
_EXACT = 9  # up to so many methods all orders are enumerated
MINIMUM_METHODS = 5  # with fewer, Holm's paired comparisons say all there is to say
METHODS = ("recentred", "bca", "percentile")


@dataclass(frozen=True)
class Interval:
    """A confidence interval, and the share in [0, 1] of replicates in which the number was undefined."""

    low: float
    high: float
    method: str  # one of METHODS
    undefined: float


def recentred(
    point: float, replicates: np.ndarray, jackknife: np.ndarray, level: float = 0.95, order: float = 1.0,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Interval | None:  # fmt: skip
    """The percentile interval of `recentre`d replicates, cut to `bounds`; see there for arguments, and for None."""
    values = recentre(point, replicates, jackknife, order)
    if values is None:
        return None
    low, high = np.clip(np.quantile(values, [(1 - level) / 2, (1 + level) / 2]), *bounds)
    return Interval(float(low), float(high), "recentred", float(np.mean(np.isnan(replicates))))


def recentre(point: float, replicates: np.ndarray, jackknife: np.ndarray, order: float = 1.0) -> np.ndarray | None:
    """Defined replicates with the bias and the spread that the number has, as far as the images tell.

    Bias: for a number whose bias falls as 1 / n^order in the number of images, resampling, which puts its own
    variation on top of the sample's, adds 2^order - 1 times the bias that the point has already. The distance of
    the replicates' mean from the point, over 2^order - 1, is taken off the point. Order 1 is the usual bootstrap
    correction (Efron and Tibshirani 1993, section 10.6). AP takes maxima over a jagged precision curve: their bias
    goes with the noise, by theory an order of 1 / 2, by measurement 0.4 (`tasks.detection`; docs/methodology.md).

    Spread: the bootstrap's is up to a tenth too small for AP and mIoU; the replicates are stretched to the
    jackknife's standard error (Efron and Stein 1981), with half the correction added in quadrature, for that is how
    well simulation knows it, and by Student's over the normal 97.5 % quantile for few images.

    Args:
        point: the number on the images themselves. order: of its bias in their number; infinite without bias.
        replicates: (R,) the number under bootstrap weights, jackknife (J,) leave-one-out values; NaN where undefined,
            left out.

    Returns:
        None where there is nothing to compute: the point is undefined, or there are fewer than two different
        replicates or jackknife values.
    """
    usable, (error, units) = _usable(point, replicates), standard_error(jackknife)
    if usable is None or not error > 0:
        return None
    correction = (usable.mean() - point) / (2**order - 1)
    spread = np.hypot(error, correction / 2) * stdtrit(units - 1, 0.975) / ndtri(0.975)
    return point - correction + spread * (usable - usable.mean()) / usable.std(ddof=1)


def standard_error(jackknife: np.ndarray) -> tuple[float, int]:
    """Jackknife standard error (Efron and Tibshirani 1993, eq. 11.5) and the number of defined values; 0 below two."""
    values = np.asarray(jackknife, dtype=np.float64)
    values = values[~np.isnan(values)]
    count = len(values)
    # Equal values differ by rounding.
    if count < 2 or np.ptp(values) <= 8 * np.spacing(np.abs(values).max()):
        return 0.0, count
    return float(np.sqrt((count - 1) * np.var(values))), count


def bca(point: float, replicates: np.ndarray, acceleration: float, level: float = 0.95) -> Interval | None:
    """The bias-corrected and accelerated interval (Efron 1987; Efron and Tibshirani 1993, eq. 14.9 to 14.14).

    point, replicates: as in `recentre`; undefined ones are counted. acceleration: from `acceleration`; 0 gives the
    bias-corrected percentile interval. level: confidence, between 0 and 1. None where there is nothing to compute: the
    point is undefined, there are fewer than two different replicates, or all lie on one side of the point.
    """
    usable = _usable(point, replicates)
    if usable is None:
        return None
    bias = bias_correction(point, usable)
    if not np.isfinite(bias) or not np.isfinite(acceleration):
        return None
    shifted = bias + ndtri([(1 - level) / 2, (1 + level) / 2])
    levels = ndtr(bias + shifted / (1 - acceleration * shifted))
    return _interval(usable, levels, "bca", replicates)


def percentile(point: float, replicates: np.ndarray, level: float = 0.95) -> Interval | None:
    """The percentile interval (Efron and Tibshirani 1993, section 13.3); arguments and None as for `bca`."""
    usable = _usable(point, replicates)
    if usable is None:
        return None
    return _interval(usable, np.array([(1 - level) / 2, (1 + level) / 2]), "percentile", replicates)


def bias_correction(point: float, replicates: np.ndarray) -> float:
    """z0 of defined replicates (Efron and Tibshirani 1993, eq. 14.14); ties with the point count half.

    Infinite where all replicates lie on one side.
    """
    return float(ndtri(np.mean(replicates < point) + np.mean(replicates == point) / 2))


def acceleration(jackknife: np.ndarray) -> float:
    """a (Efron and Tibshirani 1993, eq. 14.15) from leave-one-out values (J,); NaN where undefined, left out.

    0 where fewer than two are defined or all are equal.
    """
    values = _defined(jackknife)
    if len(values) < 2:
        return 0.0
    away = values.mean() - values
    spread = np.sum(away**2)
    # Equal values differ by rounding.
    if spread <= len(values) * (8 * np.spacing(np.abs(values).max())) ** 2:
        return 0.0
    return float(np.sum(away**3) / (6 * spread**1.5))


def _defined(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values[~np.isnan(values)]


def _usable(point: float, replicates: np.ndarray) -> np.ndarray | None:
    values = _defined(replicates)
    return None if np.isnan(point) or len(values) < 2 or np.ptp(values) == 0 else values


def _interval(usable: np.ndarray, levels: np.ndarray, method: str, replicates: np.ndarray) -> Interval:
    low, high = np.quantile(usable, levels)
    return Interval(float(low), float(high), method, 1 - len(usable) / len(replicates))


def bootstrap(images: int, replicates: int, seed: int, groups: Sequence[Hashable] | None = None) -> np.ndarray:
    """Counts (replicates, images) float64 of the ordinary bootstrap (Efron 1979): drawn with replacement.

    The same arguments give the same weights, so that methods scored on the same images in the same order share
    them, which is what makes a comparison paired. groups: one label an image. Neighbouring frames of a film resemble
    each other; where labels say which belong together, whole groups are drawn, as many as there are (cluster
    bootstrap: Davison and Hinkley 1997, section 3.8).

    Raises:
        ValueError: no images or replicates, or not one label an image.
    """
    if images < 1 or replicates < 1:
        raise ValueError(f"{images} images and {replicates} replicates; both must be positive")
    group = group_numbers(images, groups)
    count = int(group.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=replicates)
    return drawn[:, group].astype(np.float64)


def jackknife(images: int, groups: Sequence[Hashable] | None = None) -> np.ndarray:
    """Leave-one-out weights (images, images) float64, or (groups, images): one group out; raises as `bootstrap`."""
    if images < 1:
        raise ValueError(f"{images} images; there must be some")
    group = group_numbers(images, groups)
    return (np.arange(group.max() + 1)[:, None] != group).astype(np.float64)


def group_numbers(images: int, groups: Sequence[Hashable] | None = None) -> np.ndarray:
    """Number (images,) int64 of each image's group, from 0, in order of first appearance; each its own if None."""
    if groups is None:
        return np.arange(images)
    if len(groups) != images:
        raise ValueError(f"{len(groups)} group labels for {images} images")
    numbers = {label: number for number, label in enumerate(dict.fromkeys(groups))}
    return np.array([numbers[label] for label in groups], dtype=np.int64)


@dataclass(frozen=True)
class OverSeeds:
    """A mean over S seeds and its bootstrap distribution; S = 1 says nothing about seeds."""

    point: float
    replicates: np.ndarray | None  # as `recentre` gives them, moved for the seeds; None where it gives None
    spread: float  # standard deviation over seeds (S - 1 in the denominator); NaN for one seed
    image_variance: float  # of the mean, over images
    seed_variance: float  # of the mean, over seeds; 0 for one seed
    seeds: int


def over_seeds(
    points: np.ndarray, replicates: np.ndarray, jackknife: np.ndarray, seed: int = 0, order: float = 1.0
) -> OverSeeds:
    """Mean over seeds; a replicate in which the number is undefined for one seed is undefined.

    Args:
        points: (S,), replicates (S, R) under the same weights for all seeds, jackknife (S, J) leave-one-out values;
            S = 1 may be dropped. seed: of the draws that stand for other seeds. order: see `recentre`.

    Raises:
        ValueError: shapes that do not fit.
    """
    points, replicates, jackknife = np.atleast_1d(points), np.atleast_2d(replicates), np.atleast_2d(jackknife)
    count = len(points)
    if points.ndim != 1 or not count or len(replicates) != count or len(jackknife) != count:
        raise ValueError(f"{points.shape} points, {replicates.shape} replicates, {jackknife.shape} jackknife values")
    point, without = float(points.mean()), jackknife.mean(axis=0)
    values = recentre(point, replicates.mean(axis=0), without, order)
    spread, seed_variance = np.nan, 0.0
    if count > 1:
        spread = float(np.std(points, ddof=1))
        seed_variance = spread**2 / count
        if values is not None:
            noise = np.random.default_rng(seed).standard_t(count - 1, size=len(values))
            values = values + np.sqrt(seed_variance) * noise
    return OverSeeds(point, values, spread, standard_error(without)[0] ** 2, seed_variance, count)


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
    """Compare two methods scored under the same weights (`bootstrap`), pairing images and seeds.

    The p value belongs to the interval: it is 1 minus the level at which the interval would end at 0. A method
    against itself gives 1. No bias is taken off: two methods on the same images have much the same, and it cancels.

    S = 1 may be dropped; seed s of a is paired with seed s of b. level: confidence of the interval. seed: see
    `over_seeds`. Raises ValueError for shapes that do not fit.
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
    """Spearman's rho and Kendall's tau-b in [-1, 1] with two-sided p values; NaN where undefined.

    spearman_low, spearman_high: 95 % interval of rho over methods like these (Bonett & Wright 2000), from 5 methods.
    predicted: share of the metric's variance over methods that a straight line through all other methods' scores
    predicts, at most 1; below 0 the mean of the others is the better guess (PRESS, Allen 1974).
    """

    spearman: float
    spearman_low: float
    spearman_high: float
    spearman_p: float
    kendall: float
    kendall_p: float
    predicted: float
    methods: int


def rank_correlation(scores: np.ndarray, metric: np.ndarray) -> RankCorrelation:
    """Correlate one score (M,) with one metric (M,) over methods; those without either are left out.

    Spearman's p value is exact (all orders equally likely) up to 9 methods, where the usual approximation by
    Student's distribution gives 0 for equal orders; Kendall's as scipy chooses. All NaN below 3 methods or where
    one side is constant.
    """
    from scipy.stats import kendalltau, spearmanr

    scores, metric = np.asarray(scores, dtype=np.float64), np.asarray(metric, dtype=np.float64)
    both = ~(np.isnan(scores) | np.isnan(metric))
    scores, metric = scores[both], metric[both]
    count = len(scores)
    if count < 3 or np.ptp(scores) == 0 or np.ptp(metric) == 0:
        return RankCorrelation(np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, count)
    spearman, kendall = spearmanr(scores, metric), kendalltau(scores, metric)
    p = _exact_spearman_p(scores, metric) if count <= _EXACT else float(spearman.pvalue)
    rho, tau = float(spearman.statistic), float(kendall.statistic)
    return RankCorrelation(rho, *_spearman_interval(rho, count), p, tau, float(kendall.pvalue),
                           left_one_out(scores, metric), count)  # fmt: skip


def _spearman_interval(rho: float, count: int) -> tuple[float, float]:
    if count < 5:
        return np.nan, np.nan
    if abs(rho) > 1 - 1e-12:
        return rho, rho
    half = ndtri(0.975) * np.sqrt((1 + rho**2 / 2) / (count - 3))
    return float(np.tanh(np.arctanh(rho) - half)), float(np.tanh(np.arctanh(rho) + half))


def left_one_out(scores: np.ndarray, metric: np.ndarray) -> float:
    """`RankCorrelation.predicted` of scores (M,) and a metric (M,); NaN below 4 methods."""
    count = len(scores)
    if count < 4:
        return np.nan
    centred, target = scores - scores.mean(), metric - metric.mean()
    leverage = 1 / count + centred**2 / (centred @ centred)
    residual = target - centred * (centred @ target) / (centred @ centred)
    # A method without which all others score alike decides its line alone.
    if (leverage > 1 - 1e-9).any():
        return np.nan
    return float(1 - np.sum((residual / (1 - leverage)) ** 2) / np.sum((target * count / (count - 1)) ** 2))


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

    scores: (blocks, methods), higher is better; blocks with NaN are left out. alpha: level of the critical difference.
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
