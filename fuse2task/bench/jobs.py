"""The kinds of work of a benchmark: for each when it is done, and how to do it."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fuse2task.bench.datasets import write_copy
from fuse2task.bench.measured import measure, sequences_entry
from fuse2task.bench.workspace import Workspace, map_of, record_truths, training_recipe
from fuse2task.data.fused import open_fused, verify_images
from fuse2task.results.schema import COSTS, IDENTITY, source_of
from fuse2task.results.tables import identity, read_table, write_table
from fuse2task.runtime.files import read_json, remove_leftovers, value_hash
from fuse2task.runtime.records import Record, card_record, kept_recipe, training_inputs
from fuse2task.tasks import EvaluatedTruth, Judged, find_task, quality

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Job:
    """One piece of work. needs: ids of jobs that must be done before. units: its size, that of images counted in
    images of 640x480.

    method, judge and seed are empty or None where the job is for all of them. guess: seconds a unit on two CPU
    cores, until one has been timed; a GPU is ten times as fast or more.
    """

    dataset: str
    method: str = ""
    judge: str = ""
    seed: int | None = None
    needs: tuple[str, ...] = ()
    units: float = 1.0
    guess: float = 0.1

    kind: ClassVar[str]
    gives_rows: ClassVar[bool] = False  # of results.csv

    @property
    def id(self) -> str:
        """Kind, dataset, method, judge and seed as one text."""
        seed = "" if self.seed is None else f"s{self.seed}"
        return " ".join(part for part in (self.kind, self.dataset, self.method, self.judge, seed) if part)

    @property
    def what(self) -> str:
        """What the job's speed depends on: judge, or method that fuses, on a dataset."""
        name = self.method if self.kind == "fuse" else self.judge
        return f"{name} {source_of(self.dataset)}".strip()

    @property
    def serves(self) -> bool:
        """Whether it is done for other jobs alone, and can be spared when these are done."""
        # Fused images of the recipe's own datasets are a result by themselves; those of copies may be removed.
        return self.kind in ("degrade", "train") or (self.kind == "fuse" and self.dataset != source_of(self.dataset))

    def record(self, bench: Workspace) -> Record:
        """All that the job reads or depends on, declared; and where that is recorded beside the result."""
        raise NotImplementedError

    def lacking(self, bench: Workspace) -> list[str]:
        """Why the bench folder's result cannot be used, as `Record.differing`; empty where it can."""
        return self.record(bench).differing()

    def is_done(self, bench: Workspace) -> bool:
        """Whether the bench folder holds the job's result, made of what the recipe names now."""
        return not self.lacking(bench)

    def do(self, bench: Workspace) -> Rows:
        """Do it; files go into the bench folder, rows of results.csv to whoever asked."""
        raise NotImplementedError


class Degrade(Job):
    """Make one degraded copy of a dataset."""

    kind = "degrade"

    def record(self, bench: Workspace) -> Record:
        return bench.copy_record(self.dataset)

    def do(self, bench: Workspace) -> Rows:
        """Write DIR/degraded/<dataset>, and its truth into truths.json.

        RequestError: the folder holds a copy made otherwise.
        """
        copy = bench.recipe.degraded[self.dataset]
        write_copy(bench.at, bench.dataset(copy.source), copy, bench.recipe.datasets[copy.source])
        record_truths(bench, [self.dataset])
        return []


class Fuse(Job):
    """Fuse one dataset by one method."""

    kind = "fuse"

    def record(self, bench: Workspace) -> Record:
        data = bench.dataset(self.dataset)
        made_of = {
            "method": bench.method_hash(self.dataset, self.method), "source images": data.source_hash,
            "split": data.dataset.split_hash, "truth": data.truths[0].hash if data.truths else "",
            "color": bench.recipe.color,
        }  # fmt: skip
        return Record(bench.at.fused_record(self.dataset, self.method), made_of)

    def do(self, bench: Workspace) -> Rows:
        """Write DIR/fused/<dataset>/<method>.

        RequestError: the folder holds the same dataset fused otherwise, or the method cannot fuse a pair.
        """
        from fusion.dataset_writer import write_fused

        method, out = bench.make_method(self.method, self.dataset), bench.at.fused(self.dataset, self.method)
        write_fused(bench.dataset(self.dataset).dataset, method, out, bench.recipe.color)
        self.record(bench).write([out / "manifest.json"])
        return []


class Cost(Job):
    """Measure what a method costs."""

    kind = "cost"

    def record(self, bench: Workspace) -> Record:
        size = "x".join(map(str, bench.dataset(self.dataset).frequent_size))
        made_of = {"method": bench.method_hash(self.dataset, self.method), "image size": size}
        return Record(bench.at.cost_record(self.method), made_of)

    def lacking(self, bench: Workspace) -> list[str]:
        path, about = bench.at.table("costs"), (self.method, bench.method_hash(self.dataset, self.method))
        is_there = about in {(row["method"], row["method_hash"]) for row in read_table(path, COSTS)}
        return super().lacking(bench) or ([] if is_there else [path.name])

    def do(self, bench: Workspace) -> Rows:
        """Put a row into costs.csv, in place of an older one of the same method."""
        from fuse2task.bench.costs import measure_cost

        row, path = measure_cost(bench, self.dataset, self.method), bench.at.table("costs")
        row["method_hash"] = bench.method_hash(self.dataset, self.method)
        with bench.at.lock("costs"):
            rows: dict[str, Any] = {old["method"]: old for old in read_table(path, COSTS)}
            write_table(path, COSTS, (rows | {row["method"]: row}).values())
        self.record(bench).write([])
        return []


