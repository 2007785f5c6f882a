"""Whether conditions.csv and robustness.csv of a bench folder belong together: a damaged one is told, not drawn."""

from pathlib import Path

import numpy as np
import pandas as pd

from fuse2task.results.schema import ABOUT
from fuse2task.runtime.errors import RequestError

METRICS = {"detection": ("AP", "AP50"), "segmentation": ("mIoU",)}
LEVELS = ("levels", "above", "not_told_apart", "below")
CURVE = [*ABOUT, "method", "metric", "class"]


def check_sweeps(folder: Path, conditions: pd.DataFrame, robustness: pd.DataFrame) -> None:
    """Check what charts and sentences of sweeps rest on.

    Raises:
        RequestError: a level that is none, an unknown task, a judge without main metric, or an area without its curve.
    """
    path, mend = folder / "robustness.csv", "run `fuse2task bench report` to rewrite it"
    if not np.isfinite(conditions["level"]).all():
        raise RequestError(f"{folder / 'conditions.csv'}: a row without level; {mend}")
    for column in LEVELS:
        if not robustness[column].str.fullmatch(r"(\d( \d)*)?").all():
            raise RequestError(f"{path}: column {column} holds what are no levels; {mend}")
    for (task, judge), rows in robustness.groupby(["task", "judge"], sort=False):
        if task != "quality" and not set(METRICS.get(str(task), ())) & set(rows[rows["class"] == "all"]["metric"]):
            raise RequestError(f"{path}: no main metric of task {task!r} by {judge!r}; {mend}")
    drawn = conditions[np.isfinite(conditions["value"])]
    curves = set(drawn[CURVE].itertuples(index=False, name=None))
    for row in robustness[CURVE].itertuples(index=False, name=None):
        if row not in curves:
            about = ", ".join(part for part in row if part)
            raise RequestError(f"{path}: conditions.csv has no curve for this area: {about}; {mend}")
