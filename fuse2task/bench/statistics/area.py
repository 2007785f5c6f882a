"""The area under a curve over levels, as a weighted mean of its points."""

from collections.abc import Sequence

import numpy as np


def trapezoid_weights(levels: Sequence[float] | np.ndarray) -> np.ndarray:
    """Weights (L,) float64, summing to 1, with which values at the levels give the area by the trapezoidal rule over
    the range of the levels: the mean height of the curve, in the unit of the values.

    Args:
        levels: (L,), rising, at least two.

    Raises:
        ValueError: fewer than two levels, or not rising.
    """
    at = np.asarray(levels, dtype=np.float64)
    steps = np.diff(at)
    if at.ndim != 1 or not len(steps) or not np.all(steps > 0):
        raise ValueError(f"levels {levels}: two or more in rising order")
    return (np.append(steps, 0.0) + np.append(0.0, steps)) / (2 * (at[-1] - at[0]))
