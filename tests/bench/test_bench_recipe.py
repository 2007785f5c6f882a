"""What a benchmark recipe refuses, and what is always in it; datasets with folds and further truths."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fuse2task.bench.datasets import _folded, load_bench_dataset
from fuse2task.bench.recipe import BenchRecipe, DatasetSection, Fold
from fuse2task.bench.workspace import Workspace
from fuse2task.config.recipes import load_recipe, shipped_recipes
from fuse2task.data.dataset import Dataset, Pair
from fuse2task.data.splits import natural_order
from fuse2task.runtime.errors import RequestError


def test_the_three_are_always_there(make_recipe):
    names = [method.name for method in make_recipe(methods=["maximum", {"name": "average"}]).methods]
    assert names == ["visible", "infrared", "maximum", "average"]
    assert [method.name for method in make_recipe().methods] == ["visible", "infrared", "average"]


def judge(task="detection", **values):
    return {"judges": {"j": {"task": task, **values}}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ["maximum", "maximum"]}, "a method is there twice"),
        ({"seeds": [1, 1]}, "a seed is there twice"),
        ({"baseline": "nobody"}, "nobody is not among the methods"),
        ({"methods": ["a/b"]}, "pattern"),
        ({"methods": [{"name": "m", "datasets": ["other"]}]}, "other is not among the datasets"),
        ({"methods": [{"name": "average", "datasets": ["tiny"]}]}, "does not cover all"),
        (judge(protocol="retrain"), "has a recipe"),
        (judge(protocol="frozen", recipe="x"), "either weights"),
        (judge(protocol="frozen", recipe="x", trained_on="z"), "trained_on"),
        (judge(task="segmentation", protocol="retrain", recipe="r", class_map="m"), "class_map"),
        ({"unknown": 1}, "Extra inputs"),
    ],
)  # fmt: skip
def test_refusals(recipe_values, changes, message):
    with pytest.raises(ValidationError, match=message):
        BenchRecipe.model_validate(recipe_values(**changes))


@pytest.mark.parametrize("name", shipped_recipes("bench"))
def test_shipped_recipes_are_valid_and_name_real_judges(name):
    recipe = load_recipe(BenchRecipe, name)
    shipped = set(shipped_recipes("detection") + shipped_recipes("segmentation"))
    assert {judge.recipe for judge in recipe.judges.values() if judge.recipe} <= shipped


@given(count=st.integers(2, 60), of=st.integers(2, 9), data=st.data())
@settings(max_examples=60)
def test_folds_cover_the_training_split_once_in_runs(tmp_path_factory, count, of, data):
    root = tmp_path_factory.getbasetemp()
    names = data.draw(st.sets(st.text("abc019", min_size=1, max_size=4), min_size=count, max_size=count))
    names = sorted(names, key=natural_order)
    pairs = [Pair(name, "train", root, root, (9, 9)) for name in names]
    pairs += [Pair("v", "val", root, root, (9, 9)), Pair("t", "test", root, root, (9, 9))]
    source = Dataset("folder", root, tuple(pairs), split_hash="x")
    held_out = []
    for index in range(1, of + 1):
        section = DatasetSection(root=root, layout="folder", fold=Fold(of=of, index=index))
        if count < of:
            with pytest.raises(RequestError, match="cannot be cut"):
                _folded("d", source, section)
            return
        folded, part = _folded("d", source, section)
        own = sorted((pair.id for pair in folded.part(part)), key=natural_order)
        assert own == names[names.index(own[0]) :][: len(own)]  # neighbours stay together
        assert {pair.id for pair in folded.pairs} == {*names, "v"}  # the test split is not there
        assert len(folded.part("train")) == count - len(own)
        held_out += own
    assert held_out == names


def test_further_truths_need_the_same_classes(make_recipe, recipe_values, tiny_source, tmp_path):
    data = load_bench_dataset("tiny", make_recipe())
    assert [truth.name for truth in data.truths] == ["fusion", "infrared"]
    assert [int(mask.sum()) for mask in data.conditions().values()] == [12, 6, 6]
    assert data.size == "64x64"
    other = tmp_path / "boxes"
    other.mkdir()
    for path in (tiny_source / "boxes" / "fusion").glob("0*.txt"):
        (other / path.name).write_text(path.read_text())
    (other / "classes.txt").write_text("person\nlorry\n")
    datasets = recipe_values()["datasets"]
    datasets["tiny"]["truths"] = {"other": str(other)}
    with pytest.raises(RequestError, match="its classes are person, lorry"):
        load_bench_dataset("tiny", make_recipe(datasets=datasets))
    datasets["tiny"]["truths"] = {"fusion": str(tiny_source / "boxes" / "infrared")}
    with pytest.raises(RequestError, match="rename"):
        load_bench_dataset("tiny", make_recipe(datasets=datasets))


def test_hashes_of_judges(make_recipe, recipe_values, tmp_path):
    def known(judge, **changes):
        recipe = make_recipe(judges={"j": {"task": "detection", **judge}}, **changes)
        return Workspace(recipe, tmp_path).judge("tiny", "j")

    yolo = {"recipe": "detection/yolo-n-demo", "overrides": {"image_size": 64}}
    retrain = {**yolo, "protocol": "retrain"}
    one, same = known(retrain), known(retrain, seeds=[5])
    assert (one.hash, one.recipe_hash, one.facts.image_size) == (same.hash, same.recipe_hash, "64")
    longer = known({**retrain, "overrides": {"image_size": 64, "epochs": 3}})
    assert longer.hash != one.hash
    assert longer.recipe_hash != one.recipe_hash
    frozen = [known({**yolo, "protocol": "frozen", "trained_on": name}) for name in ("average", "visible")]
    assert frozen[0].hash != frozen[1].hash
    assert frozen[0].recipe_hash == frozen[1].recipe_hash == one.recipe_hash
    with pytest.raises(RequestError, match="the benchmark sets seed"):
        known({**retrain, "overrides": {"seed": 3}})
    weights = recipe_values()["judges"]["places"]["weights"]
    mapping = tmp_path / "map.yaml"
    mapping.write_text("person: lorry\n")
    with pytest.raises(RequestError, match="not among the truth's classes"):
        known({"protocol": "frozen", "weights": weights, "class_map": str(mapping)})
