"""Columns of the tables in a bench folder, in the order in which they are written."""

OLD_RESULTS = (
    "run", "dataset", "split_hash", "truth_hash", "image_size", "color", "method", "method_hash", "task", "protocol",
    "judge", "judge_hash", "recipe_hash", "seed", "metric", "class", "condition", "value", "ci_low", "ci_high",
    "ci_method", "n_images", "versions_hash",
)  # fmt: skip
"""results.csv from before there were degraded copies of datasets."""
RESULTS = (*OLD_RESULTS, "kind", "level")
COMPARISONS = (
    "a", "b", "run", "dataset", "split_hash", "truth_hash", "image_size", "color", "task", "protocol", "judge",
    "judge_hash", "recipe_hash", "metric", "class", "condition", "difference", "ci_low", "ci_high", "p_value",
    "p_holm", "smallest_detectable", "n_images", "seeds",
)  # fmt: skip
ABOUT = ("dataset", "kind", "color", "image_size", "task", "protocol", "judge", "judge_hash", "recipe_hash")
"""What a curve over the levels of a condition is of."""
AGAINST = ("best_single", "difference", "difference_low", "difference_high", "p_value", "p_holm")
"""How a fused method lies to the best single camera."""
TO_BASELINE = ("baseline", "to_baseline", "to_baseline_low", "to_baseline_high", "to_baseline_p", "to_baseline_p_holm")
"""How any other method lies to the baseline."""
CONDITIONS = (*ABOUT, "level", "method", "metric", "class", "value", "ci_low", "ci_high", *AGAINST, "verdict",
              "n_images", "seeds")  # fmt: skip
ROBUSTNESS = (*ABOUT, "levels", "method", "metric", "class", "area", "ci_low", "ci_high", "drop", "drop_low",
              "drop_high", *AGAINST, *TO_BASELINE, "above", "not_told_apart", "below", "n_images",
              "seeds")  # fmt: skip
COSTS = ("method", "parameters", "GMAC", "ms", "peak_memory", "device")
CORRELATIONS = (
    "dataset", "profile", "score", "task", "judge", "metric", "truth_hash", "spearman", "spearman_p", "kendall",
    "kendall_p", "methods",
)  # fmt: skip
OPENINGS = ("run", "dataset", "split", "split_hash", "truth_hash", "evaluations")
