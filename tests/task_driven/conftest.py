"""A small untrained detector as a training run would leave it."""

import pytest
import torch

from detection.weights import FORMAT
from fuse2task.runtime.checkpoints import save_checkpoint
from fuse2task.runtime.offline import quiet_ultralytics


@pytest.fixture(scope="session")
def detector_file(tmp_path_factory):
    """Weights of a YOLOv8 of a quarter of n's width, classes car, tree, person."""
    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel, yaml_model_load

    torch.manual_seed(0)
    model = yaml_model_load("yolov8n.yaml") | {"scales": {"n": [0.33, 0.0625, 1024]}, "nc": 3}
    model.pop("yaml_file")
    path = tmp_path_factory.mktemp("detector") / "tiny.safetensors"
    state = DetectionModel(dict(model), nc=3, verbose=False).state_dict()
    about = {"model": model | {"scale": "n"}, "names": ["car", "tree", "person"], "image_size": 64}
    save_checkpoint(path, state, FORMAT, recipe={}, **about)
    return path
