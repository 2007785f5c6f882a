"""Detectors of several YOLO generations as judges: saved without pickle, loaded, asked."""

from pathlib import Path

import numpy as np
import pytest
import torch

from detection.judge import load_judge
from detection.weights import FORMAT
from fuse2task.runtime.checkpoints import save_checkpoint
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
