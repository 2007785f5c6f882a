import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fuse2task.cli.detection import app
from fuse2task.runtime.errors import RequestError


def run(*arguments: object) -> str:
    """Standard output of the command; its errors are raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "120"})
    if result.exception:
        raise result.exception
    return result.stdout


@pytest.mark.slow
def test_train_predict_eval(toy_fused: Callable[..., Path], tmp_path: Path) -> None:
    data, model, dets = toy_fused(train=4, val=2), tmp_path / "run" / "best.safetensors", tmp_path / "dets.json"
    settings = ("image_size=64", "epochs=1", "batch=4", "device=cpu")
    out = run("train", "detection/yolo-n-demo", f"data={data}", *settings, "-o", tmp_path / "run")
    assert "best.safetensors" in out
    assert "not COCO AP" in out
    assert "boxes" in run("predict", "--weights", model, "--data", data, "--split", "val", "-o", dets)
    truth = data / "annotations" / "val.json"
    run("eval", "--truth", truth, "--predictions", dets, "-o", tmp_path / "from_files.json")
    out = run("eval", "--weights", model, "--data", data, "--split", "val", "-o", tmp_path / "direct.json")
    assert (tmp_path / "direct.json").read_bytes() == (tmp_path / "from_files.json").read_bytes()
    metrics = json.loads((tmp_path / "direct.json").read_text())
    assert {"AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR100", "images", "per_class"} < metrics.keys()
    assert metrics["images"] == 2
    assert "AP50 (%)" in out
    assert "pole" in out
    assert "101 recall points" in out


def truth_and_predictions(folder: Path) -> tuple[Path, Path]:
    truth, dets = folder / "gt.json", folder / "dets.json"
    names = ("People", "Car", "Bus", "Motorcycle", "Lamp", "Truck")
    boxes = [{"image_id": 1, "category_id": kind, "bbox": [10 * kind, 0, 9, 40]} for kind in (1, 5)]
    content = {
        "images": [{"id": 1}],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
        "annotations": boxes,
    }
    truth.write_text(json.dumps(content))
    dets.write_text(json.dumps([{**boxes[0], "score": 0.5}]))
    return truth, dets


def test_eval_of_files_with_a_class_map(tmp_path: Path) -> None:
    truth, dets = truth_and_predictions(tmp_path)
    metrics = tmp_path / "metrics.json"
    out = run("eval", "--truth", truth, "--predictions", dets, "-o", metrics)
    assert json.loads(metrics.read_text())["AP"] == pytest.approx(0.5)
    assert "50.00" in out
    out = run("eval", "--truth", truth, "--predictions", dets, "--class-map", "m3fd-coco", "-o", metrics)
    content = json.loads(metrics.read_text())
    assert content["AP"] == pytest.approx(1.0)
    assert content["per_class"]["Lamp"]["AP"] is None
    assert "Lamp" in content["definition"]
    assert "100.00" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "either"),
        (("--truth", "a.json", "--weights", "b.pt"), "either"),
        (("--truth", "a.json"), "needed together"),
        (("--weights", "b.pt", "--data", "OUT"), "needed together"),
        (("--truth", "absent.json", "--predictions", "absent.json"), "absent.json: no such COCO truth file"),
    ],
)
def test_wrong_requests(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        run("eval", *arguments, "-o", tmp_path / "metrics.json")
    assert not (tmp_path / "metrics.json").exists()


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from fuse2task.cli.detection import app\n"
        "assert CliRunner().invoke(app, ['eval', '--help']).exit_code == 0\n"
        "print(sorted({'torch', 'ultralytics', 'pandas', 'pycocotools'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
