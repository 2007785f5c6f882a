"""Paired differences of a score table's methods, with 95 % t-intervals over images.

    python benchmarks/score_differences.py scores.csv BASE [EN SD MI ...]

scores.csv is what `fuse2task fusion score` wrote for several methods; BASE is the method that others are compared with.
"""

import sys

import numpy as np
import pandas as pd
from scipy import stats


def main(path: str, base: str, names: list[str]) -> None:
    """Print mean of each method, and mean difference [interval] to `base`."""
    table = pd.read_csv(path).set_index(["method", "image"])
    names = names or [name for name in table.columns if table[name].notna().all()]
    print(f"{'method':16}" + "".join(f"{name:>30}" for name in names))
    for method in table.index.unique("method"):
        cells = []
        for name in names:
            own, other = table.loc[method, name], table.loc[base, name]
            difference = (own - other).to_numpy()
            text = f"{own.mean():.3f}"
            if method != base:
                half = stats.sem(difference) * stats.t.ppf(0.975, len(difference) - 1)
                mean = np.mean(difference)
                text += f" ({mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}])"
            cells.append(f"{text:>30}")
        print(f"{method:16}" + "".join(cells))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
