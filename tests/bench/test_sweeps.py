"""Sweeps over conditions: copies, what is judged on them, curves and areas, going on, what may be removed."""

import csv
import io
import json
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from fuse2task.bench import workspace
from fuse2task.bench.api import run_bench
from fuse2task.bench.datasets import load_bench_dataset, load_degraded, write_copy
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.bench.scheduler import make_jobs, make_plan
from fuse2task.bench.workspace import Workspace
from fuse2task.config.recipes import load_recipe
from fuse2task.data.degradation.writing import degrade_dataset
from fuse2task.data.images import write_image
from fuse2task.results.schema import BenchFolder
from fuse2task.results.tables import ResultsTable
from fuse2task.runtime.errors import RequestError

CONDITIONS = [
    {"kind": "night", "levels": [0, 2, 5]},
    {"kind": "misalign", "levels": [0, 5], "truth_on": "infrared"},
]
SCORES = {"profile": "standard", "names": ["EN", "PSNR"], "sources": "clean"}


@pytest.fixture(scope="session")
def kept(tmp_path_factory) -> dict[str, Path]:
    return {"folder": tmp_path_factory.mktemp("swept") / "run"}


@pytest.fixture
def swept(make_recipe, kept, tmp_path) -> tuple[Path, BenchRecipe]:
    """A copy of a finished bench folder with two sweeps, and its recipe."""
    recipe = make_recipe(conditions=CONDITIONS, scores=SCORES)
    if not kept["folder"].is_dir():
        assert run_bench(recipe, kept["folder"])
    shutil.copytree(kept["folder"], tmp_path / "run")
    return tmp_path / "run", recipe


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def table(folder: Path, name: str, **wanted) -> pd.DataFrame:
    frame = pd.read_csv(folder / f"{name}.csv", keep_default_na=False)
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame


@pytest.mark.slow
def test_copies_are_those_of_data_degrade_and_level_0_is_the_source(swept, tiny_source, tmp_path):
    folder, _ = swept
    names = ["tiny", "tiny@misalign-5", "tiny@night-2", "tiny@night-5"]
    assert sorted(path.name for path in (folder / "fused").iterdir()) == names
    split = folder / "degraded" / "tiny.txt"
    assert split.read_text().count("test\t") == len(split.read_text().splitlines()) == 12
    boxes = tiny_source / "boxes" / "fusion"
    for kind, level in (("night", 5), ("misalign", 5)):
        options = {"truth_on": "infrared", "boxes": boxes} if kind == "misalign" else {}
        out = tmp_path / f"{kind}{level}"
        degrade_dataset(tiny_source, "msrs", kind, level, out, split=str(split), **options)
        assert content(folder / "degraded" / f"tiny@{kind}-{level}" / "source") == content(out)
    results = ResultsTable(folder).read()
    assert set(results[results["level"] == "0"]["dataset"]) == {"tiny"}
    assert set(zip(results["dataset"], results["kind"], results["level"], strict=True)) == {
        ("tiny", "", "0"), ("tiny@night-2", "night", "2"), ("tiny@night-5", "night", "5"),
        ("tiny@misalign-5", "misalign", "5"),
    }  # fmt: skip


def test_a_copy_is_judged_by_its_own_truth(swept):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    folder, _ = swept
    results = ResultsTable(folder).read()
    for name in ("tiny@night-2", "tiny@misalign-5"):
        with redirect_stdout(io.StringIO()):
            ground = COCO(str(folder / "fused" / name / "average" / "annotations" / "test.json"))
            found = ground.loadRes(str(folder / "predictions" / name / "average" / "places" / "dets.json"))
            run = COCOeval(ground, found, "bbox")
            run.evaluate()
            run.accumulate()
            run.summarize()
        rows = results[(results["dataset"] == name) & (results["method"] == "average") & (results["class"] == "all")]
        rows = rows[rows["condition"] == "all"].set_index("metric")["value"]
        assert [rows["AP"], rows["AP50"]] == pytest.approx(list(run.stats[:2]), abs=1e-9)
    places = {}
    for name in ("tiny", "tiny@night-5", "tiny@misalign-5"):
        truth = json.loads((folder / "fused" / name / "average" / "annotations" / "test.json").read_text())
        places[name] = [box["bbox"] for box in truth["annotations"]]
    assert places["tiny@night-5"] == places["tiny"] != places["tiny@misalign-5"]
    hashes = json.loads((folder / "truths.json").read_text())
    assert set(results["truth_hash"]) - {""} <= set(hashes)


