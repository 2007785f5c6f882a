"""Several processes on one bench folder, failures, progress, and the printed tables."""

import json
import multiprocessing
from pathlib import Path

import pandas as pd
import pytest

from fuse2task.bench import printing, scheduler
from fuse2task.bench.api import run_bench
from fuse2task.bench.jobs import Fuse, Job, Train
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.bench.scheduler import Progress, Step, duration, make_jobs, make_plan, part_of
from fuse2task.bench.workspace import Workspace
from fuse2task.results.schema import RESULTS, BenchFolder
from fuse2task.results.tables import ResultsTable
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.tasks.detection import Detection
from fusion.dataset_writer import Shard


def run_there(values: dict, folder: str, index: int, count: int) -> None:
    run_bench(BenchRecipe.model_validate(values), Path(folder), Shard(index, count))


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_processes_at_the_same_time(tmp_path, finished, recipe_values, count):
    values = recipe_values()
    whole = finished(tmp_path / "whole", BenchRecipe.model_validate(values))
    folder = tmp_path / "shared"
    context = multiprocessing.get_context("spawn")
    # One and the same request twice, or two shards.
    parts = [(1, count), (min(2, count), count)]
    workers = [context.Process(target=run_there, args=(values, str(folder), *part)) for part in parts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    order = list(RESULTS[:-1])
    tables = [ResultsTable(root).read().sort_values(order, ignore_index=True) for root in (folder, whole)]
    pd.testing.assert_frame_equal(*tables)
    assert (folder / "comparisons.csv").read_bytes() == (whole / "comparisons.csv").read_bytes()
    done = pd.read_csv(folder / "timings.csv")["kind"].value_counts().to_dict()
    assert done == {"fuse": 3, "evaluate": 3}  # nothing was done twice


def test_a_failed_job_keeps_what_is_finished(tmp_path, make_recipe, monkeypatch):
    real = scheduler.do

    def failing(bench: Workspace, job: Job) -> scheduler.Result:
        if job.id == "evaluate tiny infrared places":
            raise Fuse2TaskError("the judge is ill")
        return real(bench, job)

    with monkeypatch.context() as patch:
        patch.setattr("fuse2task.bench.scheduler.do", failing)
        with pytest.raises(Fuse2TaskError, match="the judge is ill"):
            run_bench(make_recipe(), tmp_path / "run")
    assert set(ResultsTable(tmp_path / "run").read()["method"]) == {"visible"}
    assert pd.read_csv(tmp_path / "run" / "openings.csv")["evaluations"].tolist() == [1]  # the split was looked at
    assert run_bench(make_recipe(), tmp_path / "run")
    assert len(set(ResultsTable(tmp_path / "run").read()["method"])) == 3


def test_a_lock_is_held_by_one(tmp_path):
    first, second = BenchFolder(tmp_path).lock("a b"), BenchFolder(tmp_path).lock("a b")
    assert first.acquire()
    assert not second.acquire(wait=False)
    assert BenchFolder(tmp_path).lock("another").acquire(wait=False)
    first.release()
    assert second.acquire(wait=False)


def test_wrong_requests_are_found_before_any_work(tmp_path, make_recipe, recipe_values):
    datasets = recipe_values()["datasets"]
    datasets["tiny"]["test"] = "tset"
    places = recipe_values()["judges"]["places"]
    for changes, message in (
        ({"datasets": datasets}, "no split 'tset'"),
        ({"methods": [{"name": "crossfuse", "checkpoint": "gone"}]}, "gone: no such checkpoint"),
        ({"methods": [{"name": "theirs", "folder": str(tmp_path)}]}, "pairs have no fused image"),
        ({"judges": {"places": places | {"weights": "gone.onnx"}}}, "no such weights file"),
        ({"judges": {"u": {"task": "detection", "protocol": "retrain", "recipe": "none"}}}, "no such recipe"),
    ):
        with pytest.raises(RequestError, match=message):
            run_bench(make_recipe(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_plan_shares_fused_datasets_and_judges(make_recipe, recipe_values, tmp_path):
    places = recipe_values()["judges"]["places"]
    yolo = {"task": "detection", "recipe": "detection/yolo-n-demo", "overrides": {"image_size": 64}}
    judges = {"places": places, "own": yolo | {"protocol": "retrain"},
              "one": yolo | {"protocol": "frozen", "trained_on": "infrared"}}  # fmt: skip
    scores = {"profile": "standard", "names": ["EN"]}
    bench = Workspace(make_recipe(judges=judges, seeds=[0, 1], scores=scores), tmp_path / "run")
    jobs = make_jobs(bench)
    counts = pd.Series([job.kind for job in jobs]).value_counts().to_dict()
    # 3 methods fused once; with two seeds own is trained on each, one on infrared; places 1, own 2, one 2 evaluations.
    assert counts == {"fuse": 3, "train": 8, "evaluate": 15, "score": 1}
    before: set[str] = set()
    for job in jobs:
        assert before.issuperset(job.needs)
        before.add(job.id)
    parts = [part_of(bench, jobs, index, 2) for index in (1, 2)]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == {job.id for job in jobs if job.kind in ("fuse", "evaluate")}
    assert not any(step.done or step.measured for step in make_plan(bench, jobs))


def test_a_fused_dataset_of_other_pixels_is_not_taken(tmp_path, finished, make_recipe):
    folder = finished(tmp_path / "run", make_recipe())
    job = Fuse("tiny", "average")
    assert job.is_done(Workspace(make_recipe(), folder))
    assert not job.is_done(Workspace(make_recipe(color="gray"), folder))
    manifest = folder / "fused/tiny/average/manifest.json"
    whole = manifest.read_text()
    for key in ("method", "split", "truth"):
        content = json.loads(whole)
        content[key]["hash"] = "0" * 12
        manifest.write_text(json.dumps(content))
        assert not job.is_done(Workspace(make_recipe(), folder)), key
    manifest.write_text(whole)
    assert job.is_done(Workspace(make_recipe(), folder))


@pytest.mark.parametrize("key", ["images", "split", "weights", "judge", "settings"])
def test_predictions_made_of_something_else_are_made_again(tmp_path, finished, make_recipe, monkeypatch, key):
    folder = finished(tmp_path / "run", make_recipe())
    before, predicted, predict = ResultsTable(folder).read(), [], Detection.predict
    marker = folder / "predictions/tiny/average/places/predicted.json"
    record = json.loads(marker.read_text())
    marker.write_text(json.dumps(record | {"made_of": record["made_of"] | {key: "other"}}))
    (folder / "results.csv").unlink()
    monkeypatch.setattr(Detection, "predict", lambda *given: predicted.append(given[-1].folder) or predict(*given))
    assert run_bench(make_recipe(), folder)
    assert predicted == [marker.parent]
    assert json.loads(marker.read_text()) == record
    assert ResultsTable(folder).read()["value"].tolist() == before["value"].tolist()


def test_time_left_follows_what_jobs_took(capsys):
    steps = [Step(Fuse("d", name), False, 10.0, False) for name in "abc"]
    progress = Progress([*steps, Step(Fuse("d", "z"), True, 99.0, True)])
    progress.ended(steps[0].job, 40.0, 1)
    progress.ended(steps[1].job, None, 1)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "bench: 1/4 jobs are done, about 30 s left"
    assert said[1] == "bench: 2/4 jobs, about 80 s left"
    assert said[2] == "bench: 3/4 jobs, about 40 s left"
    assert [duration(value) for value in (30, 600, 7200)] == ["30 s", "10 min", "2.0 h"]


def test_time_left_of_a_judge_follows_its_own_jobs_then_those_of_others(capsys):
    jobs = [Train("d", method, judge, 0) for judge in ("slow", "quick") for method in "ab"]
    progress = Progress([Step(job, False, 10.0, False) for job in jobs])
    for job, seconds in zip(jobs, (40.0, 60.0, 5.0, 5.0), strict=True):
        progress.ended(job, seconds, 1)
    left = [line.split("about ")[1] for line in capsys.readouterr().err.splitlines()]
    assert left == ["40 s left", "120 s left", "100 s left", "5 s left", "0 s left"]


def test_guesses_count_images_by_their_pixels(make_recipe, tmp_path):
    bench = Workspace(make_recipe(), tmp_path)
    found = {job.id: job.units for job in make_jobs(bench)}
    dataset = bench.dataset("tiny").dataset
    assert found["fuse tiny average"] == pytest.approx(
        sum(w * h for w, h in (pair.size for pair in dataset.pairs)) / 307200
    )


def test_best_and_second_are_marked(tmp_path, capsys, finished, make_recipe):
    values = pd.Series({"a": 0.5, "b": 0.75, "c": 0.25})
    assert printing._marked(values, "b", 4) == "[bold]0.7500[/bold]"
    assert printing._marked(values, "a", 2) == "[underline]0.50[/underline]"
    assert printing._marked(values, "c", 3) == "0.250"
    assert printing._marked(values, "d", 3) == "-"
    folder = finished(tmp_path / "run", make_recipe())
    capsys.readouterr()
    printing.print_results(folder, ["average", "visible"], "average")
    out = capsys.readouterr().out
    assert "tiny, frozen places, truth fusion" in out
    assert "tiny, frozen places, truth infrared" in out
    assert "│ infrared" not in out  # not asked for
    assert "80 % power" in out
