"""Does an image-quality score order the methods as a task metric does."""

import itertools
from dataclasses import dataclass

import numpy as np

_EXACT = 9  # up to so many methods all orders are enumerated


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
