"""A result is used again only where all that it was made of is the same; what is gone is made again or named."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fuse2task.bench.api import report_bench, run_bench
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.bench.records import EVALUATED, PREDICTED, Record
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import write_json

VALUES = ("dataset", "truth_hash", "method", "judge", "metric", "class", "condition", "value", "ci_low", "ci_high")
DIFFERENCES = ("a", "b", "judge", "judge_hash", "recipe_hash", "metric", "class", "condition", "difference", "p_holm")


def numbers(folder: Path) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """What results.csv and comparisons.csv say, in no order."""
    found = []
    for name, columns in (("results", VALUES), ("comparisons", DIFFERENCES)):
        with (folder / f"{name}.csv").open(newline="") as handle:
            found.append(sorted(tuple(row[column] for column in columns) for row in csv.DictReader(handle)))
    return found[0], found[1]


@pytest.fixture
def setting(tiny_source: Path, recipe_values: Callable[..., dict[str, Any]], tmp_path: Path) -> dict[str, Any]:
    """Values of a recipe on a copy of its own of the source, judge and class map, which tests may change."""
    shutil.copytree(tiny_source.parent, tmp_path / "own")
    source = tmp_path / "own" / "source"
    (tmp_path / "own" / "map.yaml").write_text("person: person\ncar: car\n")
    boxes = {"boxes": str(source / "boxes" / "fusion"), "truths": {"infrared": str(source / "boxes" / "infrared")}}
    values = recipe_values(scores={"names": ["EN", "MI"]})
    values["datasets"]["tiny"] |= {"root": str(source), **boxes}
    values["judges"]["places"] |= {
        "weights": str(tmp_path / "own" / "judge.onnx"), "class_map": str(tmp_path / "own" / "map.yaml")
    }  # fmt: skip
    for part in ("train", "test"):
        shutil.copytree(source / part / "vi", tmp_path / "own" / "given", dirs_exist_ok=True)
    values["methods"] = ["visible", "infrared", "average", {"name": "given", "folder": str(tmp_path / "own" / "given")}]
    return values


def run(values: dict[str, Any], folder: Path) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    assert run_bench(BenchRecipe.model_validate(values), folder)
    return numbers(folder)


def invert(path: Path) -> None:
    """Other pixels under the same name, size and time of last writing."""
    before = path.stat()
    pixels = 255 - np.asarray(Image.open(path))
    Image.fromarray(pixels).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def other_images(own: Path) -> None:
    for path in sorted((own / "source" / "test").rglob("*.png")):
        invert(path)


def other_training_image(own: Path) -> None:
    invert(sorted((own / "source" / "train" / "ir").iterdir())[0])


def other_boxes(own: Path) -> None:
    path = max((own / "source" / "boxes" / "fusion").glob("0*.txt"), key=lambda path: path.stat().st_size)
    path.write_text("\n".join(path.read_text().splitlines()[1:]) + "\n")


def other_further_boxes(own: Path) -> None:
    for path in (own / "source" / "boxes" / "infrared").glob("0*.txt"):
        path.write_text("\n".join(path.read_text().splitlines()[:1]) + "\n")


def other_class_map(own: Path) -> None:
    (own / "map.yaml").write_text("person: car\ncar: person\n")


def other_judge(own: Path) -> None:
    import onnx

    model = onnx.load(own / "judge.onnx")
    channels = next(tensor for tensor in model.graph.initializer if tensor.name == "channels")
    channels.CopyFrom(onnx.helper.make_tensor("channels", onnx.TensorProto.INT64, (2,), [2, 0]))
    onnx.save(model, own / "judge.onnx")


def other_fused_images(own: Path) -> None:
    for path in sorted((own / "given").iterdir()):
        invert(path)


CHANGES = (other_images, other_training_image, other_boxes, other_further_boxes, other_class_map, other_judge,
           other_fused_images)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_changes_is_noticed(setting, tmp_path, change):
    folder = tmp_path / "run"
    run(setting, folder)
    change(tmp_path / "own")
    if change in (other_class_map, other_judge, other_further_boxes):  # nothing that is fused
        again = run(setting, folder)
    else:
        with pytest.raises(RequestError, match=r"fused/tiny/[a-z]+: holds a fused dataset of another"):
            run(setting, folder)
        shutil.rmtree(folder / "fused")
        again = run(setting, folder)
    fresh = run(setting, tmp_path / "fresh")
    assert fresh[1] == again[1]
    assert set(fresh[0]) <= set(again[0])  # rows of what was there before stay, under other hashes


def test_there_and_back_again(setting, tmp_path):
    """Judge A, then B, then A: the comparisons are A's."""
    folder, judge = tmp_path / "run", tmp_path / "own" / "judge.onnx"
    kept = judge.read_bytes()
    first = run(setting, folder)
    other_judge(tmp_path / "own")
    assert run(setting, folder)[1] != first[1]
    judge.write_bytes(kept)
    assert run(setting, folder)[1] == first[1]


