"""One number from training runs with several seeds: its mean, with the variation of images and of seeds together.

Images are resampled alike for all seeds, and the mean over seeds is taken in every replicate; that leaves out that
other seeds would have given other values. Resampling S = 3 seeds would show only (S - 1) / S of their variance, so
each replicate is moved instead by t * s / sqrt(S), with s the standard deviation over seeds and t drawn from Student's
distribution with S - 1 degrees of freedom: what is known of a mean of S normal values (two seeds: very little). Tests
on it keep below their nominal rate of false alarms (Behrens-Fisher: 2 to 5 % instead of 5 % with 3 seeds), where
Satterthwaite's degrees of freedom go up to 8 % with 3 seeds and 13 % with 2. What of the spread over seeds comes from
these very images is counted twice, which errs on the wide side too.
"""

from dataclasses import dataclass

import numpy as np

from fuse2task.bench.statistics import intervals


@dataclass(frozen=True)
class OverSeeds:
    """A mean over S seeds and its bootstrap distribution; S = 1 says nothing about seeds."""

    point: float
    replicates: np.ndarray | None  # as intervals.recentre gives them, moved for the seeds; None where it gives None
    spread: float  # standard deviation over seeds (S - 1 in the denominator); NaN for one seed
    image_variance: float  # of the mean, over images
    seed_variance: float  # of the mean, over seeds; 0 for one seed
    seeds: int


def over_seeds(
    points: np.ndarray, replicates: np.ndarray, jackknife: np.ndarray, seed: int = 0, order: float = 1.0
) -> OverSeeds:
    """Mean over seeds; a replicate in which the number is undefined for one seed is undefined.

    Args:
        points: (S,) or a scalar, one number a seed.
        replicates: (S, R) or (R,), under the same weights for all seeds.
        jackknife: (S, J) or (J,), leave-one-out values.
        seed: of the draws that stand for other seeds.
        order: see `intervals.recentre`.

    Raises:
        ValueError: shapes that do not fit.
    """
    points, replicates, jackknife = np.atleast_1d(points), np.atleast_2d(replicates), np.atleast_2d(jackknife)
    count = len(points)
    if points.ndim != 1 or not count or len(replicates) != count or len(jackknife) != count:
        raise ValueError(f"{points.shape} points, {replicates.shape} replicates, {jackknife.shape} jackknife values")
    point, without = float(points.mean()), jackknife.mean(axis=0)
    values = intervals.recentre(point, replicates.mean(axis=0), without, order)
    spread, seed_variance = np.nan, 0.0
    if count > 1:
        spread = float(np.std(points, ddof=1))
        seed_variance = spread**2 / count
        if values is not None:
            noise = np.random.default_rng(seed).standard_t(count - 1, size=len(values))
            values = values + np.sqrt(seed_variance) * noise
    return OverSeeds(point, values, spread, intervals.standard_error(without)[0] ** 2, seed_variance, count)
