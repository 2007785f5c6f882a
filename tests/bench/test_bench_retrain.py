"""Judges trained by the benchmark: both tasks, seeds, a judge frozen after one training, kill and resume, Ray."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from fuse2task.bench.api import Resources, run_bench
from fuse2task.bench.engines import OnRay
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.data.images import read_mask
from fuse2task.results.schema import RESULTS
from fuse2task.results.tables import ResultsTable

YOLO = {"image_size": 64, "epochs": 1, "batch": 4}


def judge(task: str, recipe: str, protocol: str = "retrain", **more: Any) -> dict[str, Any]:
    return {"task": task, "protocol": protocol, "recipe": recipe, **more}


@pytest.fixture
def values(recipe_values, tiny_masks) -> dict[str, Any]:
    base = recipe_values()
    unet = judge("segmentation", "segmentation/unet-demo", overrides={"epochs": 1, "crop": [64, 64], "batch": 2})
    yolo = judge("detection", "detection/yolo-n-demo", "frozen", overrides=YOLO, trained_on="average")
    tiny = {key: value for key, value in base["datasets"]["tiny"].items() if key != "truths"}
    return base | {
        "datasets": {"tiny": tiny, "masks": {"root": str(tiny_masks), "layout": "msrs"}},
        "judges": {"unet": unet, "yolo-on-average": yolo},
        "seeds": [0, 1],
    }


@pytest.mark.slow
def test_both_tasks_with_trained_judges(tmp_path, values, monkeypatch, capsys):
    recipe, folder = BenchRecipe.model_validate(values), tmp_path / "run"
    assert run_bench(recipe, folder)
    assert ", 2 seeds" in capsys.readouterr().out
    table = ResultsTable(folder).read()
    frozen, trained = table[table["judge"] == "yolo-on-average"], table[table["judge"] == "unet"]
    assert set(frozen["seed"]) == set(trained["seed"]) == {"0", "1"}
    assert frozen["judge_hash"].nunique() == trained["judge_hash"].nunique() == 1
    assert {path.name for path in (folder / "judges" / "tiny").iterdir()} == {"average"}  # trained for all
    runs = {path.name for path in (folder / "judges" / "tiny" / "average").iterdir()}
    assert runs == {"yolo-on-average-s0", "yolo-on-average-s1"}
    assert set(trained["condition"]) == {"all", "day", "night"}

    torchmetrics = pytest.importorskip("torchmetrics.functional.classification")
    import torch

    fused, masks = folder / "fused/masks/average/masks/test", folder / "predictions/masks/average/unet-s1/masks"
    names = sorted(path.name for path in fused.iterdir())
    truth, found = (torch.from_numpy(np.stack([read_mask(root / name) for name in names])) for root in (fused, masks))
    own = trained[(trained["method"] == "average") & (trained["seed"] == "1") & (trained["condition"] == "all")]
    per_class = own[own["metric"] == "IoU"].set_index("class")["value"]
    expected = torchmetrics.multiclass_jaccard_index(found, truth, num_classes=9, average=None).numpy()
    order = ["background", "car", "person", "bike", "curve", "car_stop", "guardrail", "color_cone", "bump"]
    for name, iou in zip(order, expected, strict=True):
        assert per_class.get(name, 0.0) == pytest.approx(iou, abs=1e-6)  # no row: the class is nowhere

    pairs = pd.read_csv(folder / "comparisons.csv")
    seeds = pairs[(pairs["judge"] == "unet") & (pairs["metric"] == "aAcc") & (pairs["condition"] == "all")]
    assert set(seeds["seeds"]) == {2}
    accuracy = trained[(trained["metric"] == "aAcc") & (trained["condition"] == "all")]
    means = accuracy.groupby("method")["value"].mean()
    for row in seeds.to_dict("records"):
        assert row["difference"] == pytest.approx(means[row["a"]] - means[row["b"]], abs=1e-12)

    # A finished training is taken over: by whatever path the folder is called, on whatever device.
    (folder / "results.csv").unlink()
    monkeypatch.setattr("segmentation.training.train", None)
    monkeypatch.setattr("detection.training.train", None)
    monkeypatch.chdir(tmp_path)
    assert run_bench(recipe, Path("run"), resources=Resources(device="cpu"))
    pd.testing.assert_frame_equal(ResultsTable(folder).read(), table)


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_table(tmp_path, values):
    values["judges"].pop("yolo-on-average")
    values["datasets"].pop("tiny")
    file, whole, killed = tmp_path / "recipe.yaml", tmp_path / "whole", tmp_path / "killed"
    file.write_text(yaml.safe_dump(values))
    assert run_bench(BenchRecipe.model_validate(values), whole)
    command = [sys.executable, "-m", "fuse2task.cli.main", "bench", "run", file, "-o", killed]
    script = "import sys; from fuse2task.cli.main import run; run(sys.argv[1:])"
    command[1:3] = ["-c", script]
    # Killed while fusing, while training, and after some results; then left alone.
    for sign in ("fused/masks/infrared/images", "judges/masks/visible/unet-s1/resume", "results.csv"):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not (killed / sign).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert (killed / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()
    assert (killed / "comparisons.csv").read_bytes() == (whole / "comparisons.csv").read_bytes()


@pytest.fixture
def two_nodes(monkeypatch):
    """Address of a Ray cluster of two nodes on this machine, one CPU each."""
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")  # socket paths must be short
    utilities = pytest.importorskip("ray.cluster_utils")
    cluster = utilities.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster.address
    cluster.shutdown()


@pytest.mark.slow
def test_two_ray_nodes_give_the_same_table(tmp_path, recipe_values, finished, two_nodes, monkeypatch):
    slots, made = [], OnRay.__init__
    monkeypatch.setattr(OnRay, "__init__", lambda engine, *given: made(engine, *given) or slots.append(engine.slots))
    recipe = BenchRecipe.model_validate(recipe_values())
    whole = finished(tmp_path / "whole", recipe)
    assert run_bench(recipe, tmp_path / "ray", resources=Resources("ray", cpus=1.0, address=two_nodes))
    assert slots == [2]  # with one CPU a node, jobs at the same time are on both
    order = list(RESULTS[:-1])
    tables = [ResultsTable(root).read().sort_values(order, ignore_index=True) for root in (tmp_path / "ray", whole)]
    pd.testing.assert_frame_equal(*tables)
    assert (tmp_path / "ray" / "comparisons.csv").read_bytes() == (whole / "comparisons.csv").read_bytes()