class Train(Job):
    """Train one judge on one method's images with one seed."""

    kind = "train"

    def record(self, bench: Workspace) -> Record:
        fused = bench.at.fused(self.dataset, self.method)
        recipe, data = self._recipe(bench, fused).model_dump(mode="json"), self._data(bench)
        return card_record(self._folder(bench), training_inputs(recipe, data))

    def lacking(self, bench: Workspace) -> list[str]:
        # Images that are gone are made again first: nobody knows whether they will be the same.
        return super().lacking(bench) or ([] if self._data(bench) else ["dataset"])

    def do(self, bench: Workspace) -> Rows:
        """Write DIR/judges/<dataset>/<method>/<judge>-s<seed>; a finished run there is taken over.

        RequestError: the folder holds a run of another recipe or on other images; what the training refuses.
        """
        folder, fused = self._folder(bench), bench.at.fused(self.dataset, self.method)
        if (folder / "recipe.yaml").is_file():
            before = Path(str(kept_recipe(folder).get("data")))
            # The run folder compares texts: the same images by another path are no other run.
            fused = before if before.resolve() == fused.resolve() else fused
        find_task(bench.recipe.judges[self.judge].task).train(self._recipe(bench, fused), folder)
        return []

    def _data(self, bench: Workspace) -> str | None:
        return images_hash(bench, self.dataset, self.method)

    def _folder(self, bench: Workspace) -> Path:
        return bench.at.training(self.dataset, self.method, self.judge, self.seed or 0)

    def _recipe(self, bench: Workspace, fused: Path) -> Any:
        return training_recipe(bench.recipe.judges[self.judge], fused, self.seed or 0, bench.device)


class Evaluate(Job):
    """Judge one method's images: predictions, metrics, bootstrap distributions, rows of every truth."""

    kind, gives_rows = "evaluate", True

    def record(self, bench: Workspace) -> Record:
        truths = bench.dataset(self.dataset).truths
        about = self._about(bench, truths[0])
        made_of = {**self._predicted(bench).made_of, "method": about["method_hash"], **inputs_of(about)}
        made_of |= {f"truth {truth.name}": truth.hash for truth in truths}
        return Record(self._folder(bench) / EVALUATED, made_of)

    def lacking(self, bench: Workspace) -> list[str]:
        """The same, and rows of results.csv that are gone."""
        record, known = self.record(bench), bench.table.counts()
        if found := record.differing():
            return found
        counts = record.read().get("rows")
        truths = bench.dataset(self.dataset).truths
        rows = {truth.name: known[identity(self._about(bench, truth))] for truth in truths}
        return [] if rows == counts else [bench.table.path.name]

    def do(self, bench: Workspace) -> Rows:
        data, section = bench.dataset(self.dataset), bench.recipe.judges[self.judge]
        task, folder = find_task(section.task), self._folder(bench)
        fused = open_fused(bench.at.fused(self.dataset, self.method))
        remove_leftovers(folder)
        judged = [Judged(fused, data.part, data.evaluated, truth, map_of(section, self.dataset), folder)
                  for truth in data.truths]  # fmt: skip
        evaluated, predicted = self.record(bench), self._predicted(bench)
        evaluated.remove()
        if predicted.differing():
            shutil.rmtree(folder, ignore_errors=True)  # of other images or weights
            weights = bench.weights(self.dataset, self.method, self.judge, self.seed)
            task.predict(weights, bench.device, judged[0])
            predicted.write(_results_in(folder))
        rows: Rows = []
        counts, identities = {}, {}
        for one in judged:
            about = self._about(bench, one.truth)
            measured = measure(data.conditions(), bench.recipe.intervals, task.measure(one), data.sequences)
            measured.save(folder / one.truth.file("replicates.npz"), identity(about))
            rows += measured.rows(about, bench.recipe.intervals)
            counts[one.truth.name], identities[one.truth.name] = len(measured.keys), list(identity(about))
        more = {"rows": counts, "identities": identities, **sequences_entry(data.sequences)}
        evaluated.write(_results_in(folder), more)
        return rows

    def _folder(self, bench: Workspace) -> Path:
        return bench.at.predictions(self.dataset, self.method, self.judge, self.seed)

    def _predicted(self, bench: Workspace) -> Record:
        known = bench.judge(self.dataset, self.judge)
        weights = bench.weights(self.dataset, self.method, self.judge, self.seed)
        made_of = {
            "images": images_hash(bench, self.dataset, self.method), "split": bench.dataset(self.dataset).part,
            "weights": known.facts.digest or weights, "judge": known.hash, "settings": known.recipe_hash,
        }  # fmt: skip
        return Record(self._folder(bench) / PREDICTED, made_of)

    def _about(self, bench: Workspace, truth: EvaluatedTruth) -> dict[str, Any]:
        return bench.about(self.dataset, self.method, self.judge, self.seed, truth.hash)


