"""A bench folder and what its recipe refers to: where each thing lies, datasets, methods and judges loaded once."""

from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from fuse2task.bench.datasets import TRAIN, BenchDataset, load_bench_dataset
from fuse2task.bench.degraded import is_copied, load_degraded
from fuse2task.bench.judges import Judge, identify
from fuse2task.bench.measured import interval_settings
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.data.dataset import Pair
from fuse2task.data.layouts import LAYOUTS
from fuse2task.data.loading import clean_pairs
from fuse2task.results.schema import kind_and_level, source_of
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import value_hash
from fuse2task.runtime.packages import versions_hash


class Workspace:
    """One recipe in one bench folder, on one device. Nothing is read before it is asked for, nothing is written."""

    def __init__(self, recipe: BenchRecipe, folder: Path, device: str = "auto"):
        self.recipe, self.folder, self.device = recipe, Path(folder), device
        self._datasets: dict[str, BenchDataset] = {}
        self._judge = lru_cache(None)(self._find_judge)
        self._method_hash = lru_cache(None)(self._find_method_hash)
        self._clean_sources = lru_cache(None)(self._find_clean_sources)

    @cached_property
    def versions_hash(self) -> str:
        """Hash of the packages that decide the numbers."""
        return versions_hash()

    @property
    def datasets(self) -> list[str]:
        """The recipe's datasets, and after them their degraded copies."""
        return [*self.recipe.datasets, *self.recipe.degraded]

    def dataset(self, name: str) -> BenchDataset:
        """A dataset of the recipe or a degraded copy of one; loaded once, a copy again when it has been made."""
        if name not in self._datasets or self._has_come(name):
            self._datasets[name] = self._load(name)
        return self._datasets[name]

    def judge(self, dataset: str, judge: str) -> Judge:
        """A judge on a dataset; on a degraded copy it is the source's."""
        return self._judge(source_of(dataset), judge)

    def method_hash(self, dataset: str, method: str) -> str:
        """Hash of a method, after checking that it can fuse the dataset."""
        return self._method_hash(source_of(dataset), method)

    def score_sources(self, dataset: str) -> tuple[Pair, ...]:
        """The pairs that scores compare fused images with: the evaluated ones, or clean ones (`ScoresSection`)."""
        data, scores = self.dataset(dataset), self.recipe.scores
        if scores is None or scores.sources == "degraded":
            return data.dataset.part(data.part)
        return self._clean_sources(source_of(dataset))

    def judges_of(self, dataset: str) -> list[str]:
        """The judges whose task the dataset has truth for."""
        task = self.dataset(dataset).task
        return [name for name, judge in self.recipe.judges.items() if judge.task == task]

    def seeds_of(self, judge: str) -> list[int | None]:
        """The seeds that a judge is trained with; None alone where its weights are given."""
        return list(self.recipe.seeds) if self.recipe.judges[judge].is_trained else [None]

    def fused(self, dataset: str, method: str) -> Path:
        """The fused dataset."""
        return self.folder / "fused" / dataset / method

    def scores(self, dataset: str) -> Path:
        """The image scores of a dataset."""
        assert self.recipe.scores is not None
        return self.folder / "scores" / dataset / f"{self.recipe.scores.label}.csv"

    def training(self, dataset: str, method: str, judge: str, seed: int) -> Path:
        """The run folder of a judge's training; what judges a degraded copy was trained on the source."""
        return self.folder / "judges" / source_of(dataset) / method / f"{judge}-s{seed}"

    def predictions(self, dataset: str, method: str, judge: str, seed: int | None) -> Path:
        """The folder of an evaluation."""
        name = judge if seed is None else f"{judge}-s{seed}"
        return self.folder / "predictions" / dataset / method / name

    def make_method(self, method: str) -> Any:
        """The fusion method, with its weights on the device."""
        from fusion.methods import make_method

        section = self.recipe.method(method)
        name = f"{method}={section.folder}" if section.folder else method
        return make_method(name, section.checkpoint, self.device, self.recipe.precision)

    def about(self, dataset: str, method: str, judge: str, seed: int | None, truth_hash: str) -> dict[str, Any]:
        """The columns of results.csv that all rows of an evaluation have in common."""
        data, known = self.dataset(dataset), self.judge(dataset, judge)
        return {
            **self._common(data, method), "truth_hash": truth_hash, "image_size": known.image_size,
            "task": known.section.task, "protocol": known.section.protocol, "judge": judge,
            "judge_hash": known.hash, "recipe_hash": known.recipe_hash, "seed": seed,
        }  # fmt: skip

    def about_scores(self, dataset: str, method: str) -> dict[str, Any]:
        """The same for image scores: the judge is the profile, with the sources where these are not the pairs."""
        from fusion.quality.profiles import find_profile

        data, scores = self.dataset(dataset), self.recipe.scores
        assert scores is not None
        profile = find_profile(scores.profile)
        decided: dict[str, Any] = {"names": scores.names}
        if scores.sources != "degraded":
            decided["sources"] = scores.sources
        return {
            **self._common(data, method), "truth_hash": "", "image_size": data.size, "task": "quality",
            "protocol": "", "judge": scores.label, "judge_hash": profile.hash,
            "recipe_hash": value_hash(decided), "seed": None,
        }  # fmt: skip

    def _common(self, data: BenchDataset, method: str) -> dict[str, Any]:
        kind, level = kind_and_level(data.name)
        # Any kind of interval: an evaluation is known by the settings.
        return {
            "run": self.recipe.id, "dataset": data.name, "split_hash": self.evaluated_hash(data),
            "color": self.recipe.color, "method": method, "method_hash": self.method_hash(data.name, method),
            "ci_method": f"any, {interval_settings(self.recipe.intervals)}", "versions_hash": self.versions_hash,
            "kind": kind, "level": level,
        }  # fmt: skip

    @staticmethod
    def evaluated_hash(data: BenchDataset) -> str:
        """Hash of the split list; where another split than `test` is evaluated, of that too."""
        if data.part == "test":
            return data.dataset.split_hash
        return value_hash({"split": data.dataset.split_hash, "evaluated": data.part})

    def _has_come(self, name: str) -> bool:
        if self._datasets[name].ready:
            return False
        degraded = self.recipe.degraded[name]
        return is_copied(self.folder, self.dataset(degraded.source), degraded)

    def _load(self, name: str) -> BenchDataset:
        if name in self.recipe.datasets:
            return load_bench_dataset(name, self.recipe)
        degraded = self.recipe.degraded[name]
        return load_degraded(self.folder, self.dataset(degraded.source), degraded, self.recipe)

    def _find_clean_sources(self, dataset: str) -> tuple[Pair, ...]:
        data = self.dataset(dataset)
        pairs = data.dataset.part(data.part)
        if self.recipe.conditions and not LAYOUTS[data.dataset.layout].clean:
            return pairs
        return clean_pairs(replace(data.dataset, pairs=pairs))

    def _find_method_hash(self, dataset: str, method: str) -> str:
        made = self.make_method(method)
        made.check(self.dataset(dataset).dataset.pairs)
        return value_hash(made.identity())

    def _find_judge(self, dataset: str, judge: str) -> Judge:
        data, section = self.dataset(dataset), self.recipe.judges[judge]
        trained_on: dict[str, Any] = {}
        if section.is_trained:
            if TRAIN not in data.dataset.splits:
                raise RequestError(
                    f"judges.{judge}: is trained, but dataset {dataset} has no train split; give a split list with one"
                )
            if section.trained_on:
                trained_on = {
                    "method": self.method_hash(dataset, section.trained_on), "split": data.dataset.split_hash,
                    "truth": data.truths[0].hash,
                }  # fmt: skip
        return identify(judge, section, data, trained_on)
