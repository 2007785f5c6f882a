"""Judges beside YOLO and SMP: plug-ins, and results that others computed."""

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from fuse2task.bench.api import run_bench
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.bench.workspace import Workspace
from fuse2task.data.images import read_visible, write_image
from fuse2task.judges import DetectionJudge, SegmentationJudge, make_judge
from fuse2task.results.tables import ResultsTable
from fuse2task.runtime.errors import Fuse2TaskError, RequestError

PLACES = ((8, 8), (40, 8), (8, 40), (40, 40))


class Places(DetectionJudge):
    """A box at each of the four places of the tiny source; person is as likely as it is red there, car as blue."""

    classes = ("tree", "car", "person")
    batch_size = 5
    calls: ClassVar[list[int]] = []

    def __init__(self, weights: Path, gain: float = 1.0):
        self.gain, self.weights = gain, weights

    def identity(self):
        return {"name": "places", "version": 1, "gain": self.gain}

    def detect(self, image):
        areas = [image[y : y + 16, x : x + 16].mean(axis=(0, 1)) for x, y in PLACES]
        boxes = [(x, y, x + 16, y + 16) for x, y in PLACES]
        scores = [float(area[0]) * self.gain for area in areas] + [float(area[2]) * self.gain for area in areas]
        return np.array(boxes * 2, float), np.array(scores), ["person"] * 4 + ["car"] * 4

    def detect_batch(self, images):
        self.calls.append(len(images))
        return super().detect_batch(images)


@pytest.fixture
def offered(monkeypatch):
    """`offered(name=object, ...)`: as if packages offered judges under these names."""

    def offer(**values):
        entries = [EntryPoint(name, f"{name}:x", "fuse2task.judges") for name in values]
        monkeypatch.setattr(EntryPoint, "load", lambda entry: values[entry.name])
        monkeypatch.setattr(
            "fuse2task.runtime.packages.entry_points",
            lambda name=None, **_: [entry for entry in entries if name in (None, entry.name)],
        )

    return offer


def table(folder: Path, judge: str):
    rows = ResultsTable(folder).read()
    rows = rows[rows["judge"] == judge]
    return rows.set_index(["method", "truth_hash", "metric", "class", "condition"])["value"].sort_index(), rows


def test_a_plug_in_and_its_results_as_files_give_the_same_ap(tmp_path, make_recipe, offered):
    offered(places=Places)
    Places.calls = []
    plugin = {"task": "detection", "plugin": "places", "weights": str(tmp_path / "none")}
    assert run_bench(make_recipe(judges={"net": plugin}), tmp_path / "first")
    assert sorted(set(Places.calls)) == [2, 5], "12 images in batches of 5"
    (tmp_path / "mine").mkdir()
    for method in ("visible", "infrared", "average"):
        dets = json.loads((tmp_path / "first" / "predictions" / "tiny" / method / "net" / "dets.json").read_text())
        truth = json.loads((tmp_path / "first" / "fused" / "tiny" / method / "annotations" / "test.json").read_text())
        ids = {image["id"]: Path(image["file_name"]).stem for image in truth["images"]}
        if method == "visible":  # by the pair's id, as a stranger knows it
            dets = [item | {"image_id": ids[item["image_id"]]} for item in dets]
        (tmp_path / "mine" / f"{method}.json").write_text(json.dumps(dets))
    results = {"task": "detection", "predictions": str(tmp_path / "mine" / "{method}.json")}
    assert run_bench(make_recipe(judges={"mine": results, "net": plugin}), tmp_path / "second")
    (net, rows), (mine, given) = (table(tmp_path / "second", name) for name in ("net", "mine"))
    assert len(net) > 50
    np.testing.assert_allclose(mine.to_numpy(), net.to_numpy(), rtol=0, atol=1e-9)
    assert list(mine.index) == list(net.index)
    assert set(rows["judge_hash"]).isdisjoint(given["judge_hash"])


def test_the_hash_of_results_is_that_of_the_files(tmp_path, make_recipe):
    for method in ("visible", "infrared", "average"):
        (tmp_path / f"tiny-{method}.json").write_text("[]")
    recipe = make_recipe(
        judges={"mine": {"task": "detection", "predictions": str(tmp_path / "{dataset}-{method}.json")}}
    )

    def found() -> str:
        return Workspace(recipe, tmp_path / "run").judge("tiny", "mine").hash

    before = found()
    assert found() == before
    (tmp_path / "tiny-average.json").write_text("[] ")
    assert found() != before
    (tmp_path / "tiny-average.json").unlink()
    with pytest.raises(RequestError, match=r"tiny-average\.json: no such results"):
        found()


