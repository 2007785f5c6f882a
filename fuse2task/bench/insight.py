"""What the numbers of a table say together: ranks of methods, scores that foretell use, images where methods differ."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fuse2task.bench.statistics.correlation import rank_correlation
from fuse2task.bench.statistics.ranking import MINIMUM_METHODS, rank

PER_IMAGE = {"detection": "AP50", "segmentation": "mIoU"}
"""The number that an image has by itself: AP50 over its boxes, mIoU over the classes in it."""
EXTREMES = 5  # images listed at either end
About = Mapping[Hashable, Any]


def ranking(about: About, scores: Mapping[str, np.ndarray]) -> dict[str, Any] | None:
    """Friedman's test and Nemenyi's critical difference with images as blocks; None below five methods.

    Args:
        about: dataset, task, judge, truth_hash.
        scores: method -> its number on every image, (I,), mean over seeds; NaN where undefined.
    """
    if len(scores) < MINIMUM_METHODS:
        return None
    found = rank(np.stack(list(scores.values()), axis=1))
    if found is None:
        return None
    return {
        **_named(about), "truth_hash": about["truth_hash"], "methods": list(scores), "ranks": found.ranks.tolist(),
        "p_value": found.p_value, "critical_difference": found.critical_difference, "blocks": "images",
        "n": found.blocks,
    }  # fmt: skip


def extremes(about: About, scores: Mapping[str, np.ndarray], baseline: str, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The images on which each method wins most over the baseline, and those on which it loses most.

    Args and numbers as in `ranking`; ids: of the images in order.
    """
    rows = []
    for method in scores:
        if method == baseline:
            continue
        away = scores[method] - scores[baseline]
        order = [int(index) for index in np.argsort(-away, kind="stable") if np.isfinite(away[index])]
        wins = [index for index in order[:EXTREMES] if away[index] > 0]
        losses = [index for index in order[::-1][:EXTREMES] if away[index] < 0]
        rows += [
            {**_named(about), "truth_hash": about["truth_hash"], "a": method, "b": baseline, "image": ids[index],
             "difference": float(away[index])}
            for index in wins + losses
        ]  # fmt: skip
    return rows


def correlations(results: pd.DataFrame, groups: Sequence[pd.DataFrame]) -> list[dict[str, Any]]:
    """Rank correlation over methods of every image score's mean with every metric that is a mean over classes.

    Args:
        results: all rows.
        groups: the comparable tables of task metrics.
    """
    rows = []
    quality = results[(results["task"] == "quality") & (results["condition"] == "all")]
    for group in groups:
        about = group.iloc[0]
        means = group[(group["class"] == "all") & (group["condition"] == "all")]
        near = quality[(quality["dataset"] == about["dataset"]) & (quality["split_hash"] == about["split_hash"])]
        metrics = means.pivot_table("value", "method", "metric", "mean", sort=False)
        for (profile, score), part in near.groupby(["judge", "metric"], sort=False):
            values = part.drop_duplicates("method", keep="last").set_index("method")["value"]
            for metric in metrics.columns:
                found = rank_correlation(values.reindex(metrics.index).to_numpy(), metrics[metric].to_numpy())
                rows.append({
                    "dataset": about["dataset"], "profile": profile, "score": score, "task": about["task"],
                    "judge": about["judge"], "metric": metric, "truth_hash": about["truth_hash"],
                    "spearman": found.spearman, "spearman_p": found.spearman_p, "kendall": found.kendall,
                    "kendall_p": found.kendall_p, "methods": found.methods,
                })  # fmt: skip
    return rows


def _named(about: About) -> dict[str, str]:
    named = {key: str(about[key]) for key in ("dataset", "task", "judge")}
    return named | {"metric": PER_IMAGE[named["task"]]}
