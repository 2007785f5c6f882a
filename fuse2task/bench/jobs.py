"""The kinds of work of a benchmark: for each when it is done, and how to do it."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fuse2task.bench.datasets import is_copied, write_copy
from fuse2task.bench.measured import Measured, measure
from fuse2task.bench.records import EVALUATED, PREDICTED, Record
from fuse2task.bench.workspace import Workspace, record_truths, training_recipe
from fuse2task.data.fused import open_fused, verify_images
from fuse2task.results.schema import COSTS, source_of
from fuse2task.results.tables import identity, read_table, write_table
from fuse2task.runtime.files import read_json, remove_leftovers, value_hash, weights_digest, write_json
from fuse2task.tasks import EvaluatedTruth, Judged, find_task, quality
from fuse2task.training.run_folder import kept_recipe, made_of

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Job:
    """One piece of work. needs: ids of jobs that must be done before. units: its size.

    method, judge and seed are empty or None where the job is for all of them. guess: seconds a unit on two CPU cores
    at 640x480, until one has been timed; a GPU is ten times as fast or more.
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

    def is_done(self, bench: Workspace) -> bool:
        """Whether the bench folder holds the job's result."""
        raise NotImplementedError

    def do(self, bench: Workspace) -> Rows:
        """Do it; files go into the bench folder, rows of results.csv to whoever asked."""
        raise NotImplementedError


class Degrade(Job):
    """Make one degraded copy of a dataset."""

    kind = "degrade"

    def is_done(self, bench: Workspace) -> bool:
        copy = bench.recipe.degraded[self.dataset]
        return is_copied(bench.at, bench.dataset(copy.source), copy)

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

    def is_done(self, bench: Workspace) -> bool:
        """Whether the fused dataset is finished, and is the one that the recipe means."""
        manifest = bench.at.fused(self.dataset, self.method) / "manifest.json"
        if not manifest.is_file():
            return False
        found, data = read_json(manifest, "manifest"), bench.dataset(self.dataset)
        wanted = {
            "method": bench.method_hash(self.dataset, self.method), "split": data.dataset.split_hash,
            "truth": data.truths[0].hash if data.truths else "",
        }  # fmt: skip
        if data.ready:  # the images of a degraded copy may be removed when it has been fused
            wanted["source"] = data.images_hash
        return found["color"] == bench.recipe.color and all(found[key].get("hash") == wanted[key] for key in wanted)

    def do(self, bench: Workspace) -> Rows:
        """Write DIR/fused/<dataset>/<method>.

        RequestError: the folder holds the same dataset fused otherwise, or the method cannot fuse a pair.
        """
        from fusion.dataset_writer import write_fused

        method, out = bench.make_method(self.method), bench.at.fused(self.dataset, self.method)
        write_fused(bench.dataset(self.dataset).dataset, method, out, bench.recipe.color)
        return []


class Cost(Job):
    """Measure what a method costs."""

    kind = "cost"

    def is_done(self, bench: Workspace) -> bool:
        about = (self.method, bench.method_hash(self.dataset, self.method))
        return about in {(row["method"], row["method_hash"]) for row in read_table(bench.at.table("costs"), COSTS)}

    def do(self, bench: Workspace) -> Rows:
        """Put a row into costs.csv, in place of an older one of the same method."""
        from fuse2task.bench.costs import measure_cost

        row, path = measure_cost(bench, self.dataset, self.method), bench.at.table("costs")
        row["method_hash"] = bench.method_hash(self.dataset, self.method)
        with bench.at.lock("costs"):
            rows: dict[str, Any] = {old["method"]: old for old in read_table(path, COSTS)}
            write_table(path, COSTS, (rows | {row["method"]: row}).values())
        return []


class Train(Job):
    """Train one judge on one method's images with one seed."""

    kind = "train"

    def is_done(self, bench: Workspace) -> bool:
        """Whether the run is finished and was trained on the images that lie there now, by the recipe's judge."""
        folder, fused = self._folder(bench), bench.at.fused(self.dataset, self.method)
        if not ((folder / "card.json").is_file() and (fused / "manifest.json").is_file()):
            return False
        recipe = self._recipe(bench, fused).model_dump(mode="json")
        wanted = made_of(recipe, images_hash(bench, self.dataset, self.method))
        return read_json(folder / "card.json", "run card").get("made_of") == wanted

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

    def _folder(self, bench: Workspace) -> Path:
        return bench.at.training(self.dataset, self.method, self.judge, self.seed or 0)

    def _recipe(self, bench: Workspace, fused: Path) -> Any:
        return training_recipe(bench.recipe.judges[self.judge], fused, self.seed or 0, bench.device)