def test_another_content_of_a_class_map_is_predicted_again(tmp_path, make_recipe, offered):
    offered(places=Places)
    mapping = tmp_path / "map.yaml"
    judges = {"net": {"task": "detection", "plugin": "places", "weights": "w", "class_map": str(mapping)}}

    def found() -> list[str]:
        assert run_bench(make_recipe(judges=judges), tmp_path / "run")
        dets = json.loads((tmp_path / "run" / "predictions" / "tiny" / "average" / "net" / "dets.json").read_text())
        return sorted({item["category_id"] for item in dets})

    mapping.write_text("person: person\ncar: null\n")
    assert found() == [1]
    mapping.write_text("person: person\ncar: car\n")
    assert found() == [1, 2]


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ({"predictions": "x.json"}, "holds no {method}"),
        ({"masks": "{method}"}, "masks: task detection has none"),
        ({"predictions": "{method}", "weights": "x.onnx"}, "beside results"),
        ({"plugin": "x", "protocol": "retrain", "recipe": "r"}, "a retrain judge"),
        ({"recipe": "r", "trained_on": "average", "options": {"a": 1}}, "options are for"),
        ({}, "a frozen judge has either"),
    ],
)
def test_judges_that_do_not_fit_are_refused(make_recipe, judge, message):
    with pytest.raises(ValueError, match=message):
        make_recipe(judges={"j": {"task": "detection"} | judge})


def test_a_recipe_without_new_judges_keeps_its_id(make_recipe):
    recipe = make_recipe()
    assert set(recipe.model_dump(mode="json")["judges"]["places"]) == {
        "task", "protocol", "weights", "class_map", "recipe", "overrides", "trained_on"
    }  # fmt: skip
    plugin = make_recipe(judges={"net": {"task": "detection", "plugin": "places", "options": {"gain": 2}}})
    assert BenchRecipe.model_validate(plugin.model_dump(mode="json")) == plugin
    assert plugin.id != recipe.id


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "w", "speed": 1}, "takes no speed; it takes weights, gain"),
        ({}, "needs weights"),
    ],
)
def test_options_that_a_plug_in_does_not_have_are_refused(offered, options, message):
    offered(places=Places)
    with pytest.raises(RequestError, match=message):
        make_judge("places", "detection", options)


def test_what_is_no_judge_of_the_task_is_refused(offered):
    offered(places=Places, text=lambda: "a text")
    with pytest.raises(RequestError, match="gives a str, not a judge of task detection"):
        make_judge("text", "detection", {})
    with pytest.raises(RequestError, match="not a judge of task segmentation"):
        make_judge("places", "segmentation", {"weights": "w"})
    with pytest.raises(RequestError, match=r"no plug-in 'other' in fuse2task\.judges; there are places, text"):
        make_judge("other", "detection", {})


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (([[0, 0, 5, 5]], [0.5, 0.4], ["person"]), "1 boxes, 2 scores, 1 names"),
        (([[0, 0, 5, 5]], [0.5], ["dog"]), "the class 'dog'"),
        (([[0, 0, np.nan, 5]], [0.5], ["person"]), "not finite"),
        (([[5, 0, 0, 5]], [0.5], ["person"]), "corners out of order"),
    ],
)
def test_boxes_that_make_no_sense_are_named(found, message):
    from detection.plugin import PluginDetector

    class Wrong(Places):
        def detect(self, image):
            return found

    with pytest.raises(Fuse2TaskError, match=message):
        PluginDetector(Wrong(Path()), "wrong").predict_batch([np.zeros((20, 20, 3), np.uint8)], [2])


class Warm(SegmentationJudge):
    """Scores of three classes: person where it is red, car where it is blue, else ground."""

    classes = ("ground", "human", "automobile")

    def identity(self):
        return {"name": "warm", "version": 1}

    def segment(self, image):
        scores = image[..., [1, 0, 2]].astype(np.float32).transpose(2, 0, 1)
        return scores - np.array([0, 60, 60], np.float32).reshape(3, 1, 1)


@pytest.mark.slow
def test_a_frozen_segmenter_by_class_map_and_its_masks(tmp_path, recipe_values, tiny_masks, offered):
    offered(warm=Warm)
    (tmp_path / "map.yaml").write_text("human: person\nautomobile: car\n")
    plugin = {"task": "segmentation", "plugin": "warm", "class_map": str(tmp_path / "map.yaml")}
    datasets = {"scenes": {"root": str(tiny_masks), "layout": "msrs"}}

    def run(name: str, judges) -> Path:
        recipe = BenchRecipe.model_validate(recipe_values(datasets=datasets, judges=judges))
        assert run_bench(recipe, tmp_path / name)
        return tmp_path / name

    first = run("first", {"net": plugin})
    for method in ("visible", "infrared", "average"):  # in the judge's own classes, as a stranger has them
        for path in sorted((first / "fused" / "scenes" / method / "images" / "test").glob("*.png")):
            write_image(
                tmp_path / "masks" / method / path.name, Warm().segment(read_visible(path)).argmax(0).astype(np.uint8)
            )
    (tmp_path / "names.txt").write_text("\n".join(Warm.classes))
    results = {"task": "segmentation", "masks": str(tmp_path / "masks" / "{method}"), "class_map": plugin["class_map"],
               "options": {"classes": str(tmp_path / "names.txt")}}  # fmt: skip
    second = run("second", {"mine": results, "net": plugin})
    (net, _), (mine, rows) = (table(second, name) for name in ("net", "mine"))
    np.testing.assert_allclose(mine.to_numpy(), net.to_numpy(), rtol=0, atol=1e-9)
    assert set(rows[rows["metric"] == "IoU"]["class"]) == {"background", "person", "car"}
    metrics = json.loads((second / "predictions" / "scenes" / "average" / "mine" / "metrics.json").read_text())
    assert "does not know bike, curve, car_stop" in metrics["definition"]
    assert metrics["per_class"]["bike"]["pixels"] == 0
