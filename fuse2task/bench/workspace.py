"""One recipe in one bench folder: datasets, methods and judges, each loaded once, and what identifies results.

Also the records beside the results: truths.json, further truths, and openings.csv, the ledger of opened test splits.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from fuse2task.bench.datasets import TRAIN, BenchDataset, copy_record, load_bench_dataset, load_degraded
from fuse2task.bench.identities import Identities
from fuse2task.bench.measured import interval_settings
from fuse2task.bench.recipe import DATASET, BenchRecipe, JudgeSection
from fuse2task.config.recipes import load_recipe
from fuse2task.data.dataset import Pair, content_hash
from fuse2task.data.layouts import LAYOUTS
from fuse2task.data.loading import clean_pairs
from fuse2task.data.truth.coco import coco_truth
from fuse2task.judges import JudgeSource, ResultsSource
from fuse2task.results.entries import read_truths
from fuse2task.results.schema import OPENINGS, BenchFolder, kind_and_level, source_of
from fuse2task.results.tables import ResultsTable, read_table, write_table
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import by_content, remove_halves, remove_leftovers, value_hash, write_json
from fuse2task.runtime.packages import versions_hash
from fuse2task.runtime.records import NOT_DECISIVE, Record
from fuse2task.tasks import JudgeFacts, JudgeSetup, Task, Weights, find_task

# Not part of a judge's hash: which images, which repetition, which machine.
NOT_HASHED = {"data", "seed", *NOT_DECISIVE}
EVALUATION = ("method", "method_hash", "judge", "judge_hash", "recipe_hash", "seed")  # what openings.csv counts


@dataclass(frozen=True)
class JudgeIdentity:
    """A judge on one dataset, before any work is done.

    hash: first 12 hex digits of the sha256 of frozen weights; hash of the recipe of a trained judge, the same
    for all methods (with that of the images it was trained on, where it is trained on one method and frozen).
    recipe_hash: of all that was decided about training and prediction.
    """

    section: JudgeSection
    task: Task
    facts: JudgeFacts
    hash: str
    recipe_hash: str


class Workspace:
    """One recipe in one bench folder, on one device. Nothing is read before it is asked for, nothing is written."""

    def __init__(self, recipe: BenchRecipe, folder: Path, device: str = "auto"):
        self.recipe, self.folder, self.device = recipe, Path(folder), device
        self.at, self.table = BenchFolder(self.folder), ResultsTable(folder)
        self.identities = Identities(self.at)
        self._datasets: dict[str, BenchDataset] = {}
        self._judge, self._method_hash = cache(self._find_judge), cache(self._find_method_hash)
        self._clean_sources = cache(self._find_clean_sources)
        self._clean_hash = cache(lambda dataset: content_hash(self._clean_sources(dataset)))

    @cached_property
    def versions_hash(self) -> str:
        """Of the packages that numbers depend on, and of fuse2task."""
        return versions_hash()

    @property
    def datasets(self) -> list[str]:
        """The recipe's datasets, and after them their degraded copies."""
        return [*self.recipe.datasets, *self.recipe.degraded]

    def dataset(self, name: str) -> BenchDataset:
        """A dataset of the recipe or a degraded copy of one; loaded once, a copy again when it has been made."""
        known, copy = self._datasets.get(name), self.recipe.degraded.get(name)
        if copy is None:
            known = known or load_bench_dataset(name, self.recipe)
        elif known is None or (not known.ready and not self.copy_record(name).differing()):
            known = load_degraded(self.at, self.dataset(copy.source), copy, self.recipe)
        self._datasets[name] = known
        return known

    def copy_record(self, name: str) -> Record:
        """What a degraded copy is made of."""
        copy = self.recipe.degraded[name]
        return copy_record(self.at, self.dataset(copy.source), copy)

    def judge(self, dataset: str, judge: str) -> JudgeIdentity:
        """A judge on a dataset; on a degraded copy it is the source's."""
        return self._judge(source_of(dataset), judge)

    def method_hash(self, dataset: str, method: str) -> str:
        """Hash of a method, after checking that it can fuse the dataset."""
        return self._method_hash(source_of(dataset), method)

    def score_sources(self, dataset: str) -> tuple[Pair, ...]:
        """The pairs that scores compare fused images with: the evaluated ones, or clean ones (`ScoresSection`)."""
        clean = self.recipe.scores is not None and self.recipe.scores.sources == "clean"
        return self._clean_sources(source_of(dataset)) if clean else self.dataset(dataset).evaluated

    def judges_of(self, dataset: str) -> list[str]:
        """The judges whose task the dataset has truth for."""
        kind = self.dataset(dataset).kind
        return [name for name, judge in self.recipe.judges.items() if find_task(judge.task).truth == kind]

    def seeds_of(self, judge: str) -> list[int | None]:
        """The seeds that a judge is trained with; None alone where its weights are given."""
        return list(self.recipe.seeds) if self.recipe.judges[judge].is_trained else [None]

    def weights(self, dataset: str, method: str, judge: str, seed: int | None) -> Weights:
        """What scores `method`: given weights or results, or weights trained on it or on one method for all."""
        section = self.recipe.judges[judge]
        folder = self.at.training(dataset, section.trained_on or method, judge, seed or 0)
        return given_weights(section, dataset, [method]) or folder / "best.safetensors"

    def make_method(self, method: str, dataset: str) -> Any:
        """The fusion method, with its weights on the device; of images of others those of the dataset."""
        from fusion.methods import make_method

        section = self.recipe.method(method)
        folder = str(section.folder or "").replace(DATASET, source_of(dataset))
        name = f"{method}={folder}" if folder else method
        return make_method(name, section.checkpoint, self.device, self.recipe.precision)

    def about(self, dataset: str, method: str, judge: str, seed: int | None, truth_hash: str) -> dict[str, Any]:
        """The columns of results.csv that all rows of an evaluation have in common."""
        known = self.judge(dataset, judge)
        return {
            **self._common(self.dataset(dataset), method), "truth_hash": truth_hash,
            "image_size": known.facts.image_size, "task": known.task.name, "protocol": known.section.protocol,
            "judge": judge, "judge_hash": known.hash, "recipe_hash": known.recipe_hash, "seed": seed,
        }  # fmt: skip

    def about_scores(self, dataset: str, method: str) -> dict[str, Any]:
        """The same for image scores: the judge is the profile, with the sources where these are not the pairs."""
        data, scores = self.dataset(dataset), self.recipe.scores
        assert scores is not None
        decided: dict[str, Any] = {"names": scores.names}
        if scores.sources != "degraded":
            decided["sources"] = [scores.sources, self._clean_hash(source_of(dataset))]
        return {
            **self._common(data, method), "truth_hash": "", "image_size": data.size, "task": "quality", "protocol": "",
            "judge": scores.label, "judge_hash": self._profile_hash(scores.profile), "recipe_hash": value_hash(decided),
            "seed": None,
        }  # fmt: skip

    def _common(self, data: BenchDataset, method: str) -> dict[str, Any]:
        # Any kind of interval: the settings identify an evaluation.
        return {
            "run": self.recipe.id, "dataset": data.name, "split_hash": data.split_hash,
            "source_hash": data.source_hash, "color": self.recipe.color, "method": method,
            "method_hash": self.method_hash(data.name, method),
            "ci_method": f"any, {interval_settings(self.recipe.intervals)}", "versions_hash": self.versions_hash,
            "resampled": data.resampled, **dict(zip(("kind", "level"), kind_and_level(data.name), strict=True)),
        }  # fmt: skip

    def _find_clean_sources(self, dataset: str) -> tuple[Pair, ...]:
        data = self.dataset(dataset)
        if self.recipe.conditions and not LAYOUTS[data.dataset.layout].clean:
            return data.evaluated
        return clean_pairs(replace(data.dataset, pairs=data.evaluated))

    def _find_method_hash(self, dataset: str, method: str) -> str:
        from fusion.methods.registry import CROSSFUSE
        from fusion.weights import find_checkpoint

        data, section = self.dataset(dataset), self.recipe.method(method)

        def find() -> str:
            made = self.make_method(method, dataset)
            made.check(data.dataset.pairs)
            return value_hash(made.identity())

        if section.folder or method not in CROSSFUSE:
            return find()  # which is quick, or a plug-in's own affair
        file = str(find_checkpoint(section.checkpoint or Path(method)))
        inputs = {"method": method, "checkpoint": file, "device": self.device, "precision": self.recipe.precision}
        return self.identities.find({**inputs, "images": data.source_hash}, str, find)

    def _profile_hash(self, profile: str) -> str:
        def find() -> str:
            from fusion.quality.profiles import find_profile

            return find_profile(profile).hash

        return self.identities.find({"profile": profile}, str, find)

    def _find_judge(self, dataset: str, judge: str) -> JudgeIdentity:
        data, section = self.dataset(dataset), self.recipe.judges[judge]
        task, recipe, trained_on = find_task(section.task), None, {}
        if section.is_trained:
            if TRAIN not in data.dataset.splits:
                lacking = f"is trained, but dataset {dataset} has no train split"
                raise RequestError(f"judges.{judge}: {lacking}; give a split list with one")
            recipe = training_recipe(section, Path("data"), 0, "auto")
            if section.trained_on:
                trained_on = {
                    "method": self.method_hash(dataset, section.trained_on), "split": data.dataset.split_hash,
                    "truth": data.truths[0].hash, "images": data.source_hash,
                }  # fmt: skip
        given = given_weights(section, dataset, self.recipe.methods_on(dataset))
        setup = JudgeSetup(given, recipe, map_of(section, dataset))
        facts = self._facts(task, setup, data)
        decided, hashed = dict(facts.decided), facts.digest[:12]
        if recipe is not None:
            values = by_content(recipe.model_dump(mode="json", exclude=NOT_HASHED))
            decided["recipe"], hashed = values, value_hash({"recipe": values, **trained_on})
        return JudgeIdentity(section, task, facts, hashed, value_hash(decided))

    def _facts(self, task: Task, setup: JudgeSetup, data: BenchDataset) -> JudgeFacts:
        def find() -> JudgeFacts:
            return task.identify(setup, data.truths[0].classes, data.size, self.device)

        given = setup.weights
        if isinstance(given, ResultsSource) or (isinstance(given, JudgeSource) and given.plugin):
            return find()  # which may depend on anything
        inputs = {
            "task": task.name, "weights": str(given.weights if isinstance(given, JudgeSource) else given),
            "options": given.options if isinstance(given, JudgeSource) else "",
            "recipe": setup.recipe.model_dump(mode="json") if setup.recipe is not None else None,
            "class_map": setup.class_map, "classes": list(data.truths[0].classes), "size": data.size,
            "device": self.device,
        }  # fmt: skip
        return self.identities.find(inputs, JudgeFacts, find)