def test_areas_are_trapezoids_and_rest_on_one_set_of_replicates(swept):
    folder, recipe = swept
    for (kind, method, metric, name), points in table(folder, "conditions").groupby(
        ["kind", "method", "metric", "class"]
    ):
        levels = points["level"].to_numpy(float)
        area = table(folder, "robustness", kind=kind, method=method, metric=metric, **{"class": name})
        values = points["value"].astype(float)
        assert float(area["area"].iloc[0]) == pytest.approx(np.trapezoid(values, levels) / 5, rel=1e-9)
        if metric != "AR100":
            assert float(area["drop"].iloc[0]) == pytest.approx(values.iloc[0] - values.iloc[-1], abs=1e-12)
    results = ResultsTable(folder).read()
    rows = results[(results["method"] == "average") & (results["metric"] == "AP50") & (results["class"] == "all")]
    rows = rows[rows["condition"] == "all"].set_index("dataset")
    for row in table(folder, "conditions", kind="night", method="average", metric="AP50", **{"class": "all"}).to_dict(
        "records"
    ):
        same = rows.loc["tiny" if row["level"] == 0 else f"tiny@night-{row['level']}"]
        same = same if isinstance(same, pd.Series) else same.iloc[0]  # the primary truth comes first
        assert [row["value"], float(row["ci_low"])] == pytest.approx([same["value"], same["ci_low"]], rel=1e-9)
    assert recipe.intervals.replicates == 60


def test_clean_and_degraded_sources_of_scores(swept, make_recipe, tiny_source):
    folder, recipe = swept
    clean = Workspace(recipe, folder)
    degraded = Workspace(make_recipe(conditions=CONDITIONS, scores=SCORES | {"sources": "degraded"}), folder)
    for name in ("tiny", "tiny@night-5"):
        assert {path.parent for pair in clean.score_sources(name) for path in (pair.visible, pair.infrared)} == {
            tiny_source / "test" / "vi", tiny_source / "test" / "ir",
        }  # fmt: skip
    copy = folder / "degraded" / "tiny@night-5" / "source" / "test" / "vi"
    assert {pair.visible.parent for pair in degraded.score_sources("tiny@night-5")} == {copy}
    # The infrared image does not change at night: nor do its scores, against clean sources.
    psnr = (
        table(folder, "conditions", kind="night", metric="PSNR").set_index(["method", "level"])["value"].astype(float)
    )
    assert psnr["infrared"].nunique() == 1
    assert psnr["average", 0] > psnr["average", 2] > psnr["average", 5]
    assert set(table(folder, "robustness", metric="PSNR")["best_single"]) == {""}


@pytest.mark.slow
def test_what_is_done_is_not_done_again_even_when_images_are_removed(swept, monkeypatch, capsys):
    folder, recipe = swept
    before = content(folder)
    with monkeypatch.context() as patch:
        patch.setattr("fuse2task.bench.scheduler.do", None)
        assert run_bench(recipe, folder)
        assert content(folder) == before
        for path in [*(folder / "fused").glob("*@night*"), *(folder / "degraded").glob("*@night*")]:
            shutil.rmtree(path)
        capsys.readouterr()
        assert run_bench(recipe, folder)
    output = capsys.readouterr().out
    assert "tiny under night, levels 0 2 5, frozen places" in output
    assert "opened by 1 recipe in this folder, 12 evaluations" in output
    # Results that are gone bring back what they need, and nothing else.
    rows = (folder / "results.csv").read_text().splitlines(keepends=True)
    lost = [line for line in rows if ",tiny@night-5," in line and ",infrared," in line and ",detection," in line]
    assert lost
    (folder / "results.csv").write_text("".join(line for line in rows if line not in lost))
    plan = make_plan(Workspace(recipe, folder), make_jobs(Workspace(recipe, folder)))
    assert [step.job.id for step in plan if not step.done] == [
        "degrade tiny@night-5", "fuse tiny@night-5 infrared", "evaluate tiny@night-5 infrared places",
    ]  # fmt: skip
    assert run_bench(recipe, folder)
    assert sorted((folder / "results.csv").read_text().splitlines(keepends=True)) == sorted(rows)
    assert (folder / "conditions.csv").read_bytes() == before["conditions.csv"]


