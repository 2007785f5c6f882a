"""Everything that follows from results.csv: comparisons, rankings, correlations, extreme images, published numbers."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fuse2task.bench import statistics
from fuse2task.bench.across_judges import across_judges
from fuse2task.bench.jobs import EVALUATED
from fuse2task.bench.measured import Distribution, Measured, over_runs, read_sequences
from fuse2task.bench.recipe import BenchRecipe, Intervals, PublishedRow
from fuse2task.data.fused import open_fused
from fuse2task.results.entries import read_truths
from fuse2task.results.schema import CLEAN, COMPARISONS, CORRELATIONS, KEYS, SINGLE, BenchFolder, significance, suffixed
from fuse2task.results.tables import ResultsTable, comparable_groups, identity, refuse_unlike, write_table
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import read_json, remove_halves, write_json
from fuse2task.runtime.progress import say
from fuse2task.tasks import Key, find_task, task_names

EXTREMES = 5  # images listed at either end
Row = Mapping[Hashable, Any]
Rows = list[dict[str, Any]]
Load = Callable[[Row], Measured]
"""The bootstrap distributions behind a method's rows (dataset, truth_hash, method, judge, seed)."""


def summarise(folder: Path, recipe: BenchRecipe) -> list[Path]:
    """Write comparisons.csv, correlations.csv, ranking.json, extremes.json, judges.json and published.json, and of
    sweeps over conditions conditions.csv and robustness.csv.

    Needs nothing outside the folder. Degraded copies are in the last two alone. Rows whose distributions have been
    replaced by those of another recipe, judge or truth are left out. Returns the files.
    """
    at = BenchFolder(folder)
    with at.lock("summary"):
        summary = Summary(at, recipe)
        write_table(at.table("comparisons"), COMPARISONS, summary.comparisons)
        write_table(at.table("correlations"), CORRELATIONS, summary.correlations)
        if recipe.conditions:
            from fuse2task.bench.sweeps import write_sweeps

            write_sweeps(at, recipe, summary.results, summary.truths, summary.load)
        else:
            for name in ("conditions", "robustness"):
                at.table(name).unlink(missing_ok=True)
        published = beside_published(summary.results, summary.truths, recipe)
        for name, value in (
            ("ranking", summary.ranking), ("extremes", summary.extremes), ("judges", summary.judges),
            ("published", published),
        ):  # fmt: skip
            remove_halves(at.entries(name))
            write_json(at.entries(name), value)
    say(f"{folder}: {len(summary.comparisons)} comparisons in {len(summary.groups)} tables")
    tables = ("comparisons", "correlations", *(("conditions", "robustness") if recipe.conditions else ()))
    lists = ("ranking", "extremes", "judges", "published")
    return [*map(at.table, tables), *map(at.entries, lists)]


