"""A result is used again only where all that it was made of is the same; what is gone is made again or named."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from fuse2task.bench.api import Compare, report_bench, run_bench
from fuse2task.bench.jobs import EVALUATED, PREDICTED, Job
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.bench.scheduler import make_jobs
from fuse2task.bench.workspace import Workspace
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import write_json
from fuse2task.runtime.records import Record

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


def other_judge(own: Path) -> None:
    import onnx

    model = onnx.load(own / "judge.onnx")
    channels = next(tensor for tensor in model.graph.initializer if tensor.name == "channels")
    channels.CopyFrom(onnx.helper.make_tensor("channels", onnx.TensorProto.INT64, (2,), [2, 0]))
    onnx.save(model, own / "judge.onnx")


def alter(path: Path) -> None:
    """Other content under the same name: pixels, detector, values of a mapping, a line less."""
    if path.suffix == ".png":
        invert(path)
    elif path.suffix == ".onnx":
        other_judge(path.parent)
    elif path.suffix == ".yaml":
        mapping = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump(dict(zip(mapping, reversed(mapping.values()), strict=True))))
    else:
        path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


_opened: set[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open" and isinstance(arguments[0], str):
        _opened.add(arguments[0])


sys.addaudithook(_note)  # for good: there is no way to take one off


@pytest.mark.slow
def test_whatever_is_read_is_noticed_when_it_changes(setting, tmp_path, capsys):
    """Of the files that a run opens outside its folder, one of each kind is altered in turn, each known by no list."""
    global _opened
    folder, own = tmp_path / "run", tmp_path / "own"
    _opened = set()
    run(setting, folder)
    opened, _opened = sorted(_opened), None
    kinds: dict[tuple[str, str], Path] = {}
    for path in (Path(name) for name in opened if name.startswith(f"{own}{os.sep}")):
        known = kinds.get(key := (str(path.parent), path.suffix))
        # Of texts the longest: of some images no box is known.
        if known is None or path.stat().st_size > known.stat().st_size:
            kinds[key] = path
    refused = 0
    for path in kinds.values():
        before, again = path.read_bytes(), shutil.copytree(folder, tmp_path / "again")
        alter(path)
        fresh = run(setting, tmp_path / "fresh")
        try:
            found = run(setting, again)
        except RequestError as error:
            refused += 1
            assert re.search(r"fused/tiny/[a-z]+: holds a fused dataset of another (source|truth|method)", str(error))  # noqa: PT017
            shutil.rmtree(again / "fused")  # as the message says
            found = run(setting, again)
        assert found[1] == fresh[1], path
        assert set(fresh[0]) <= set(found[0]), path  # rows of what was there before stay, under other hashes
        for place in (again, tmp_path / "fresh"):
            shutil.rmtree(place)
        path.write_bytes(before)
    with capsys.disabled():
        print(f"\n{len(kinds)} kinds of {len(opened)} opened files altered, {refused} refused by name first")
    # vi and ir of both splits, two truths, class map, judge, given images; lists of classes.
    assert len(kinds) >= 9


@pytest.fixture
def every_kind(setting, tiny_masks, tmp_path) -> dict[str, Any]:
    """`setting` with jobs of every kind: a sweep, costs, trained and frozen judges of both tasks."""
    small = {"epochs": 1, "crop": [64, 64], "batch": 2}
    judges = {
        "unet": {"task": "segmentation", "protocol": "retrain", "recipe": "segmentation/unet-demo", "overrides": small},
        "yolo": {"task": "detection", "recipe": "detection/yolo-n-demo", "trained_on": "average",
                 "overrides": {"image_size": 64, "epochs": 1, "batch": 4}},
    }  # fmt: skip
    masks = {"root": str(tiny_masks), "layout": "msrs"}
    return setting | {
        "datasets": setting["datasets"] | {"masks": masks}, "judges": setting["judges"] | judges, "methods": [],
        "costs": True, "conditions": {"kind": "hotpixel", "levels": [0, 5]},
    }  # fmt: skip


@pytest.mark.slow
def test_every_declared_input_is_compared(every_kind, tmp_path, capsys):
    """Of a job of each kind every input that its record names gets another value: made again, or refused by name."""
    recipe, folder = BenchRecipe.model_validate(every_kind), tmp_path / "run"
    assert run_bench(recipe, folder)
    bench = Workspace(recipe, folder, "cpu")
    chosen: dict[tuple[str, ...], Job] = {}
    for job in [*make_jobs(bench), Compare("")]:
        judge = recipe.judges[job.judge] if job.judge else None
        chosen.setdefault((job.kind, *((judge.task, str(judge.is_trained)) if judge else ())), job)
    kinds = {"degrade", "fuse", "cost", "train", "evaluate", "score", "compare"}
    assert {kind[0] for kind in chosen} == kinds
    assert len(chosen) == len(kinds) + 3  # trainings of both tasks; evaluations of those, and of a frozen detector
    counts, refused = {}, 0
    for kind, job in chosen.items():
        record = job.record(bench)
        assert job.lacking(bench) == [], job.id
        whole = record.path.read_text()
        names = [name for name, value in record.made_of.items() if value is not None]
        for name in names:
            found = json.loads(whole)
            write_json(record.path, found | {"made_of": found["made_of"] | {name: "another"}})
            assert name in job.lacking(bench), (job.id, name)
            try:
                bench.table.append(job.do(bench))
            except RequestError as error:
                refused += 1
                assert f"of another {name};" in str(error)  # noqa: PT017
                record.path.write_text(whole)
            assert job.lacking(bench) == [], (job.id, name)
        counts[" ".join(kind)] = len(names)
        for name in json.loads(whole).get("files", ()):  # cards of trainings name none
            (record.path.parent / name).rename(tmp_path / "away")
            assert name in job.lacking(bench), (job.id, name)
            (tmp_path / "away").rename(record.path.parent / name)
    with capsys.disabled():
        print(f"\n{len(counts)} kinds of jobs, {sum(counts.values())} inputs, {refused} refused by name: {counts}")
    assert sum(counts.values()) > 100


def test_an_unchanged_folder_answers_without_loading_networks(setting, tmp_path):
    folder, recipe = tmp_path / "run", tmp_path / "recipe.yaml"
    setting["methods"].append("crossfuse-plus")
    recipe.write_text(yaml.safe_dump(setting))
    before = run(setting, folder)
    code = (
        "import sys; from pathlib import Path; from fuse2task.bench.api import run_bench; "
        "from fuse2task.bench.recipe import BenchRecipe; from fuse2task.config.recipes import load_recipe; "
        "assert run_bench(load_recipe(BenchRecipe, sys.argv[1]), Path(sys.argv[2])); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, recipe, folder], check=False).returncode == 0
    assert numbers(folder) == before
    # What is remembered of other weights, or is no identity at all, is not used.
    known = json.loads((folder / "identities.json").read_text())
    (folder / "identities.json").write_text(json.dumps({key: ["damaged"] for key in known}))
    assert run(setting, folder) == before
    assert json.loads((folder / "identities.json").read_text()) == known


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


def test_what_rests_on_images_that_are_made_again_is_looked_at_again(setting, tmp_path):
    """Fused images were removed, and those made in their place are others, as of another version of a library."""
    expected = run(setting, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "fused" / "tiny" / "average")
    folder = tmp_path / "run" / "predictions" / "tiny" / "average" / "places"
    before = (folder / EVALUATED).read_text()
    for name in (PREDICTED, EVALUATED):
        record = json.loads((folder / name).read_text())
        record["made_of"]["images"] = "of another version"
        write_json(folder / name, record, sort_keys=name == PREDICTED)
    assert run(setting, tmp_path / "run") == expected
    assert (folder / EVALUATED).read_text() == before


def test_a_row_that_vanishes_is_written_again(setting, tmp_path):
    expected = run(setting, tmp_path / "run")
    table = tmp_path / "run" / "results.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:-1]))
    assert run(setting, tmp_path / "run") == expected
    assert len(table.read_text().splitlines()) == len(lines)


def test_status_names_what_is_stale_and_writes_nothing(setting, tmp_path, run_cli):
    folder = tmp_path / "run"
    run(setting, folder)

    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def status() -> tuple[int, list[str]]:
        before = content()
        code = run_cli("bench", "status", folder)
        assert content() == before
        return code, run_cli.output.splitlines()

    code, lines = status()
    assert (code, lines[-1]) == (0, "10 fresh, 0 missing, 0 stale")  # 4 fused, 4 evaluated, scores, comparisons
    other_judge(tmp_path / "own")
    shutil.rmtree(folder / "fused" / "tiny" / "average")
    (folder / "predictions" / "tiny" / "infrared" / "places" / "evaluated.json").unlink()
    code, lines = status()
    assert (code, lines[-1]) == (1, "4 fresh, 1 missing, 5 stale")
    assert "stale   fuse tiny average: average/manifest.json" in lines
    assert "stale   evaluate tiny visible places: weights, judge, definition of the judge" in lines
    assert "missing evaluate tiny infrared places" in lines
    assert run_cli("bench", "status", folder, "--json") == 1
    assert json.loads(run_cli.output)["stale"] == 5
    assert run_cli("bench", "status", tmp_path) == 2
    assert "not a bench folder" in run_cli.error


def test_a_record_names_what_differs(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "dets.json").write_text("[]")
    record = Record(tmp_path / PREDICTED, {"weights": "1", "split": "test", "images": "x"})
    assert record.differing() == ["not done"]
    record.write([tmp_path / "a" / "dets.json"])
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
