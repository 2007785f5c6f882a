"""The schema of a bench folder: its paths and locks, columns, keys of comparability, names of degraded copies."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuse2task.runtime import locks
from fuse2task.runtime.files import lines_hash

OLD_RESULTS = (
    "run", "dataset", "split_hash", "truth_hash", "image_size", "color", "method", "method_hash", "task", "protocol",
    "judge", "judge_hash", "recipe_hash", "seed", "metric", "class", "condition", "value", "ci_low", "ci_high",
    "ci_method", "n_images", "versions_hash",
)  # fmt: skip
"""results.csv from before there were degraded copies of datasets."""
RESULTS = (*OLD_RESULTS, "kind", "level", "source_hash", "resampled")
CLEAN = {"kind": "", "level": "0"}
"""Kind and level of a dataset as it is."""
IMAGES = "images"
"""What intervals resample where no sequences are known; else the column `resampled` says `26 sequences`."""
ADDED = {**CLEAN, **dict.fromkeys(("source_hash", "method_hash", "spearman_low", "spearman_high", "predicted"), ""),
         "resampled": IMAGES}  # fmt: skip
"""Columns that tables of former versions lack, with the value that they have there."""
KEYS = ("dataset", "split_hash", "truth_hash", "image_size", "color", "task", "protocol", "judge", "judge_hash",
        "recipe_hash", "source_hash", "resampled")  # fmt: skip
"""Rows of different methods are comparable where these agree, and nowhere else."""
IDENTITY = (*KEYS[:-1], "method", "method_hash", "seed", "ci_method")
"""The identity of a finished evaluation; of `ci_method` what follows the kind of interval, and what was resampled."""
COMPARISONS = ("a", "b", "run", *KEYS, "metric", "class", "condition", "difference", "ci_low", "ci_high", "p_value",
               "p_holm", "smallest_detectable", "n_images", "seeds")  # fmt: skip
ABOUT = ("dataset", "kind", "color", "image_size", "task", "protocol", "judge", "judge_hash", "recipe_hash")
"""What identifies a curve over the levels of a degradation."""
AGAINST = ("best_single", "difference", "difference_low", "difference_high", "p_value", "p_holm")
"""A fused method relative to the better single camera."""
TO_BASELINE = ("baseline", "to_baseline", "to_baseline_low", "to_baseline_high", "to_baseline_p", "to_baseline_p_holm")
"""Any other method relative to the baseline."""
VERDICTS = {"above": "above", "not_told_apart": "not significantly different", "below": "below"}
"""Column of levels -> in words how a fused method stands to the better single camera there."""
CONDITIONS = (*ABOUT, "level", "method", "metric", "class", "value", "ci_low", "ci_high", *AGAINST, "verdict",
              "n_images", "seeds")  # fmt: skip
ROBUSTNESS = (*ABOUT, "levels", "method", "metric", "class", "area", "ci_low", "ci_high", "drop", "drop_low",
              "drop_high", *AGAINST, *TO_BASELINE, *VERDICTS, "n_images", "seeds")  # fmt: skip
COSTS = ("method", "parameters", "GMAC", "ms", "peak_memory", "device", "method_hash")
CORRELATIONS = ("dataset", "profile", "score", "task", "judge", "metric", "truth_hash", "spearman", "spearman_low",
                "spearman_high", "spearman_p", "kendall", "kendall_p", "predicted", "methods")  # fmt: skip
OPENINGS = ("run", "dataset", "split", "split_hash", "truth_hash", "evaluations")
TIMINGS = ("kind", "what", "units", "seconds")
TABLES = {"comparisons": COMPARISONS, "costs": COSTS, "correlations": CORRELATIONS, "openings": OPENINGS,
          "conditions": CONDITIONS, "robustness": ROBUSTNESS}  # fmt: skip
"""Columns of the tables beside results.csv that a report reads."""
NUMBERS = frozenset({
    "value", "ci_low", "ci_high", "n_images", "difference", "p_value", "p_holm", "smallest_detectable", "parameters",
    "GMAC", "ms", "peak_memory", "spearman", "spearman_low",
    "spearman_high", "predicted", "spearman_p", "kendall", "kendall_p", "evaluations", "methods", "area",
    "drop", "drop_low", "drop_high", "difference_low", "difference_high", "level", "seeds", *TO_BASELINE[1:],
})  # fmt: skip
"""Columns of numbers, in whatever table; all others are texts."""
SINGLE = ("visible", "infrared")
"""The methods that are one camera's images."""
HOLDS, DEPENDS, OPEN = JUDGES_SAY = "holds for every judge", "depends on the judge", "not shown for every judge"
"""What judges say together of a method and the baseline; see `fuse2task.bench.agreement.verdict`."""
LEVEL = 0.95
"""Confidence of intervals where a recipe says nothing."""
MARK = "@"  # in the name of a degraded copy; no name of a recipe may hold it