class ScoreImages(Job):
    """Image scores of all methods on one dataset: every source is decoded once."""

    kind, gives_rows = "score", True

    def record(self, bench: Workspace) -> Record:
        assert bench.recipe.scores is not None
        made_of = inputs_of(next(iter(self._abouts(bench).values())))
        for method, about in self._abouts(bench).items():
            made_of |= {f"{METHOD}{method}": about["method_hash"]}
            made_of |= {f"{IMAGES}{method}": images_hash(bench, self.dataset, method)}
        path = bench.at.scores(self.dataset, bench.recipe.scores.label)
        return Record(path.with_suffix(".json"), made_of)

    def lacking(self, bench: Workspace) -> list[str]:
        """The same, and rows of results.csv that are gone; scores of methods that the recipe lacks do not matter."""
        record, known = self.record(bench), bench.table.counts()
        found = [name for name in record.differing() if name in record.made_of or not name.startswith((METHOD, IMAGES))]
        counts = {} if found else record.read().get("rows")
        for method, about in self._abouts(bench).items() if not found else ():
            if not isinstance(counts, dict) or known[identity(about)] != counts.get(method):
                found.append(f"{METHOD}{method}")
        return found

    def do(self, bench: Workspace) -> Rows:
        """Bring DIR/scores/<dataset>/<profile>.csv up to date; gives the new rows: means, by condition.

        Methods whose scores are there, and in the results, are not scored again.
        """
        from fusion.quality.profiles import find_profile
        from fusion.quality.scorer import score_folders, summary

        scores, abouts, record = bench.recipe.scores, self._abouts(bench), self.record(bench)
        assert scores is not None
        data, path = bench.dataset(self.dataset), bench.at.scores(self.dataset, scores.label)
        lacking = self.lacking(bench)
        # What is not one method's alone is all methods'.
        own = {name: {f"{METHOD}{name}", f"{IMAGES}{name}"} for name in abouts}
        is_partial = set(lacking) <= set().union(*own.values())
        missing = [name for name in abouts if not is_partial or not own[name].isdisjoint(lacking)]
        merged = quality.read_scores(path) if is_partial else {}
        record.remove()
        # In a folder that a killed run leaves to the next one.
        out, folders = path.with_name(f".{path.stem}") / path.name, {}
        for method in missing:
            fused = open_fused(bench.at.fused(self.dataset, method))
            verify_images(fused, [data.part])
            folders[method] = fused.root / "images" / data.part
        sources = bench.score_sources(self.dataset)
        score_folders(sources, folders, scores.profile, out, scores.names, device=bench.device)
        merged = {**merged, **quality.read_scores(out)}
        shutil.rmtree(out.parent)
        rows = [row for name in abouts for row in merged[name]]
        write_table(path, list(rows[0]), rows)
        # Definitions and means beside the table, as `fusion score` writes them.
        profile = find_profile(scores.profile)
        chosen = profile.chosen(scores.names)
        found = {(row["method"], row["image"]): {one.name: float(row[one.name] or "nan") for one in chosen}
                 for row in rows}  # fmt: skip
        results, counts = [], {}
        for method, about in abouts.items():
            measurement = quality.TASK.measure_scores(merged[method], data.ids)
            measured = measure(data.conditions(), bench.recipe.intervals, measurement, data.sequences)
            counts[method] = len(measured.keys)
            results += measured.rows(about, bench.recipe.intervals) if method in missing else []
        more = {"rows": counts, **sequences_entry(data.sequences)}
        record.write([path], summary(profile, list(abouts), chosen, found) | more)
        return results

    def _abouts(self, bench: Workspace) -> dict[str, dict[str, Any]]:
        return {name: bench.about_scores(self.dataset, name) for name in bench.recipe.methods_on(self.dataset)}


METHOD, IMAGES = "method ", "images of "
"""What begins the names of inputs of one method's scores."""
PREDICTED, EVALUATED = "predicted.json", "evaluated.json"


def inputs_of(about: Mapping[str, Any]) -> dict[str, Any]:
    """What a result is made of, by the columns of its rows: all but methods and truths, of which there are several."""
    texts = dict(zip(IDENTITY, identity(about), strict=True))
    names = {"source images": "source_hash", "split list": "split_hash", "definition of the judge": "judge_hash",
             "settings": "recipe_hash", "intervals": "ci_method"}  # fmt: skip
    same = {name: texts[name] for name in ("image_size", "color", "task", "protocol")}
    return {**{name: texts[column] for name, column in names.items()}, **same}


def _results_in(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in found if path.name not in (PREDICTED, EVALUATED)]


def images_hash(bench: Workspace, dataset: str, method: str) -> str | None:
    """Hash of a finished fused dataset with every file in it; None where it is not there."""
    path = bench.at.fused(dataset, method) / "manifest.json"
    return value_hash(read_json(path, "manifest")) if path.is_file() else None
