"""Run folders: their log, other recipes, and broken ones: one readable line that names the file, nothing touched."""

import pytest

from fuse2task.runtime.errors import RequestError
from fuse2task.training.run_folder import RunFolder


def test_run_folder_logs_rows_and_refuses_another_recipe(tmp_path):
    run = RunFolder(tmp_path / "run", {"lr": 0.1, "device": "cpu"})
    with run.held():
        run.log({"epoch": 1, "loss": 2.5})
        run.log({"epoch": 2, "loss": 2.0, "extra": "x"})
    assert run.rows() == [{"epoch": "1", "loss": "2.5", "extra": ""}, {"epoch": "2", "loss": "2.0", "extra": "x"}]
    run.keep_rows(1)
    assert len(run.rows()) == 1
    leftover = tmp_path / "run" / "resume" / ".state.safetensors.4711.tmp"
    leftover.write_text("half")
    again = RunFolder(tmp_path / "run", {"lr": 0.1, "device": "cuda"})
    assert not again.finished
    with again.held():
        assert not leftover.exists()
    with pytest.raises(RequestError, match=r"another recipe \(different: lr\)"):
        RunFolder(tmp_path / "run", {"lr": 0.2, "device": "cpu"})
    run.finish({"seed": 0})
    assert run.finished
    assert run.card() == {"seed": 0}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("x")
    with pytest.raises(RequestError, match="not empty and not a run folder"):
        RunFolder(tmp_path / "mine", {})


@pytest.mark.slow
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