def significance(level: float) -> float:
    """The level below which a p value marks a difference: 1 minus the confidence of the intervals."""
    return round(1 - level, 12)


def significance_of(recipe: Mapping[str, Any]) -> float:
    """The same for the content of a recipe file, which may be damaged."""
    intervals = recipe.get("intervals")
    level = intervals.get("level") if isinstance(intervals, Mapping) else None
    return significance(level if isinstance(level, float) and 0.5 < level < 1 else LEVEL)


def name_at(source: str, kind: str, level: int) -> str:
    """Name of a dataset at a level (`msrs@haze-3`); at level 0 its own, whatever the kind."""
    return f"{source}{MARK}{kind}-{level}" if level else source


def source_of(name: str) -> str:
    """The dataset of the recipe that this one is, or is a degraded copy of."""
    return name.partition(MARK)[0]


def kind_and_level(name: str) -> tuple[str, int]:
    """What `name_at` was made from; an empty kind and 0 for a dataset as it is."""
    kind, _, level = name.partition(MARK)[2].rpartition("-")
    return kind, int(level or 0)


@dataclass(frozen=True)
class BenchFolder:
    """Where each thing of a benchmark lies; nothing is read or written. seed: None where weights were given."""

    root: Path

    def table(self, name: str) -> Path:
        """A table by its name: results, comparisons, costs, correlations, openings, conditions, robustness, timings."""
        return self.root / f"{name}.csv"

    def entries(self, name: str) -> Path:
        """A JSON file by its name: truths, ranking, extremes, published."""
        return self.root / f"{name}.json"

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.root / "recipe.yaml"

    def further_truth(self, dataset: str, truth: str, part: str) -> Path:
        """A further truth as a COCO file."""
        return self.root / "truth" / dataset / truth / f"{part}.json"

    def degraded(self, name: str, source_root: Path) -> Path:
        """A degraded copy. It ends as the source's root does: layout awmm tells the weather by that name."""
        return self.root / "degraded" / name / source_root.resolve().name

    def degraded_record(self, name: str) -> Path:
        """What a degraded copy is made of."""
        return self.root / "degraded" / name / "made_of.json"

    def degraded_split(self, source: str) -> Path:
        """The split list of a dataset's degraded copies."""
        return self.root / "degraded" / f"{source}.txt"

    def fused(self, dataset: str, method: str) -> Path:
        """A fused dataset."""
        return self.root / "fused" / dataset / method

    def fused_record(self, dataset: str, method: str) -> Path:
        """What a fused dataset is made of; the dot tells it from the folder of a method that has the name."""
        return self.root / "fused" / dataset / f".{method}.json"

    def cost_record(self, method: str) -> Path:
        """What a row of costs.csv is made of."""
        return self.root / "costs" / f"{method}.json"

    def scores(self, dataset: str, label: str) -> Path:
        """The image scores of a dataset; their definitions lie beside it as JSON."""
        return self.root / "scores" / dataset / f"{label}.csv"

    def training(self, dataset: str, method: str, judge: str, seed: int) -> Path:
        """The run folder of a judge's training; what judges a degraded copy was trained on the source."""
        return self.root / "judges" / source_of(dataset) / method / f"{judge}-s{seed}"

    def predictions(self, dataset: str, method: str, judge: str, seed: int | str | None) -> Path:
        """The folder of an evaluation."""
        name = judge if seed in (None, "") else f"{judge}-s{seed}"
        return self.root / "predictions" / dataset / method / name

    def lock(self, name: str) -> locks.Lock:
        """The exclusive lock of that name between processes that share the folder; its file stays."""
        # A job's name may hold more than a file's may.
        return locks.Lock(self.root / ".locks" / f"{lines_hash([name])}.lock", guards=self.root)


def suffixed(name: str, truth: str, primary: bool) -> str:
    """The file's name for a truth: as it is for the primary one, `STEM-<truth>.SUFFIX` for others."""
    stem, dot, suffix = name.partition(".")
    return name if primary else f"{stem}-{truth}{dot}{suffix}"
