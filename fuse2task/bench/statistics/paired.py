"""The difference between two methods on the same images: interval, p value, and what could have been seen."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from fuse2task.bench.statistics import intervals
from fuse2task.bench.statistics.seeds import OverSeeds, over_seeds

POWER = 0.8


@dataclass(frozen=True)
class Comparison:
    """a minus b. None where it cannot be computed (undefined, one image, replicates that do not vary)."""

    difference: float | None
    interval: intervals.Interval | None
    p_value: float | None  # two-sided, for no difference
    smallest_detectable: float | None
    seeds: int


def compare(
    a: tuple[np.ndarray, np.ndarray, np.ndarray],
    b: tuple[np.ndarray, np.ndarray, np.ndarray],
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare two methods scored under the same weights (`resampling.bootstrap`), pairing images and seeds.

    The p value belongs to the interval: it is 1 minus the level at which the interval would end at 0. A method
    against itself gives 1. No bias is taken off: two methods on the same images have much the same, and it cancels.

    Args:
        a: points (S,), replicates (S, R) and jackknife values (S, J) of the first method; S = 1 may be dropped.
        b: the same of the second; seed s of a is paired with seed s of b.
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
    return Comparison(
        combined.point,
        intervals.Interval(float(low), float(high), "recentred", undefined),
        p_value(combined.replicates),
        smallest_detectable(combined, 1 - level),
        combined.seeds,
    )


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