@pytest.mark.slow
def test_a_folder_from_before_there_were_conditions_goes_on(tmp_path, finished, make_recipe, monkeypatch):
    folder = finished(tmp_path / "run", make_recipe())
    with (folder / "results.csv").open(newline="") as handle:
        rows = list(csv.reader(handle))
    assert rows[0][-4:] == ["kind", "level", "source_hash", "resampled"]
    with (folder / "results.csv").open("w", newline="") as handle:
        csv.writer(handle, lineterminator="\n").writerows(row[:-4] for row in rows)
    conditions = {"kind": "hotpixel", "levels": [0, 5]}
    assert run_bench(make_recipe(conditions=conditions), folder)
    longer = ResultsTable(folder).read()
    # Nobody knows what images the old rows were made of: they stay, and what they say is evaluated again.
    at_zero = longer[longer["level"] == "0"]
    assert [(at_zero["source_hash"] == "").sum(), (at_zero["source_hash"] != "").sum()] == [len(rows) - 1] * 2
    assert set(table(folder, "conditions")["level"]) == {0, 5}
    with monkeypatch.context() as patch:
        patch.setattr("fuse2task.bench.scheduler.do", None)
        assert run_bench(make_recipe(), folder)
    assert not (folder / "conditions.csv").exists()
    assert not (folder / "robustness.csv").exists()


def test_a_copy_made_otherwise_is_refused(swept, make_recipe):
    folder, _ = swept
    other = [CONDITIONS[0], {"kind": "misalign", "levels": [0, 5], "move": "visible", "truth_on": "infrared"}]
    with pytest.raises(RequestError, match=r"tiny@misalign-5.*another changed, misalign"):
        run_bench(make_recipe(conditions=other, scores=SCORES), folder)


def test_planning_loads_each_copy_once_and_again_when_it_is_there(make_recipe, tmp_path, swept, monkeypatch):
    loaded = []
    load = workspace.load_degraded
    monkeypatch.setattr(workspace, "load_degraded", lambda *args: loaded.append(args[2].name) or load(*args))
    recipe = make_recipe(conditions=CONDITIONS, scores=SCORES)
    bench = Workspace(recipe, tmp_path / "new", "cpu")
    assert not any(step.done for step in make_plan(bench, make_jobs(bench)))
    assert sorted(loaded) == sorted(recipe.degraded)
    assert not bench.dataset("tiny@night-5").ready
    shutil.copytree(swept[0] / "degraded", bench.folder / "degraded")
    assert bench.dataset("tiny@night-5").ready
    assert loaded.count("tiny@night-5") == 2


def test_judges_are_trained_on_the_source_alone(make_recipe, tmp_path):
    judge = {"task": "detection", "protocol": "retrain", "recipe": "detection/yolo-n-demo"}
    recipe = make_recipe(judges={"j": judge}, conditions={"kind": "jpeg", "levels": [0, 5]}, open_test=True)
    jobs = make_jobs(Workspace(recipe, tmp_path))
    assert {job.dataset for job in jobs if job.kind == "train"} == {"tiny"}
    job = next(job for job in jobs if job.id == "evaluate tiny@jpeg-5 average j s0")
    assert set(job.needs) == {"fuse tiny@jpeg-5 average", "train tiny average j s0"}
    assert not any(tmp_path.iterdir())
    bench = Workspace(recipe, tmp_path)
    assert bench.judge("tiny@jpeg-5", "j") is bench.judge("tiny", "j")


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"kind": "fog", "levels": [0, 1]}, "unknown kind 'fog'"),
        ({"kind": "haze", "levels": [1]}, "two or more"),
        ({"kind": "haze", "levels": [0, 6]}, "two or more"),
        ({"kind": "haze", "levels": [2, 1]}, "rising"),
        ({"kind": "haze", "levels": [0, 1], "move": "visible"}, "are for misalign"),
        ([{"kind": "haze", "levels": [0, 1]}] * 2, "kind of conditions is there twice"),
    ],
)  # fmt: skip
def test_refusals_of_conditions(recipe_values, conditions, message):
    with pytest.raises(ValidationError, match=message):
        BenchRecipe.model_validate(recipe_values(conditions=conditions))