def test_tables_of_scores_are_of_one_request(setting, tmp_path):
    """Names A, B, then A and a method more; and another split."""
    folder = tmp_path / "run"
    values = setting | {"judges": {}}
    run(values, folder)
    run(values | {"scores": {"names": ["EN"]}}, folder)
    wider = values | {"methods": [*values["methods"], "maximum"]}
    assert set(run(wider, tmp_path / "fresh")[0]) <= set(run(wider, folder)[0])
    other = values | {"datasets": {"tiny": values["datasets"]["tiny"] | {"test": "train", "evaluated_only": False}}}
    other["methods"] = other["methods"][:3]
    run(other, folder)
    with (folder / "scores" / "tiny" / "standard.csv").open() as handle:
        assert {row["image"] for row in csv.DictReader(handle)} == {f"{n:05d}{'DN'[n % 2]}" for n in range(10)}


def parts(folder: Path) -> list[str]:
    """A file of each kind in a finished bench folder."""
    kinds: dict[tuple[str, ...], str] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        inside = path.relative_to(folder)
        if ".locks" not in inside.parts:
            stem = "*" if inside.parent.name in ("test", "train") else path.name
            kinds.setdefault((*inside.parent.parts[:1], *inside.parent.parts[3:], stem), inside.as_posix())
    return list(kinds.values())


@pytest.mark.slow
def test_a_file_that_vanishes_is_made_again_or_named(setting, tmp_path):
    whole = tmp_path / "whole"
    expected = run(setting, whole)
    names = parts(whole)
    assert len(names) > 15
    for number, name in enumerate(names):
        folder = shutil.copytree(whole, tmp_path / f"run{number}")
        (folder / name).unlink()
        try:
            assert run(setting, folder) == expected, name
        except RequestError as error:
            assert str(Path(name).parent) in str(error), f"{name}: {error}"  # noqa: PT017
        shutil.rmtree(folder)


def test_a_row_that_vanishes_is_written_again(setting, tmp_path):
    expected = run(setting, tmp_path / "run")
    table = tmp_path / "run" / "results.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:-1]))
    assert run(setting, tmp_path / "run") == expected
    assert len(table.read_text().splitlines()) == len(lines)


def test_a_record_names_what_differs(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "dets.json").write_text("[]")
    record = Record(tmp_path / PREDICTED, {"weights": "1", "split": "test", "images": "x"})
    assert record.differing() == ["not done"]
    record.write()
    assert record.differing() == []
    assert Record(record.path, {"weights": "2", "split": "test", "images": None}).differing() == ["weights"]
    assert Record(record.path, {"weights": "1", "split": "test", "images": "x", "new": 1}).differing() == ["new"]
    (tmp_path / "a" / "dets.json").write_text("[")
    assert record.differing() == ["a/dets.json"]
    (tmp_path / "a" / "dets.json").unlink()
    assert record.differing() == ["a/dets.json"]
    write_json(record.path, {"images": "x"})
    assert record.differing() == ["recorded by a former version"]
    assert EVALUATED not in json.loads(record.path.read_text())


@pytest.mark.parametrize("place", ["report", "predictions/tiny/average/places", "fused/tiny/average/images/test", "x"])
def test_links_that_lead_out_of_a_bench_folder_are_not_followed(setting, tmp_path, place):
    folder, outside = tmp_path / "run", tmp_path / "outside"
    run(setting, folder)
    outside.mkdir()
    (outside / "precious.txt").write_text("precious")
    if (folder / place).exists():
        shutil.move(folder / place, tmp_path / "moved")
    (folder / place).symlink_to(outside)
    for command in (lambda: report_bench(folder), lambda: run(setting, folder)):
        with pytest.raises(RequestError, match="a link that leads out of"):
            command()
    assert [path.name for path in outside.iterdir()] == ["precious.txt"]
