"""A whole frozen benchmark on a tiny dataset: numbers, what is written, going on, shards, folds, dry run."""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fuse2task.bench.api import Resources, report_bench, run_bench
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.results.schema import RESULTS
from fuse2task.results.tables import ResultsTable
from fuse2task.runtime.errors import RequestError
from fusion.dataset_writer import Shard


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def coco_stats(truth: Path, results: Path, images: list[int] | None = None) -> np.ndarray:
    """The twelve numbers of pycocotools, on some images."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with redirect_stdout(io.StringIO()):
        ground = COCO(str(truth))
        run = COCOeval(ground, ground.loadRes(str(results)), "bbox")
        run.params.imgIds = images or run.params.imgIds
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats


def number(frame: pd.DataFrame, **wanted: str) -> float:
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1
    return float(frame["value"].iloc[0])


def test_values_are_those_of_pycocotools(tmp_path, finished, make_recipe):
    folder = finished(tmp_path / "run", make_recipe())
    table = ResultsTable(folder).read()
    assert tuple(table.columns) == RESULTS
    assert list(dict.fromkeys(table["method"])) == ["visible", "infrared", "average"]
    truths = json.loads((folder / "truths.json").read_text())
    names = {about["name"]: key for key, about in truths.items()}
    assert {name: truths[key]["primary"] for name, key in names.items()} == {"fusion": True, "infrared": False}
    for method in ("visible", "infrared", "average"):
        fused = folder / "fused" / "tiny" / method
        dets = folder / "predictions" / "tiny" / method / "places" / "dets.json"
        annotations = fused / "annotations" / "test.json"
        other = folder / "truth" / "tiny" / "infrared" / "test.json"
        night = [
            image["id"]
            for image in json.loads(annotations.read_text())["images"]
            if image["file_name"].endswith("N.png")
        ]
        for truth, file, condition, images in (
            ("fusion", annotations, "all", None),
            ("fusion", annotations, "night", night),
            ("infrared", other, "all", None),
        ):
            stats = coco_stats(file, dets, images)
            key = {"method": method, "truth_hash": names[truth], "condition": condition, "class": "all"}
            assert number(table, metric="AP", **key) == pytest.approx(stats[0], abs=1e-9)
            assert number(table, metric="AP50", **key) == pytest.approx(stats[1], abs=1e-9)
    small = number(
        table, method="average", truth_hash=names["fusion"], metric="AP", condition="small", **{"class": "all"}
    )
    everything = number(
        table, method="average", truth_hash=names["fusion"], metric="AP", condition="all", **{"class": "all"}
    )
    assert small == everything  # all boxes are 16x16
    assert not table[(table["condition"] == "large")].size
    assert set(table[table["truth_hash"] == names["infrared"]]["class"]) == {"all", "person"}  # it has no cars
    inside = table.dropna(subset=["ci_low"])
    assert len(inside)
    assert (inside["ci_low"] <= inside["ci_high"]).all()
    assert set(table["n_images"]) == {6, 12}


def test_comparisons_are_paired_differences(tmp_path, finished, make_recipe):
    folder = finished(tmp_path / "run", make_recipe())
    table = ResultsTable(folder).read()
    pairs = pd.read_csv(folder / "comparisons.csv", keep_default_na=False, dtype={"seeds": int})
    names = {"visible", "infrared", "average"}  # the baseline, and both single cameras
    assert {base: set(rows["a"]) for base, rows in pairs.groupby("b")} == {base: names - {base} for base in names}
    keys = ["truth_hash", "metric", "class", "condition"]
    values = table.set_index([*keys, "method"])["value"]
    for row in pairs.to_dict("records"):
        at = tuple(row[key] for key in keys)
        assert row["difference"] == pytest.approx(values[(*at, row["a"])] - values[(*at, row["b"])], abs=1e-12)
    for _, rows in pairs[pairs["p_value"] != ""].groupby(["b", *keys]):
        p = rows["p_value"].astype(float).to_numpy()
        smaller = min(1.0, len(p) * p.min())
        expected = np.where(p == p.min(), smaller, np.maximum(smaller, p))  # Holm 1979, of two
        assert rows["p_holm"].astype(float).to_numpy() == pytest.approx(expected)
    assert json.loads((folder / "ranking.json").read_text()) == []  # three methods only
    first = json.loads((folder / "extremes.json").read_text())[0]
    assert {"dataset", "task", "judge", "metric", "a", "b", "image", "difference"} <= set(first)


def test_again_does_nothing_and_a_new_method_only_itself(tmp_path, finished, recipe_values, monkeypatch):
    values = recipe_values()
    folder = finished(tmp_path / "run", BenchRecipe.model_validate(values))
    before = content(folder)
    with monkeypatch.context() as patch:
        patch.setattr("fuse2task.bench.scheduler.do", None)
        assert run_bench(BenchRecipe.model_validate(values), folder)
    assert content(folder) == before
    table = ResultsTable(folder).read()
    assert run_bench(BenchRecipe.model_validate(values | {"methods": ["visible", "infrared", "average", "maximum"]}),
                     folder)  # fmt: skip
    longer = ResultsTable(folder).read()
    pd.testing.assert_frame_equal(longer.iloc[: len(table)], table)
    assert set(longer.iloc[len(table) :]["method"]) == {"maximum"}
    openings = pd.read_csv(folder / "openings.csv")
    assert openings["evaluations"].tolist() == [3, 1]
    assert set(openings["split"]) == {"test"}


def test_other_intervals_are_computed_from_the_same_predictions(tmp_path, finished, recipe_values, monkeypatch):
    folder = finished(tmp_path / "run", BenchRecipe.model_validate(recipe_values()))
    before = ResultsTable(folder).read()
    monkeypatch.setattr("fuse2task.tasks.detection.Detection.predict", None)
    wider = {"replicates": 80, "level": 0.99, "seed": 1}
    assert run_bench(BenchRecipe.model_validate(recipe_values(intervals=wider)), folder)
    after = ResultsTable(folder).read()
    assert len(after) == len(before)  # replaced, not added
    assert after["value"].tolist() == before["value"].tolist()
    spread = (after["ci_high"] - after["ci_low"]).mean()
    assert spread > (before["ci_high"] - before["ci_low"]).mean()


def test_shards_together_give_the_same_table(tmp_path, finished, make_recipe):
    recipe = make_recipe()
    whole = finished(tmp_path / "whole", recipe)
    folder = tmp_path / "parts"
    assert not run_bench(recipe, folder, Shard(2, 2))
    part = ResultsTable(folder).read()
    assert set(part["method"]) == {"infrared"}
    assert not (folder / "comparisons.csv").exists()
    assert run_bench(recipe, folder, Shard(1, 2))
    order = list(RESULTS[:-1])
    expected = ResultsTable(whole).read().sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(ResultsTable(folder).read().sort_values(order, ignore_index=True), expected)
    for name in ("comparisons.csv", "extremes.json", "truths.json"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.slow
def test_two_worker_processes_give_the_same_table(tmp_path, finished, make_recipe):
    recipe = make_recipe()
    whole = finished(tmp_path / "whole", recipe)
    assert run_bench(recipe, tmp_path / "two", resources=Resources(device="cpu,cpu:0"))
    rows = (tmp_path / "two" / "results.csv").read_text().splitlines()
    assert sorted(rows) == sorted((whole / "results.csv").read_text().splitlines())


def test_a_closed_test_split_is_not_touched(tmp_path, make_recipe, tiny_source):
    folder = tmp_path / "run"
    recipe = make_recipe(open_test=False)
    assert run_bench(recipe, folder)
    manifest = json.loads((folder / "fused" / "tiny" / "average" / "manifest.json").read_text())
    assert {row["split"] for row in manifest["files"]} == {"train", "fold1of5"}
    assert not {row["id"] for row in manifest["files"]} & {path.stem for path in (tiny_source / "test/vi").iterdir()}
    assert not (folder / "openings.csv").exists()
    assert set(ResultsTable(folder).read()["n_images"]) <= {1, 2}
    with pytest.raises(RequestError, match=r"another .*split"):
        run_bench(make_recipe(), folder)


def test_dry_run_touches_nothing(tmp_path, make_recipe, finished, capsys):
    run_bench(make_recipe(), tmp_path / "new", dry_run=True)
    assert "0 of 6 jobs are done" in capsys.readouterr().out
    assert not (tmp_path / "new").exists()
    folder = finished(tmp_path / "run", make_recipe())
    before = content(folder)
    run_bench(make_recipe(), folder, dry_run=True)
    assert "6 of 6 jobs are done" in capsys.readouterr().out
    assert content(folder) == before


def test_table_of_the_command_and_report(tmp_path, finished, recipe_values, run_cli):
    import yaml

    folder = finished(tmp_path / "run", BenchRecipe.model_validate(recipe_values()))
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(recipe_values()))
    assert run_cli("bench", "run", file, "-o", folder) == 0, run_cli.error
    assert "classes: AP. " in run_cli.output
    assert "opened by 1 recipe in this folder, 3 evaluations" in run_cli.output
    (folder / "comparisons.csv").unlink()
    assert report_bench(folder).is_file()
    assert (folder / "comparisons.csv").is_file()
    assert run_cli("bench", "run", file, "baseline=unknown", "-o", folder) == 2
    assert "baseline: unknown is not among the methods" in run_cli.error


def test_scores_are_means_over_images_and_only_new_methods_are_scored(tmp_path, recipe_values, monkeypatch):
    from fuse2task.data.images import read_visible

    values = recipe_values(scores={"profile": "standard", "names": ["EN", "SD"]}, judges={})
    folder = tmp_path / "run"
    assert run_bench(BenchRecipe.model_validate(values), folder)
    rows = ResultsTable(folder).read()
    assert set(rows["task"]) == {"quality"}
    night = sorted((folder / "fused/tiny/infrared/images/test").glob("*N.png"))
    deviations = [read_visible(path)[..., 0].std() for path in night]
    found = rows[(rows["method"] == "infrared") & (rows["metric"] == "SD") & (rows["condition"] == "night")]
    assert found["value"].iloc[0] == pytest.approx(np.mean(deviations), rel=1e-6)
    assert found["ci_low"].iloc[0] < np.mean(deviations) < found["ci_high"].iloc[0]
    assert (folder / "comparisons.csv").read_text().count("\n") == 1  # scores have no baseline

    asked = []
    import fusion.quality.scorer as scorer

    real = scorer.score_folders
    monkeypatch.setattr(
        scorer, "score_folders", lambda pairs, fused, *a, **k: (asked.extend(fused), real(pairs, fused, *a, **k))
    )
    assert run_bench(BenchRecipe.model_validate(values | {"methods": ["maximum"]}), folder)
    assert asked == ["maximum"]
    scores = pd.read_csv(folder / "scores/tiny/standard.csv")
    assert scores["method"].value_counts().to_dict() == dict.fromkeys(["visible", "infrared", "average", "maximum"], 12)
    assert sorted(path.name for path in (folder / "scores/tiny").iterdir()) == ["standard.csv", "standard.json"]


def test_the_ledger_does_not_forget(tmp_path, finished, make_recipe):
    folder = finished(tmp_path / "run", make_recipe())
    before = (folder / "openings.csv").read_bytes()
    table = (folder / "results.csv").read_text().splitlines(keepends=True)
    kept = [line for line in table if ",average," not in line]
    (folder / "results.csv").write_text("".join(kept))
    assert run_bench(make_recipe(), folder)
    assert (folder / "openings.csv").read_bytes() == before
