"""Recipes: YAML, overrides, strictness."""

import pytest

from fuse2task.config import Recipe, configs_folder, load_recipe, shipped_recipes
from fuse2task.runtime.errors import RequestError


class Part(Recipe):
    lr: float = 0.1
    name: str = "a"


class Whole(Recipe):
    parts: tuple[Part, ...] = ()
    part: Part = Part()
    epochs: int


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("epochs: 3\npart: {lr: 0.5}\nparts: [{name: x}, {name: y}]\n")
    return str(path)


def test_overrides_reach_sections_and_list_items(file):
    recipe = load_recipe(Whole, file, ["part.lr=1e-3", "parts.1.name=z", "epochs=7"])
    assert (recipe.part.lr, recipe.parts[1].name, recipe.parts[0].name, recipe.epochs) == (0.001, "z", "x", 7)
    assert load_recipe(Whole, file, ["parts=[{name: q}]"]).parts == (Part(name="q"),)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epoch=3", "epoch: Extra inputs"),
        ("part.rate=3", r"part\.rate: Extra inputs"),
        ("epochs=many", "epochs: Input should be a valid integer"),
        ("epochs", "not of the form"),
        ("=3", "not of the form"),
        ("epochs.sub=3", "single value"),
        ("parts.9.name=z", "no '9' to go into"),
        ("parts.9=z", "no item 9"),
        ("epochs=[", "not YAML"),
    ],
)
def test_bad_overrides_are_refused(file, override, message):
    with pytest.raises(RequestError, match=message):
        load_recipe(Whole, file, [override])


@pytest.mark.parametrize("content", ["[1, 2]", "epochs: !!python/object/apply:os.system ['true']", "a: [", "\x00"])
def test_other_yaml_is_refused(tmp_path, content):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(RequestError, match=r"bad\.yaml"):
        load_recipe(Whole, str(path))


def test_shipped_recipes_are_found_by_name_and_others_listed():
    assert "fusion/crossfuse-release" in shipped_recipes("fusion")
    assert (configs_folder() / "splits" / "msrs-open.txt").is_file()
    for reference in ("fusion/nothing", "../secrets", "nothing"):
        with pytest.raises(RequestError, match="no such recipe file"):
            load_recipe(Whole, reference)
