"""A run folder whose recipe.yaml is broken: one readable line that names the file, and nothing is touched."""

import pytest

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.runfolder import RunFolder


@pytest.mark.parametrize(
    "data",
    [
        b"", b"lr: [1, 2", b"\x00\xff\xfe", b"- lr\n- 1\n", b"lr", b"lr: !!python/object/apply:os.getcwd []",
        b"[" * 20_000, b"a: " + b"x" * 200_000,
    ],
    ids=["empty", "cut", "binary", "list", "text", "tag", "deep", "long"],
)  # fmt: skip
def test_a_broken_recipe_is_one_line(tmp_path, data):
    recipe = tmp_path / "run" / "recipe.yaml"
    run = RunFolder(recipe.parent, {"lr": 0.1})
    recipe.parent.mkdir()
    recipe.write_bytes(data)
    for check in (lambda: RunFolder(recipe.parent, {"lr": 0.1}), lambda: run.held().__enter__()):
        with pytest.raises(RequestError) as caught:
            check()
        assert str(caught.value).startswith(f"{recipe}: ")
        assert len(str(caught.value).splitlines()) == 1
    assert recipe.read_bytes() == data


def test_keys_that_are_no_texts_are_another_recipe(tmp_path):
    (tmp_path / "recipe.yaml").write_text("lr: 0.1\n7: 8\n")
    with pytest.raises(RequestError, match=r"another recipe \(different: 7\)"):
        RunFolder(tmp_path, {"lr": 0.1})