def given_weights(section: JudgeSection, dataset: str, methods: Sequence[str]) -> Weights | None:
    """What a frozen judge is made from; the results of these methods, where it is results."""
    if section.results:
        at = [section.results.replace(DATASET, dataset).replace("{method}", method) for method in methods]
        return ResultsSource(tuple(map(Path, at)), json.dumps(section.options, sort_keys=True))
    if section.plugin or section.options:
        return JudgeSource(section.plugin or "", section.weights, json.dumps(section.options, sort_keys=True))
    return section.weights


def map_of(section: JudgeSection, dataset: str) -> str | None:
    """The class map of a judge on a dataset."""
    return section.class_map and section.class_map.replace(DATASET, source_of(dataset))


def training_recipe(section: JudgeSection, fused: Path, seed: int, device: str) -> Any:
    """The checked recipe of a judge's training on the fused dataset in `fused`; RequestError: as `load_recipe`."""
    assert section.recipe is not None
    decided = {"data": str(fused), "seed": seed, "device": device}
    clash = sorted({key.split(".")[0] for key in section.overrides} & decided.keys())
    if clash:
        names = ", ".join(clash)
        raise RequestError(f"judge recipe {section.recipe}: the benchmark sets {names}; take that out of overrides")
    overrides = [f"{key}={json.dumps(value)}" for key, value in {**section.overrides, **decided}.items()]
    return load_recipe(find_task(section.task).recipe(), section.recipe, overrides)


