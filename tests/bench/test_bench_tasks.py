"""A task in one file of its own, and what a bench folder opens and loads once."""

import json
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

import fuse2task.tasks as tasks
from fuse2task.bench.api import run_bench
from fuse2task.bench.printing import print_results
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.report import write_report
from fuse2task.report.contents import read_contents
from fuse2task.results.schema import KEYS
from fuse2task.results.tables import ResultsTable, comparable_groups
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import file_digest

BRIGHTNESS = '''
"""Brightness: the mean of an image, times the number in the weights file."""
import json
import numpy as np
from PIL import Image
from fuse2task.tasks import JudgeFacts, Measurement, Task
from fuse2task.runtime.files import file_digest, read_json, write_json

class Brightness(Task):
    name, truth, headline = "brightness", "boxes", "mean"
    metrics, class_metrics, sweep_metrics, image_metric = ("mean", "peak"), ("mean",), ("mean",), "mean"
    bounds = (0.0, 255.0)

    def identify(self, setup, classes, image_size, device):
        return JudgeFacts(file_digest(setup.weights), {}, image_size)

    def load(self, weights, device):
        return float(weights.read_text())

    def predict(self, weights, device, judged):
        factor = self.judge(weights, device)
        root = judged.fused.root / "images" / judged.part
        found = {path.stem: factor * float(np.asarray(Image.open(path)).mean()) for path in sorted(root.glob("*.png"))}
        write_json(judged.folder / "brightness.json", found)

    def measure(self, judged):
        found = read_json(judged.folder / "brightness.json", "brightness")
        means = np.array([found[pair.id] for pair in judged.pairs])
        np.savez(judged.folder / judged.truth.file("matches.npz"), means=means)
        def values(mask, weights):
            return {("mean", "all", ""): weights @ means[mask] / weights.sum(axis=1)}
        return Measurement(values, {("peak", "all", "all"): float(means.max())})

    def image_values(self, file):
        with np.load(file) as found:
            return found["means"]

TASK = Brightness()
'''


@pytest.fixture
def brightness(tmp_path, monkeypatch):
    """A fourth task: one file in the package's search path, and nothing else."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "brightness.py").write_text(BRIGHTNESS)
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(folder)])
    tasks.find_task.cache_clear()
    yield
    sys.modules.pop("fuse2task.tasks.brightness", None)
    tasks.find_task.cache_clear()


def opened(monkeypatch, name: str) -> Counter[str]:
    """How often tables named `name` are read from now on, by folder."""
    from fuse2task.results import tables

    counts: Counter[str] = Counter()
    read = tables.read_csv

    def counted(path: Path, *args, **kwargs):
        counts[str(path.parent)] += path.name == name
        return read(path, *args, **kwargs)

    monkeypatch.setattr(tables, "read_csv", counted)
    return counts


def test_a_fourth_task_is_one_file(tmp_path, recipe_values, brightness, capsys):
    weights = tmp_path / "factor.safetensors"
    weights.write_text("0.5")
    judges = {"half": {"task": "brightness", "protocol": "frozen", "weights": str(weights)}}
    folder = tmp_path / "run"
    assert run_bench(BenchRecipe.model_validate(recipe_values(judges=judges)), folder)
    table = ResultsTable(folder).read()
    assert set(table["task"]) == {"brightness"}
    assert set(table["judge_hash"]) == {file_digest(weights)[:12]}
    assert set(table["metric"]) == {"mean", "peak"}
    means = table[(table["metric"] == "mean") & (table["condition"] == "all")]
    assert (means["ci_low"] < means["value"]).all()
    assert (means["value"] < means["ci_high"]).all()
    capsys.readouterr()
    print_results(folder, ["visible", "infrared", "average"], "average")
    printed = capsys.readouterr().out
    assert "mean - average" in printed
    assert all(f"{value:.4f}" in printed for value in means["value"])
    assert [group.keys["task"] for group in read_contents(folder).groups][:1] == ["brightness"]


def test_a_task_without_values_of_single_images_has_no_ranking(tmp_path, recipe_values, brightness):
    weights, path = tmp_path / "factor.safetensors", tmp_path / "tasks" / "brightness.py"
    weights.write_text("0.5")
    judges = {"half": {"task": "brightness", "protocol": "frozen", "weights": str(weights)}}
    without = BRIGHTNESS.partition("    def image_values")[0] + "TASK = Brightness()\n"
    path.write_text(without)
    recipe, folder = BenchRecipe.model_validate(recipe_values(judges=judges)), tmp_path / "run"
    with pytest.raises(RequestError, match="task brightness: no image_values for its image_metric"):
        run_bench(recipe, folder)
    path.write_text(without.replace("    bounds", '    image_metric = ""\n    bounds'))
    sys.modules.pop("fuse2task.tasks.brightness", None)
    tasks.find_task.cache_clear()
    assert run_bench(recipe, folder)
    assert json.loads((folder / "ranking.json").read_text()) == []
    assert json.loads((folder / "extremes.json").read_text()) == []
    assert write_report(folder).is_file()


def test_console_and_report_have_one_headline_and_one_level(tmp_path, finished, make_recipe, capsys):
    recipe = make_recipe()
    folder = finished(tmp_path / "run", recipe)
    contents = read_contents(folder)
    assert contents.alpha == pytest.approx(1 - recipe.intervals.level)
    print_results(folder, ["visible", "infrared", "average"], "average")
    printed = capsys.readouterr().out
    for group in contents.groups:
        headline = tasks.find_task(group.keys["task"]).headline
        assert f"{headline} - average" in printed
        own = group.results[(group.results["metric"] == headline) & (group.results["class"] == "all")]
        for value in own[own["condition"] == "all"]["value"]:
            assert f"{value:.4f}" in printed


@pytest.mark.parametrize("key", KEYS)
def test_rows_that_differ_in_a_key_are_two_groups(tmp_path, finished, make_recipe, key):
    table = ResultsTable(finished(tmp_path / "run", make_recipe())).read()
    own = table[table["truth_hash"] == table["truth_hash"].iloc[0]]
    assert len(comparable_groups(own)) == 1
    groups = comparable_groups(pd.concat([own, own.assign(**{key: "other"})]))
    assert [group.keys[key] for group in groups] == [own[key].iloc[0], "other"]
    assert all(len(group.results) == len(own) for group in groups)


def test_the_table_is_read_once_and_the_judge_loaded_once(tmp_path, make_recipe, monkeypatch):
    from detection import judge as detector

    loaded: Counter[str] = Counter()
    load = detector.load_judge
    tasks._loaded.cache_clear()

    def counted(path: Path, *args):
        loaded[str(path)] += 1
        return load(path, *args)

    monkeypatch.setattr(detector, "load_judge", counted)
    counts = opened(monkeypatch, "results.csv")
    assert run_bench(make_recipe(), tmp_path / "run")
    assert list(loaded.values()) == [1]
    assert 0 < counts[str(tmp_path / "run")] <= 3