def test_folders_of_fused_images_cannot_be_swept(make_recipe, recipe_values):
    values = recipe_values(methods=[{"name": "mine", "folder": "x"}], conditions={"kind": "haze", "levels": [0, 1]})
    with pytest.raises(ValidationError, match="mine are images fused elsewhere"):
        BenchRecipe.model_validate(values)
    assert make_recipe(conditions=[]).id == make_recipe().id != make_recipe(conditions=CONDITIONS).id


@pytest.mark.parametrize("weather", ["rain", "snow", "haze"])
def test_awmm_recipes_score_against_either_sources(tmp_path, weather):
    root, rng = tmp_path / f"Test_{weather}", np.random.default_rng(0)
    for folder in ("ir", "vi", "gt_ir", "gt_vi"):
        for number in (1, 2):
            write_image(root / folder / f"{number}.png", rng.integers(0, 256, (32, 40, 3), dtype=np.uint8))
    for sources in ("degraded", "clean"):
        overrides = [f"datasets.{weather}.root={root}", "methods=[average]", "costs=false", "scores.names=[QG]",
                     f"scores.sources={sources}", "intervals.replicates=50"]  # fmt: skip
        assert run_bench(load_recipe(BenchRecipe, f"bench/awmm-{weather}", overrides), tmp_path / "run")
    rows = ResultsTable(tmp_path / "run").read()
    rows = rows[(rows["method"] == "average") & (rows["condition"] == "all")].set_index("judge")["value"]
    assert rows["liu"] > rows["liu-clean"] > 0


@pytest.mark.parametrize("inside", [True, False])
def test_ignored_boxes_move_with_a_swept_image(tmp_path, folder_dataset, inside):
    root = folder_dataset(2, size=(64, 48))
    labels = (root if inside else tmp_path) / "xml"
    labels.mkdir()
    box = "<bndbox><xmin>{}</xmin><ymin>9</ymin><xmax>40</xmax><ymax>30</ymax></bndbox>"
    for name in ("p0", "p1"):
        objects = f"<object><name>car</name>{box.format(20)}</object>"
        objects += f"<object><name>car</name><truncated>1</truncated>{box.format(9)}</object>"
        (labels / f"{name}.xml").write_text(f"<annotation>{objects}</annotation>")
    text = "folders: [{infrared: ir, visible: vi}]\ntruth: [{kind: voc, folders: [xml], classes: [car, bus]}]\n"
    layout = tmp_path / f"flagged{inside}.yaml"
    layout.write_text(text)
    section = {"root": root, "layout": str(layout), "ignore": "truncated"}
    section |= {} if inside else {"annotations": labels}
    recipe = BenchRecipe(
        datasets={"d": section}, conditions={"kind": "misalign", "levels": [0, 1], "truth_on": "infrared"},
        open_test=True, scores=None,
    )  # fmt: skip
    source, folder, (copy,) = load_bench_dataset("d", recipe), BenchFolder(tmp_path / "run"), recipe.degraded.values()
    write_copy(folder, source, copy, recipe.datasets["d"])
    moved = load_degraded(folder, source, copy, recipe)
    assert moved.ready
    assert moved.truths[0].classes == source.truths[0].classes == ("car", "bus")
    for group in ("boxes", "ignored"):
        before, after = (getattr(each.dataset.boxes, group) for each in (source, moved))
        assert [len(boxes) for boxes in after.values()] == [len(boxes) for boxes in before.values()] == [1, 1]
        assert before["p0"] != after["p0"]