def record_truths(bench: Workspace, datasets: Sequence[str]) -> None:
    """Bring truths.json and DIR/truth up to date for these datasets, as far as their files are there."""
    with bench.at.lock("truths"):
        path = bench.at.entries("truths")
        remove_halves(path)
        remove_leftovers(bench.folder / "truth")
        known: dict[str, Any] = read_truths(bench.folder)
        for name in datasets:
            data = bench.dataset(name)
            for truth in data.truths if data.ready else ():
                # A copy whose truth stayed where it was shares the hash; it is described as the first one's.
                if name == source_of(name) or truth.hash not in known:
                    known[truth.hash] = {"dataset": name, "name": truth.name, "kind": truth.kind,
                                         "classes": list(truth.classes), "primary": truth.primary}  # fmt: skip
                if not truth.primary and truth.boxes is not None:
                    content = coco_truth(data.evaluated, truth.boxes)
                    write_json(bench.at.further_truth(name, truth.name, data.part), content)
        write_json(path, known)


def record_openings(bench: Workspace) -> list[dict[str, str]]:
    """Bring openings.csv up to date: one row per recipe, dataset and opened split; returns all rows.

    evaluations: how many evaluations (method, judge, seed) this recipe has put into results.csv on that split.
    """
    path = bench.at.table("openings")
    with bench.at.lock("openings"):
        before = read_table(path, OPENINGS)
        rows = {(row["run"], row["dataset"], row["split_hash"]): row for row in before}
        for name in bench.datasets:
            data = bench.dataset(name)
            if not (data.opened and data.truths and bench.judges_of(name)):
                continue
            row = {"run": bench.recipe.id, "dataset": name, "split": data.part, "split_hash": data.split_hash,
                   "truth_hash": data.truths[0].hash}  # fmt: skip
            key, wanted = (bench.recipe.id, name, data.split_hash), {*row.items()} - {("split", data.part)}
            found = {tuple(one[column] for column in EVALUATION) for one in bench.table.rows() if wanted <= one.items()}
            # Rows taken out of the results do not take back that somebody has looked.
            count = max(len(found), int(rows.get(key, {"evaluations": "0"})["evaluations"]))
            if count:
                rows[key] = row | {"evaluations": str(count)}
        if list(rows.values()) != before:
            write_table(path, OPENINGS, rows.values())
    return list(rows.values())