class Evaluate(Job):
    """Judge one method's images: predictions, metrics, bootstrap distributions, rows of every truth."""

    kind, gives_rows = "evaluate", True

    def is_done(self, bench: Workspace) -> bool:
        """Whether all files and rows of the evaluation are there, made of what the recipe names now."""
        folder, known = self._folder(bench), bench.table.counts()
        if self._record(bench).differing():
            return False
        for truth in bench.dataset(self.dataset).truths:
            about = identity(self._about(bench, truth))
            if known[about] != Measured.rows_in(folder / truth.file("replicates.npz"), about):
                return False
        return True

    def do(self, bench: Workspace) -> Rows:
        data, section = bench.dataset(self.dataset), bench.recipe.judges[self.judge]
        task, folder = find_task(section.task), self._folder(bench)
        fused = open_fused(bench.at.fused(self.dataset, self.method))
        remove_leftovers(folder)
        judged = [Judged(fused, data.part, data.evaluated, truth, section.class_map, folder) for truth in data.truths]
        evaluated, predicted = self._record(bench), Record(folder / PREDICTED, self._predicted_of(bench))
        evaluated.remove()
        if predicted.differing():
            shutil.rmtree(folder, ignore_errors=True)  # of other images or weights
            weights = bench.weights(self.dataset, self.method, self.judge, self.seed)
            task.predict(weights, bench.device, judged[0])
            predicted.write()
        rows: Rows = []
        for one in judged:
            about = self._about(bench, one.truth)
            measured = measure(data.conditions(), bench.recipe.intervals, task.measure(one))
            measured.save(folder / one.truth.file("replicates.npz"), identity(about))
            rows += measured.rows(about, bench.recipe.intervals)
        evaluated.write()
        return rows

    def _folder(self, bench: Workspace) -> Path:
        return bench.at.predictions(self.dataset, self.method, self.judge, self.seed)

    def _predicted_of(self, bench: Workspace) -> dict[str, Any]:
        known = bench.judge(self.dataset, self.judge)
        weights = bench.weights(self.dataset, self.method, self.judge, self.seed)
        trained = weights_digest(weights) if isinstance(weights, Path) and weights.is_file() else None
        return {
            "images": images_hash(bench, self.dataset, self.method), "split": bench.dataset(self.dataset).part,
            "weights": known.facts.digest or trained, "judge": known.hash, "settings": known.recipe_hash,
        }  # fmt: skip

    def _record(self, bench: Workspace) -> Record:
        truths = {truth.name: identity(self._about(bench, truth)) for truth in bench.dataset(self.dataset).truths}
        made_of = {**self._predicted_of(bench), "truths": {name: list(about) for name, about in truths.items()}}
        return Record(self._folder(bench) / EVALUATED, made_of)

    def _about(self, bench: Workspace, truth: EvaluatedTruth) -> dict[str, Any]:
        return bench.about(self.dataset, self.method, self.judge, self.seed, truth.hash)


class ScoreImages(Job):
    """Image scores of all methods on one dataset: every source is decoded once."""

    kind, gives_rows = "score", True

    def is_done(self, bench: Workspace) -> bool:
        """Whether the table holds every method's scores, and results.csv their rows, of what the recipe names now."""
        return not self._missing(bench)

    def do(self, bench: Workspace) -> Rows:
        """Bring DIR/scores/<dataset>/<profile>.csv up to date; gives the new rows: means, by condition.

        Methods whose scores are there, and in the results, are not scored again.
        """
        from fusion.quality.profiles import find_profile
        from fusion.quality.scorer import score_folders, summary

        scores, abouts, missing = bench.recipe.scores, self._abouts(bench), self._missing(bench)
        assert scores is not None
        data, path = bench.dataset(self.dataset), bench.at.scores(self.dataset, scores.label)
        merged = quality.read_scores(path)
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
            measured = measure(data.conditions(), bench.recipe.intervals, measurement)
            counts[method] = {"identity": value_hash(identity(about)), "rows": len(measured.keys)}
            results += measured.rows(about, bench.recipe.intervals) if method in missing else []
        beside = summary(profile, list(abouts), chosen, found) | {"made_of": counts}
        write_json(path.with_suffix(".json"), beside, sort_keys=False)
        return results

    def _missing(self, bench: Workspace) -> list[str]:
        """The methods whose scores are not there, or are of other images or definitions."""
        assert bench.recipe.scores is not None
        path, known = bench.at.scores(self.dataset, bench.recipe.scores.label), bench.table.counts()
        there, beside = path.is_file(), path.with_suffix(".json")
        about = read_json(beside, "summary of scores") if there and beside.is_file() else {}
        before = about.get("made_of") if isinstance(about, dict) else None
        wanted = {
            method: {"identity": value_hash(identity(about)), "rows": known[identity(about)]}
            for method, about in self._abouts(bench).items()
        }
        return [name for name, made_of in wanted.items() if not isinstance(before, dict) or before.get(name) != made_of]

    def _abouts(self, bench: Workspace) -> dict[str, dict[str, Any]]:
        return {method.name: bench.about_scores(self.dataset, method.name) for method in bench.recipe.methods}


def images_hash(bench: Workspace, dataset: str, method: str) -> str | None:
    """Hash of a finished fused dataset with every file in it; None where it is not there."""
    path = bench.at.fused(dataset, method) / "manifest.json"
    return value_hash(read_json(path, "manifest")) if path.is_file() else None
