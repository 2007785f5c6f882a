"""Do the methods of a table differ at all, and which mean ranks: Friedman's test with Nemenyi's critical difference."""

from dataclasses import dataclass

import numpy as np

MINIMUM_METHODS = 5  # with fewer, Holm's paired comparisons say all there is to say


@dataclass(frozen=True)
class Ranking:
    """Mean ranks of M methods over N blocks."""

    ranks: np.ndarray  # (M,) 1 is best; ties share their mean rank
    p_value: float  # Friedman: no method differs
    critical_difference: float  # mean ranks this far apart differ
    blocks: int


def rank(scores: np.ndarray, alpha: float = 0.05) -> Ranking | None:
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
    return Ranking(ranks, float(friedmanchisquare(*scores.T).pvalue), float(difference), blocks)
