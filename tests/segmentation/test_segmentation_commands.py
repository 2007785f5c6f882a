import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.classification import MulticlassJaccardIndex
from typer.testing import CliRunner

from fuse2task.cli.segmentation import app
from fuse2task.config.recipes import load_recipe, shipped_recipes
from fuse2task.runtime.errors import RequestError
from segmentation.recipe import SegmentationRecipe


def call(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_train_predict_eval(make_fused, tmp_path):
    data, run = make_fused(train=4, val=1, test=2), tmp_path / "run"
    small = ["epochs=1", "batch=2", "crop=[64, 64]", "augmentation.scale=[1, 1]", "device=cpu"]
    assert "best.safetensors" in call("train", "segmentation/unet-demo", f"data={data}", *small, "-o", run)
    predictions = tmp_path / "p"
    best = run / "best.safetensors"
    call("predict", "--checkpoint", best, "--data", data, "--split", "test", "--device", "cpu", "-o", predictions)
    (tmp_path / "classes.txt").write_text("background\ncar\nperson\n")
    labels, metrics = data / "masks" / "test", tmp_path / "metrics.json"
    shown = call(
        "eval", "--labels", labels, "--predictions", predictions, "--classes", tmp_path / "classes.txt", "-o", metrics
    )
    found = json.loads(metrics.read_text())
    assert list(found["per_class"]) == ["background", "car", "person"]
    assert found["definition"] in shown
    assert all(name in shown for name in ("car", "mIoU", "2 images"))
    stacks = [
        torch.from_numpy(np.stack([np.asarray(Image.open(folder / f"test00{i}.png")) for i in range(2)])).int()
        for folder in (predictions, labels)
    ]
    assert found["mIoU"] == pytest.approx(MulticlassJaccardIndex(3)(*stacks).item(), abs=1e-6)


@pytest.mark.parametrize("name", shipped_recipes("segmentation"))
def test_shipped_recipes_are_valid_and_name_networks_that_exist(name):
    from segmentation.model import build_model

    recipe = load_recipe(SegmentationRecipe, name, ["data=x"])
    network = build_model(recipe.architecture, recipe.encoder, 9).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 64, 96)).shape == (1, 9, 64, 96)


def test_four_recipes_are_shipped():
    assert len(shipped_recipes("segmentation")) == 4


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["crop=[60, 64]"], "multiples of 32"), (["batch=1"], "batch: "), (["epochs=0"], "epochs: "),
        (["loss.ce=0", "loss.dice=0"], "nothing to learn"), (["augmentation.scale=[2, 1]"], "low <= high"),
        (["colour=1"], "colour: "),
    ],
)  # fmt: skip
def test_bad_values_are_refused_by_name(overrides, told):
    with pytest.raises(RequestError, match=told):
        load_recipe(SegmentationRecipe, "segmentation/unet-demo", ["data=x", *overrides])


def test_help_loads_no_heavy_library():
    heavy = ("torch", "cv2", "albumentations", "segmentation_models_pytorch", "pandas", "ultralytics")
    code = f"import sys, fuse2task.cli.segmentation; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
