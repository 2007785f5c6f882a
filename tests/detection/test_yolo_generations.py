"""Detectors of several YOLO generations and RT-DETR: trained, saved without pickle, loaded, asked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from detection.judge import load_judge
from detection.recipe import DetectionRecipe
from detection.training import train
from detection.weights import FORMAT
from fuse2task.runtime.checkpoints import load_checkpoint, save_checkpoint
from fuse2task.runtime.packages import quiet_ultralytics


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolov5n", "yolov8n", "yolov9t", "yolov10n", "yolo11n", "yolo12n", "yolo26n"])
def test_a_network_of_each_generation_judges(tmp_path: Path, name: str) -> None:
    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel, yaml_model_load

    torch.manual_seed(0)
    model = yaml_model_load(f"{name}.yaml") | {"nc": 3}
    model.pop("yaml_file", None)
    state = DetectionModel(dict(model), nc=3, verbose=False).half().state_dict()
    path = tmp_path / f"{name}.safetensors"
    save_checkpoint(path, state, FORMAT, model=model, names=["a", "b", "c"], image_size=96, recipe={})
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    boxes = load_judge(path, "cpu").predict(image, [0, 1, 2])
    assert boxes.shape[1] == 6
    assert len(boxes) > 0
    assert (boxes[:, :4] >= 0).all()
    assert (boxes[:, [0, 2]] <= 80).all()
    assert (boxes[:, [1, 3]] <= 60).all()
    assert set(boxes[:, 5]) <= {0, 1, 2}
    np.testing.assert_array_equal(load_judge(path, "cpu").predict(image, [0, 1, 2]), boxes)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolo11n", "yolo12n", "yolo26n", "yolov8n-rtdetr"])
def test_a_network_of_each_generation_trains_from_its_model_file(
    toy_fused: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    """One epoch on two images, offline; RT-DETR then from its own weights, as test_detector_training has YOLO."""
    data, run = toy_fused(train=2, val=1), tmp_path / "run"
    quick = {"image_size": 64, "epochs": 1, "batch": 2, "device": "cpu", "workers": 0, "warmup_epochs": 0}
    first = DetectionRecipe(data=str(data), model=f"{name}.yaml", **quick)
    card = train(first, run)
    assert (card["epochs"], card["classes"]) == (1, ["bar", "pole"])
    found = load_judge(run / "best.safetensors", "cpu").predict(toy_picture(), [0, 1])
    assert found.shape[1] == 6
    assert len(found) > 0
    assert (found[:, :4] >= 0).all()
    assert (found[:, [0, 2]] <= 64).all()
    if name != "yolov8n-rtdetr":
        return
    still = {"weights": str(run / "best.safetensors"), "lr0": 1e-12, "warmup_bias_lr": 0}
    train(first.model_copy(update=still), tmp_path / "again")
    moved, before = (load_checkpoint(folder / "last.safetensors", FORMAT)[0] for folder in (tmp_path / "again", run))
    names = [name for name in before if name.endswith("conv.weight")]
    assert names
    assert all(torch.equal(moved[name], before[name]) for name in names)


def test_rtdetr_judges_in_pixels_without_suppression(tmp_path: Path) -> None:
    """Against Ultralytics' own validator, which turns fractions of the input into pixels."""
    quiet_ultralytics()
    from ultralytics.nn.tasks import RTDETRDetectionModel, yaml_model_load
    from ultralytics.utils.ops import xywh2xyxy

    torch.manual_seed(0)
    model = yaml_model_load("yolov8n-rtdetr.yaml") | {"nc": 2}
    model.pop("yaml_file", None)
    network = RTDETRDetectionModel(dict(model), nc=2, verbose=False).half().float().eval()
    path, image = tmp_path / "rtdetr.safetensors", toy_picture()
    about = {"model": model, "names": ["a", "b"], "image_size": 64, "recipe": {}}
    save_checkpoint(path, network.state_dict(), FORMAT, **about)
    with torch.inference_mode():
        (raw,) = network(torch.from_numpy(image[..., ::-1].transpose(2, 0, 1).copy())[None].float() / 255)[0]
    found = load_judge(path, "cpu").predict(image, [0, 1])
    expected = (xywh2xyxy(raw[:, :4]) * 64).clamp(0, 64)
    apart = torch.cdist(torch.from_numpy(found[:, :4]), expected)  # equal scores come in any order
    assert apart.shape[0] == apart.shape[1] > 0
    assert float(apart.amin(0).max()) < 0.05
    assert float(apart.amin(1).max()) < 0.05
    np.testing.assert_allclose(found[:, 4], raw[:, 4], atol=1e-4)


def toy_picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
