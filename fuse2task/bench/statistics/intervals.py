"""Bootstrap confidence intervals of one number: recentred (what the benchmark prints), percentile and BCa."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

METHODS = ("recentred", "bca", "percentile")
AP_ORDER = 0.4  # of the bias of interpolated precision, see `recentre`


@dataclass(frozen=True)
class Interval:
    """A confidence interval, and the share in [0, 1] of replicates in which the number was undefined."""

    low: float
    high: float
    method: str  # one of METHODS
    undefined: float


def recentred(
    point: float,
    replicates: np.ndarray,
    jackknife: np.ndarray,
    level: float = 0.95,
    order: float = 1.0,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Interval | None:
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
    goes with the noise, by theory an order of 1 / 2, by measurement 0.4 (`AP_ORDER`; docs/methodology.md).

    Spread: the bootstrap's is up to a tenth too small for AP and mIoU; the replicates are stretched to the
    jackknife's standard error (Efron and Stein 1981), with half the correction added in quadrature, for that is how
    well simulation knows it, and by Student's over the normal 97.5 % quantile for few images.

    Args:
        point: the number on the images themselves.
        replicates: (R,) the number under bootstrap weights; NaN where undefined, left out.
        jackknife: (J,) leave-one-out values; NaN where undefined, left out.
        order: of the bias in the number of images; infinite for a number without bias.

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

    Args:
        point: the number on the images themselves.
        replicates: (R,) the number under bootstrap weights; NaN where undefined, left out and counted.
        acceleration: from `acceleration`; 0 gives the bias-corrected percentile interval.
        level: confidence, between 0 and 1.

    Returns:
        None where there is nothing to compute: the point is undefined, there are fewer than two different
        replicates, or all lie on one side of the point.
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
    below = np.mean(replicates < point) + np.mean(replicates == point) / 2
    return float(ndtri(below))


def acceleration(jackknife: np.ndarray) -> float:
    """a (Efron and Tibshirani 1993, eq. 14.15) from leave-one-out values (J,); NaN where undefined, left out.

    0 where fewer than two are defined or all are equal.
    """
    values = np.asarray(jackknife, dtype=np.float64)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return 0.0
    away = values.mean() - values
    spread = np.sum(away**2)
    # Equal values differ by rounding.
    if spread <= len(values) * (8 * np.spacing(np.abs(values).max())) ** 2:
        return 0.0
    return float(np.sum(away**3) / (6 * spread**1.5))


def _usable(point: float, replicates: np.ndarray) -> np.ndarray | None:
    values = np.asarray(replicates, dtype=np.float64)
    values = values[~np.isnan(values)]
    if np.isnan(point) or len(values) < 2 or np.ptp(values) == 0:
        return None
    return values


def _interval(usable: np.ndarray, levels: np.ndarray, method: str, replicates: np.ndarray) -> Interval:
    low, high = np.quantile(usable, levels)
    return Interval(float(low), float(high), method, 1 - len(usable) / len(replicates))
