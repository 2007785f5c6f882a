"""`fuse2task data check` and `split`: what they print and how they exit."""

import json

import pytest
from typer.testing import CliRunner

from fuse2task.cli.data import app
from fuse2task.data.splits import read_split, split_hash
from fuse2task.runtime.errors import RequestError


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def tree(tmp_path):
    """Three sound pairs in layout folder."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in "abc":
        for folder in ("ir", "vi"):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (24, 32), dtype=np.uint8)).save(tmp_path / folder / f"{name}.png")
    return tmp_path


def test_clean_exits_0_and_counts(tree):
    result = run("check", tree, "--layout", "folder")
    assert result.exit_code == 0
    assert "no findings" in result.stdout
    assert "32x24" in result.stdout


def test_findings_are_all_listed_and_exit_1(tree):
    (tree / "ir" / "a.png").unlink()
    (tree / "vi" / "b.png").write_bytes(b"")
    result = run("check", tree, "--layout", "folder")
    assert result.exit_code == 1
    assert f"missing-partner: {tree}/vi/a.png" in result.stdout
    assert f"unusable-image: {tree}/vi/b.png" in result.stdout
    assert result.stdout.endswith("2 findings\n")


def test_pairs_that_are_not_registered_exit_1(tree):
    import numpy as np
    from PIL import Image, ImageFilter

    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 96), dtype=np.uint8))
    scene = noise.filter(ImageFilter.GaussianBlur(3))
    for name in "abc":
        scene.crop((8, 8, 88, 72)).save(tree / "ir" / f"{name}.png")
        scene.crop((2, 8, 82, 72)).save(tree / "vi" / f"{name}.png")
    result = run("check", tree, "--layout", "folder")
    assert result.exit_code == 1
    assert f"misaligned: {tree}: edges of both cameras are 6.0 px apart" in result.stdout
    assert "\n" not in result.stdout[result.stdout.index("misaligned: ") :].removesuffix("\n1 findings\n")
    assert run("check", tree, "--layout", "folder", "--max-misalignment", 7).exit_code == 0


def test_wrong_requests_exit_2(tree):
    result = run("check", tree, "--layout", "m3fdd")
    assert isinstance(result.exception, RequestError)
    assert result.exception.exit_code == 2
    assert run("check", tree).exit_code == 2


def test_json_names_everything(tree):
    boxes = tree / "boxes"
    boxes.mkdir()
    (boxes / "classes.txt").write_text("car\nperson\n")
    for name, text in (("a", "1 0.5 0.5 0.5 0.5\n"), ("b", ""), ("c", "0 0.16 0.5 0.33 0.5\n")):
        (boxes / f"{name}.txt").write_text(text)
    result = run("check", tree, "--layout", "folder", "--boxes", boxes, "--json")
    value = json.loads(result.stdout)
    assert value["pairs"] == {"test": 3}
    assert value["boxes"] == {"test": {"car": 1, "person": 1}}
    assert (value["clipped"], value["findings"]) == (1, [])
    assert value["split"] == {"name": "layout", "hash": split_hash(dict.fromkeys("abc", "test"))}
    assert any("1 boxes" in note for note in value["notes"])


def test_counts_of_coco_files_beyond_the_images_on_disk(tree):
    images = [{"id": n, "file_name": f"{name}.png", "scene": "night"} for n, name in enumerate("abcd")]
    box = {"id": 1, "image_id": 3, "category_id": 1, "bbox": [0, 0, 2, 2]}
    value = {"images": images, "annotations": [box], "categories": [{"id": 1, "name": "car"}]}
    (tree / "all.json").write_text(json.dumps(value))
    options = ("check", tree, "--layout", "folder", "--annotations", tree / "all.json")
    found = json.loads(run(*options, "--json").stdout)
    assert found["boxes"] == {"test": {"car": 0}}
    assert found["annotation_files"] == {"images": {"all": 4}, "classes": {"car": 1}, "scenes": {"night": 4}}
    assert "annotation files: scenes" in run(*options).stdout


def test_split_writes_a_list_and_prints_its_hash(tree):
    output = tree / "list.txt"
    options = ("split", tree, "--layout", "folder", "--parts", "train=0.67,test=0.33", "-o", output)
    result = run(*options)
    assert result.exit_code == 0
    split = read_split(output)
    assert sorted(split) == ["a", "b", "c"]
    assert result.stdout == f"{output}: train 2, test 1; hash {split_hash(split)}\n"
    assert run("check", tree, "--layout", "folder", "--split", output).exit_code == 0
    text = output.read_text()
    run(*options)
    assert output.read_text() == text
    assert {run(*options, "--seed", seed).stdout for seed in range(8)} != {result.stdout}


def test_split_by_sequence_needs_sequences(tree):
    options = ("split", tree, "--layout", "folder", "--parts", "train=0.5,test=0.5", "-o", tree / "split.txt")
    assert "no folder above" in str(run(*options, "--by-sequence").exception)
    assert "leave --blocks away" in str(run(*options, "--by-sequence", "--blocks", 2).exception)


def test_split_refuses_unsound_pairs(tree):
    (tree / "ir" / "a.png").unlink()
    result = run("split", tree, "--layout", "folder", "--parts", "train=0.5,test=0.5", "-o", tree / "list.txt")
    assert isinstance(result.exception, RequestError)
    assert not (tree / "list.txt").exists()
