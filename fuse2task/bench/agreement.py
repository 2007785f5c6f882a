"""Agreement of several judges about methods: mean ranks, standardised differences, Kendall's W."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from fuse2task.results.schema import DEPENDS, HOLDS, OPEN

ORDERS = 9999  # random orders behind the p value of W


@dataclass(frozen=True)
class Agreement:
    """J judges on M methods. Intervals are (2, M): low, high.

    ranks: (J, M), 1 is best. mean_ranks, standardised: (M,), the second the difference from the baseline in units of
    each judge's standard deviation over methods, mean over judges. w: Kendall's coefficient of concordance, with an
    interval over images for these judges and the p value of judges that rank at random; NaN for one judge.
    """

    ranks: np.ndarray
    mean_ranks: np.ndarray
    rank_interval: np.ndarray
    standardised: np.ndarray
    standardised_interval: np.ndarray
    w: float
    w_interval: tuple[float, float]
    w_p: float


def agree(points: np.ndarray, replicates: np.ndarray, baseline: int, level: float, seed: int) -> Agreement:
    """How judges agree. Intervals of ranks and differences know that images and judges vary.

    Every replicate takes its images by the weights behind `replicates`, the same for all judges and methods, and as
    many judges as there are, with replacement. With two or three judges that is a hint, and no more.

    Args:
        points: (J, M) of one metric, higher is better. replicates: (J, M, R). baseline: index of a method.
    """
    judges, methods = points.shape
    tails = [(1 - level) / 2, (1 + level) / 2]
    generator = np.random.default_rng(seed)
    ranks, ranks_of = _ranks(points), _ranks(replicates)
    standard, standard_of = _standardised(points, baseline), _standardised(replicates, baseline)
    count = replicates.shape[2]
    drawn, each = generator.integers(0, judges, (judges, count)), np.arange(count)
    rank_draws, draws = (values[drawn, :, each].mean(axis=0) for values in (ranks_of, standard_of))
    middle = standard.mean(axis=0)
    w, w_draws = kendall_w(ranks), np.array([kendall_w(ranks_of[..., index]) for index in range(count)])
    w_p = np.nan
    if not np.isnan(w):
        orders = generator.permuted(np.broadcast_to(ranks, (ORDERS, judges, methods)), axis=2)
        w_p = (1 + sum(kendall_w(order) >= w - 1e-12 for order in orders)) / (1 + ORDERS)
    low, high = _ends(w_draws[:, None], tails)[:, 0] if not np.isnan(w) else (np.nan, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a judge that sees nothing has no numbers
        draws += middle - np.nanmean(draws, axis=0)  # AP of a replicate is biased alike for all methods
    return Agreement(
        ranks,
        ranks.mean(axis=0),
        _ends(rank_draws, tails),
        middle,
        _ends(draws, tails),
        w,
        (float(low), float(high)),
        w_p,
    )


def _ends(draws: np.ndarray, tails: list[float]) -> np.ndarray:
    """(2, M) quantiles of draws (R, M); NaN where none is defined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanquantile(draws, tails, axis=0))


def kendall_w(ranks: np.ndarray) -> float:
    """Kendall's W of (J, M) ranks, in [0, 1], corrected for ties (Kendall & Gibbons 1990, chapter 6); NaN for one
    judge, one method, or where every judge ties all methods."""
    judges, methods = ranks.shape
    if judges < 2 or methods < 2:
        return float("nan")
    ties = sum(float((counts**3 - counts).sum()) for counts in (np.unique(row, return_counts=True)[1] for row in ranks))
    below = judges**2 * (methods**3 - methods) - judges * ties
    sums = ranks.sum(axis=0)
    return float(12 * ((sums - sums.mean()) ** 2).sum() / below) if below else float("nan")


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.asarray(rankdata(-values, axis=1))


def _standardised(values: np.ndarray, baseline: int) -> np.ndarray:
    spread = values.std(axis=1, ddof=1, keepdims=True)
    difference = values - values[:, baseline : baseline + 1]
    return np.divide(difference, spread, out=np.full(values.shape, np.nan), where=spread > 0)


def verdict(differences: list[float], significant: list[bool]) -> str:
    """What judges say together about a method and the baseline. One sign, significant at every judge, holds;
    significant at some judge and of the other sign at another depends on the judge; all else is not shown."""
    signs = {np.sign(value) for value in differences}
    if len(signs) > 1:
        return DEPENDS if any(significant) else OPEN
    return HOLDS if all(significant) and signs != {0.0} else OPEN
