"""`--json`: the same rows as the table, and nothing else on standard output; doctor; shell completion."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fuse2task
from fuse2task.data.images import write_image


@pytest.fixture
def masks(tmp_path):
    import numpy as np

    rng = np.random.default_rng(0)
    for folder in ("labels", "predictions"):
        write_image(tmp_path / folder / "a.png", rng.integers(0, 2, (8, 8), dtype=np.uint8))
    return tmp_path


@pytest.fixture
def boxes(tmp_path):
    images = [{"id": 1, "file_name": "a.png", "width": 100, "height": 100}]
    categories = [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}]
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20]}
    truth = {"images": images, "categories": categories, "annotations": [box]}
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "dets.json").write_text(json.dumps([{**box, "score": 0.9}]))
    return tmp_path


def test_segmentation_eval(run_cli, masks):
    folders = ("--labels", masks / "labels", "--predictions", masks / "predictions", "-o", masks / "m.json")
    assert run_cli("segmentation", "eval", *folders, "--json") == 0
    assert json.loads(run_cli.output) == json.loads((masks / "m.json").read_text())


def test_detection_eval(run_cli, boxes):
    files = ("--truth", boxes / "gt.json", "--predictions", boxes / "dets.json", "-o", boxes / "m.json")
    assert run_cli("detection", "eval", *files, "--json") == 0
    found = json.loads(run_cli.output)
    assert found == json.loads((boxes / "m.json").read_text())
    assert found["per_class"]["car"]["AP"] == pytest.approx(1)
    assert found["per_class"]["bus"]["AP"] is None


def test_score_and_explain(run_cli, folder_dataset, tmp_path):
    root = folder_dataset(2)
    folders = ("--ir", root / "ir", "--visible", root / "vi", "--fused", f"same={root / 'ir'}")
    assert run_cli("fusion", "score", *folders, "--scores", "EN,MI", "-o", tmp_path / "s.csv", "--json") == 0
    found = json.loads(run_cli.output)
    assert found == json.loads((tmp_path / "s.json").read_text())
    assert set(found["methods"]["same"]) == {"EN", "MI"}
    assert run_cli("fusion", "score", "--explain", "en", "--profile", "standard", "--json") == 0
    assert json.loads(run_cli.output)["EN"]["standard"]["better"] == "higher"


def test_weights(run_cli):
    assert run_cli("fusion", "weights", "--json") == 0
    rows = json.loads(run_cli.output)["weights"]
    assert [row["name"] for row in rows] == ["crossfuse-plus", "crossfuse-task"]
    for row in rows:
        data = Path(row["file"]).read_bytes()
        assert (row["bytes"], row["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert run_cli("fusion", "weights") == 0
    told = [f"{row['name']}  {row['bytes'] / 1e6:.1f} MB  {row['summary']}" for row in rows]
    assert run_cli.output.splitlines() == told


def test_doctor(run_cli):
    assert run_cli("doctor", "--json") == 0
    found = json.loads(run_cli.output)
    assert found["versions"]["fuse2task"] == fuse2task.__version__
    assert found["machine"]["processors"] >= 1
    assert found["extras"].keys() >= {"onnx", "hub", "ray", "serve"}
    assert "bench/synthetic" in found["recipes"]["bench"]
    assert "AGPL-3.0" in found["licence"]
    assert run_cli("doctor") == 0
    for text in ("free in this folder", "never used", "fuse2task.methods"):
        assert text in " ".join(run_cli.output.split())


def test_doctor_names_what_is_missing(run_cli, monkeypatch):
    monkeypatch.setattr("fuse2task.cli.doctor.EXTRAS", {"onnx": ("a_module_that_is_not_there",)})
    assert run_cli("doctor", "--json") == 0
    extras = json.loads(run_cli.output)["extras"]
    assert extras == {"onnx": "a_module_that_is_not_there missing; pip install 'fuse2task[onnx]'"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes(shell):
    """What the shell's completion script asks for: the words of the line, answered by the command."""
    command = Path(sys.executable).with_name("fuse2task")
    if not command.is_file():
        pytest.skip("the console command is not installed beside this Python")
    ask = {"COMP_WORDS": "fuse2task fusion ex", "COMP_CWORD": "2"} if shell == "bash" else {}
    ask |= {"_TYPER_COMPLETE_ARGS": "fuse2task fusion ex", "_FUSE2TASK_COMPLETE": f"complete_{shell}"}
    ask |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run([command], env=os.environ | ask, capture_output=True, text=True, timeout=60, check=False)
    assert "export" in done.stdout
    assert "score" not in done.stdout