class Summary:
    """What is computed from the results in `folder`, table by table of comparable rows."""

    def __init__(self, at: BenchFolder, recipe: BenchRecipe):
        self.at, self.recipe = at, recipe
        self.methods = [method.name for method in recipe.methods]
        self.truths = read_truths(at.root)
        self.comparisons: Rows = []
        self.ranking: Rows = []
        self.extremes: Rows = []
        self.results = ResultsTable(at.root).read()
        if missing := set(self.results["truth_hash"]) - {"", *self.truths}:
            problem = f"says nothing about truth {min(missing)} of results.csv"
            raise RequestError(f"{at.entries('truths')}: {problem}; `fuse2task bench run` writes it again")
        clean = self.results[self.results["kind"] == CLEAN["kind"]]
        tables = [group.results for group in comparable_groups(clean) if find_task(group.keys["task"]).is_judged]
        self.groups = [rows for rows in map(self._current, tables) if not rows.empty]
        for rows in self.groups:
            self._add(rows)
        self.correlations = correlations(clean, self.groups)
        self.judges = across_judges(
            self.groups, self.comparisons, self._loaded, recipe, lambda truth: bool(self.truths[truth]["primary"])
        )

    def _current(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of the recipe's methods whose distributions lie in the folder; none without the baseline."""
        first = rows.drop_duplicates(["method", "seed"])
        for row in first.to_dict("records"):
            for name in ("replicates.npz", "matches.npz"):
                if row["method"] in self.methods and not (path := self._file(row, name)).is_file():
                    again = "`fuse2task bench run` with the same recipe makes it again"
                    raise RequestError(f"{path}: missing, so {row['method']} cannot be compared; {again}")
        found = {(row["method"], row["seed"]) for row in first.to_dict("records") if self.load(row) is not None}
        known = [pair in found and pair[0] in self.methods for pair in zip(rows["method"], rows["seed"], strict=True)]
        rows = rows[known]
        return rows if self.recipe.baseline in set(rows["method"]) else rows.iloc[:0]

    def _add(self, rows: pd.DataFrame) -> None:
        baseline, present = self.recipe.baseline, set(rows["method"])
        loaded: dict[Path, Measured | None] = {}

        def load(row: Row) -> Measured:  # once, for all that is compared in this table
            path = self._file(row, "replicates.npz")
            found = loaded[path] = loaded.get(path) or self.load(row)
            assert found is not None
            return found

        # Besides the chosen baseline the single cameras: whether fusing is worth it at all is asked of these.
        for other in dict.fromkeys((baseline, *SINGLE)):
            if other in present:
                self.comparisons += compare(rows, load, other, self.recipe.intervals, self.methods)
        about = rows.iloc[0].to_dict()
        task, scores = find_task(about["task"]), {}
        if not task.image_metric:  # nothing to rank or to show image by image
            return
        for method in (name for name in self.methods if name in present):
            own = rows[rows["method"] == method].drop_duplicates("seed").to_dict("records")
            scores[method] = np.mean([task.image_values(self._file(row, "matches.npz")) for row in own], axis=0)
        if found := ranking(
            about, scores, significance(self.recipe.intervals.level), read_sequences(self._folder(about) / EVALUATED)
        ):
            self.ranking.append(found)
        self.extremes += extremes(about, scores, baseline, self._ids(about, len(scores[about["method"]])))

    def _ids(self, about: Row, count: int) -> list[str]:
        """Ids of the evaluated images, which must be `count`."""
        record = self._folder(about) / "predicted.json"
        predicted = read_json(record, "record of predictions")
        made_of = predicted.get("made_of") if isinstance(predicted, dict) else None
        part = made_of.get("split") if isinstance(made_of, dict) else None
        if not isinstance(part, str):
            raise RequestError(f"{record}: names no split; remove it, and let `fuse2task bench run` predict again")
        root = self.at.fused(about["dataset"], about["method"])
        ids = open_fused(root).ids(part)
        if len(ids) != count:
            problem = f"{len(ids)} images of split {part}, of which {count} were evaluated; remove the folder"
            raise RequestError(f"{root / 'manifest.json'}: {problem}, and let `fuse2task bench run` fuse again")
        return ids

    def load(self, row: Row) -> Measured | None:
        """The distributions behind a row; None where the folder has none, or those of other rows."""
        return Measured.load(self._file(row, "replicates.npz"), identity({str(key): row[key] for key in row}))

    def _loaded(self, row: Row) -> Measured:
        found = self.load(row)
        assert found is not None
        return found

    def _file(self, row: Row, name: str) -> Path:
        truth = self.truths[row["truth_hash"]]
        return self._folder(row) / suffixed(name, truth["name"], truth["primary"])

    def _folder(self, row: Row) -> Path:
        return self.at.predictions(row["dataset"], row["method"], row["judge"], row["seed"])


def compare(
    results: pd.DataFrame, load: Load, baseline: str, intervals: Intervals, methods: Sequence[str] | None = None
) -> Rows:
    """Each method minus the baseline, in one table of comparable rows.

    Images are paired: both methods have the same bootstrap weights. Over several seeds the difference is that of
    the means, and its interval covers images and seeds. Holm's correction is over the methods, for each metric,
    class and condition by itself.

    Args:
        results: rows of results.csv that agree in all of `KEYS`.
        load: gives the distributions of one method and seed.
        methods: the order of methods; by default that of the rows.

    Returns:
        Rows of comparisons.csv.

    Raises:
        RequestError: rows whose keys differ, no baseline among them, or a method whose seeds are not the baseline's.
    """
    refuse_unlike(results)
    present = list(dict.fromkeys(results["method"]))
    order = [name for name in methods or present if name in present]
    if baseline not in present:
        raise RequestError(f"no rows of the baseline {baseline}; there are {', '.join(present)}; choose one of them")
    seeds = {name: sorted(set(results[results["method"] == name]["seed"])) for name in order}
    for name, own in seeds.items():
        if own != seeds[baseline]:
            listed = f"{', '.join(own)} and {', '.join(seeds[baseline])}"
            raise RequestError(f"cannot compare {name} with {baseline}: seeds {listed} differ; let the run finish")
    loaded: dict[str, dict[Key, tuple[Distribution, int]]] = {}  # numbers that every seed has, and of how many images
    for name in order:
        of_seeds = results[results["method"] == name].drop_duplicates("seed").set_index("seed", drop=False)
        measured = [load(of_seeds.loc[seed].to_dict()) for seed in seeds[name]]
        counts = zip(measured[0].keys, measured[0].images, strict=True)
        loaded[name] = {key: (over_runs(measured, key), int(count)) for key, count in counts
                        if all(key in item.keys for item in measured)}  # fmt: skip
    common = {key: results.iloc[0][key] for key in ("run", *KEYS)}
    rows = []
    for key, (reference, _) in loaded[baseline].items():
        about = common | dict(zip(("metric", "class", "condition"), key, strict=True))
        others = {name: own[key] for name, own in loaded.items() if name != baseline and key in own}
        values = {name: value for name, (value, _) in others.items()}
        for name, (found, p_holm) in statistics.compare_all(values, reference, intervals.level, intervals.seed).items():
            rows.append({
                "a": name, "b": baseline, **about, "difference": found.difference, "ci_low": found.ends[0],
                "ci_high": found.ends[1], "p_value": found.p_value, "p_holm": p_holm,
                "smallest_detectable": found.smallest_detectable, "n_images": others[name][1], "seeds": found.seeds,
            })  # fmt: skip
    return sorted(rows, key=lambda row: order.index(row["a"]))


def ranking(
    about: Row, scores: Mapping[str, np.ndarray], alpha: float, sequences: Sequence[str] | None = None
) -> dict[str, Any] | None:
    """Friedman's test and Nemenyi's critical difference with images as blocks; None below five methods.

    about: dataset, task, judge, truth_hash. scores: method -> its number on every image, (I,), mean over seeds; NaN
    where undefined. alpha: level of the critical difference. sequences: of the images; blocks are sequences then, by
    the mean over the images on which every method has a number.
    """
    if len(scores) < statistics.MINIMUM_METHODS:
        return None
    blocks = np.stack(list(scores.values()), axis=1)
    if sequences is not None:
        defined = ~np.isnan(blocks).any(axis=1)
        labels = pd.Series(sequences)[defined]
        blocks = pd.DataFrame(blocks[defined]).groupby(labels.to_numpy(), sort=False).mean().to_numpy()
    found = statistics.rank(blocks, alpha)
    if found is None:
        return None
    return _named(about) | {
        "methods": list(scores), "ranks": found.ranks.tolist(), "p_value": found.p_value,
        "critical_difference": found.critical_difference, "n": found.blocks,
        "blocks": "images" if sequences is None else "sequences",
    }  # fmt: skip


def extremes(about: Row, scores: Mapping[str, np.ndarray], baseline: str, ids: Sequence[str]) -> Rows:
    """The images on which each method wins or loses most against the baseline; as `ranking`. ids: of the images."""
    rows: Rows = []
    for method in scores:
        away = scores[method] - scores[baseline]  # 0 of the baseline itself: neither wins nor losses
        order = [int(index) for index in np.argsort(-away, kind="stable") if np.isfinite(away[index])]
        wins = [index for index in order[:EXTREMES] if away[index] > 0]
        losses = [index for index in order[::-1][:EXTREMES] if away[index] < 0]
        about_both = _named(about) | {"a": method, "b": baseline}
        rows += [about_both | {"image": ids[at], "difference": float(away[at])} for at in wins + losses]
    return rows


def correlations(results: pd.DataFrame, groups: Sequence[pd.DataFrame]) -> Rows:
    """Rank correlation over methods of every image score's mean with every metric that is a mean over classes.

    groups: the comparable tables of task metrics among all rows `results`.
    """
    rows = []
    judged = [name for name in task_names() if find_task(name).is_judged]
    quality = results[~results["task"].isin(judged) & (results["condition"] == "all")]
    for group in groups:
        about = group.iloc[0].to_dict()
        means = group[(group["class"] == "all") & (group["condition"] == "all")]
        near = quality[(quality["dataset"] == about["dataset"]) & (quality["split_hash"] == about["split_hash"])]
        metrics = means.pivot_table("value", "method", "metric", "mean", sort=False)
        for (profile, score), part in near.groupby(["judge", "metric"], sort=False):
            values = part.drop_duplicates("method", keep="last").set_index("method")["value"]
            for metric in metrics.columns:
                found = statistics.rank_correlation(
                    values.reindex(metrics.index).to_numpy(), metrics[metric].to_numpy()
                )
                rows.append(_named(about) | {"profile": profile, "score": score, "metric": metric} | asdict(found))
    return rows


def _named(about: Row) -> dict[str, str]:
    named = {key: str(about[key]) for key in ("dataset", "task", "judge")}
    return named | {"metric": find_task(named["task"]).image_metric, "truth_hash": str(about["truth_hash"])}


def beside_published(results: pd.DataFrame, truths: Mapping[str, Mapping[str, Any]], recipe: BenchRecipe) -> Rows:
    """What published.json says: the recipe's `published` rows, each with our number.

    results: all rows. truths: content of truths.json; numbers by other truths than the primary one are left out.

    Returns:
        The row's keys with `ours` (fraction or bits as in results.csv, mean over seeds; None where there is no such
        number), `ci_low` and `ci_high` (None over several seeds), `deviation` (standard, over seeds; None for one),
        `seeds` and `n_images`. Of a number in several versions the one written last.
    """
    others = {truth_hash for truth_hash, about in truths.items() if not about["primary"]}
    primary = results[~results["truth_hash"].isin(others)]
    return [_beside(primary, row, recipe) for row in recipe.published]


def _beside(results: pd.DataFrame, row: PublishedRow, recipe: BenchRecipe) -> dict[str, Any]:
    scores = recipe.scores
    judge = scores.label if scores is not None and row.judge == scores.profile else row.judge
    said = row.model_dump(mode="json") | {"judge": judge}
    for column in ("dataset", "method", "judge", "metric", "class", "condition"):
        results = results[results[column] == said[column]]
    empty = {"ours": None, "ci_low": None, "ci_high": None, "deviation": None, "seeds": 0, "n_images": 0}
    return said | (empty if results.empty else _newest(results))


def _newest(rows: pd.DataFrame) -> dict[str, Any]:
    keys = [*KEYS, "method_hash"]
    rows = rows[(rows[keys] == rows.iloc[-1][keys]).all(axis=1)].drop_duplicates("seed", keep="last")
    single, last = len(rows) == 1, rows.iloc[-1]
    ends = {end: float(last[end]) if single and pd.notna(last[end]) else None for end in ("ci_low", "ci_high")}
    deviation = None if single else float(rows["value"].std())
    return {"ours": float(rows["value"].mean()), **ends, "deviation": deviation, "seeds": len(rows),
            "n_images": int(last["n_images"])}  # fmt: skip
