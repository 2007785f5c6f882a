"""Whether the architecture in a checkpoint's metadata is one of Ultralytics' networks, of the size of its weights."""

import copy
from collections.abc import Mapping
from typing import Any

import torch

MOST_LAYERS, MOST_REPEATS = 500, 100
# Layers that fetch weights from the network when they are built.
FETCHING = {"TorchVision", "CLIP", "MobileCLIP"}


def check_architecture(model: Any, classes: int, tensors: Mapping[str, torch.Tensor]) -> None:
    """Refuse an architecture whose layers are unknown, too many, or not those of `tensors`, before any is made.

    The layers are laid out on PyTorch's meta device, which takes no memory.

    Args:
        model: Ultralytics' model file as a mapping, with backbone and head.
        classes: number of classes. tensors: the weights, named as in DetectionModel.

    Raises:
        ValueError: refused; what Ultralytics' parser raises for other mistakes passes through.
    """
    from ultralytics.nn import modules
    from ultralytics.nn.tasks import parse_model

    known = set(modules.__all__) - FETCHING
    rows = [*model["backbone"], *model["head"]]
    if len(rows) > MOST_LAYERS:
        raise ValueError(f"{len(rows)} layers")
    for _, repeats, name, _ in rows:
        if name not in known and not name.startswith(("nn.", "torchvision.ops.")):
            raise ValueError(f"unknown layer {str(name)[:60]}")
        if not 0 < repeats <= MOST_REPEATS:
            raise ValueError(f"{str(repeats)[:60]} repeats of a layer")
    scaled = [model.get("depth_multiple", 1.0), *(row[0] for row in dict(model.get("scales") or {}).values())]
    if not all(0 < depth <= 10 for depth in scaled):
        raise ValueError(f"depth multiple {scaled}")
    with torch.device("meta"):
        layers, _ = parse_model({**copy.deepcopy(model), "nc": classes}, ch=3, verbose=False)
    shapes = {f"model.{name}": value.shape for name, value in layers.state_dict().items()}
    if shapes != {name: value.shape for name, value in tensors.items()}:
        raise ValueError("its architecture is not that of its weights")
