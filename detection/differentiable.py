"""Detectors that gradients pass through: Ultralytics' training loss of a frozen YOLO, from our files or ONNX."""

import ast
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from detection.weights import Network, load_network
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.packages import quiet_ultralytics

GAINS = {"box": 7.5, "cls": 0.5, "dfl": 1.5}  # Ultralytics' defaults


class DetectionLoss(nn.Module):
    """Ultralytics' training loss of a frozen YOLO detector whose head keeps the classes of the truth alone.

    Other classes are left out because nobody has drawn their boxes: punishing the detector's bus where the truth
    knows cars only would teach the fusion network to hide it. RequestError: unreadable weights, an end-to-end
    detector, a truth class that the detector lacks.
    """

    def __init__(self, weights: Path, classes: tuple[str, ...]):
        super().__init__()
        quiet_ultralytics()
        from ultralytics.utils.loss import v8DetectionLoss

        network = load_onnx_network(weights) if weights.suffix == ".onnx" else load_network(weights)
        if lacking := ", ".join(name for name in classes if name not in network.names):
            raise RequestError(f"{weights}: the detector does not know {lacking}; it has {', '.join(network.names)}")
        module: Any = network.module.eval().requires_grad_(False)
        head = module.model[-1]
        if getattr(head, "end2end", False):
            raise RequestError(f"{weights}: an end-to-end detector has no such loss; give a YOLOv8 or YOLO11")
        _keep_classes(head, [network.names.index(name) for name in classes])
        module.args = SimpleNamespace(**GAINS)
        self.module, self.head = module, head
        self._make_criterion: Any = v8DetectionLoss
        self._criterion: Any = None  # bound to the device of the images
        self.train()

    def train(self, mode: bool = True) -> "DetectionLoss":
        """Stay frozen; the head alone is in training mode, in which it gives what the loss needs."""
        super().train(False)
        self.head.train()
        return self

    def forward(self, rgb: Tensor, boxes: Tensor) -> Tensor:
        """Mean loss an image (box + class + dfl with Ultralytics' gains). rgb: (B, 3, H, W) in [0, 1], sides divisible
        by 32. boxes: (B, N, 5) with class index (-1: no box), then centre x, centre y, width, height as fractions of
        the image."""
        if self._criterion is None or self._criterion.device != rgb.device:
            self._criterion = self._make_criterion(self.module.to(rgb.device))
        image, place = torch.nonzero(boxes[..., 0] >= 0, as_tuple=True)
        chosen = boxes[image, place]
        batch = {"batch_idx": image.float(), "cls": chosen[:, :1], "bboxes": chosen[:, 1:]}
        loss, _ = self._criterion(self.module(rgb), batch)  # Ultralytics sums over the batch
        return loss.sum() / len(rgb)


def _keep_classes(head: Any, classes: list[int]) -> None:
    for branch in head.cv3:
        wide = branch[-1]
        narrow = nn.Conv2d(wide.in_channels, len(classes), 1)
        narrow.load_state_dict({"weight": wide.weight[classes], "bias": wide.bias[classes]})
        branch[-1] = narrow.requires_grad_(False)
    head.nc, head.no = len(classes), len(classes) + 4 * head.reg_max


def load_onnx_network(path: Path) -> Network:
    """The network of an exported YOLO detector as a PyTorch module with folded batch norms, in eval mode.

    Weights quantised to 8 bits are turned back into fp32 (value = (q - zero point) * scale, as ONNX defines
    DequantizeLinear); activations are then not quantised, so that outputs differ a little from onnxruntime's.
    RequestError: not such a file, or its weights do not fit the architecture that it names.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise RequestError(f"{path}: reading it needs onnx; `pip install fuse2task[onnx]` brings it") from None
    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel

    try:
        model = onnx.load(str(path), load_external_data=False)
        about = {item.key: item.value for item in model.metadata_props}
        names = ast.literal_eval(about["names"])
        (side, _) = ast.literal_eval(about["imgsz"])
        architecture = re.findall(r"YOLO(v?\d+[nsmlx])\b", about["description"])[0]
        values = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
        ordered = tuple(str(names[index]) for index in sorted(names))
        module = DetectionModel(f"yolo{architecture}.yaml", nc=len(names), verbose=False).fuse(verbose=False)
    except Exception as error:  # whatever a foreign file makes the libraries raise is one thing to the user
        raise RequestError(f"{path}: not a YOLO detector exported by Ultralytics ({error})") from None
    try:
        module.load_state_dict({name: torch.from_numpy(_tensor(values, name)) for name in module.state_dict()})
    except (KeyError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise RequestError(f"{path}: its weights do not fit yolo{architecture} ({reason})") from None
    return Network(module.float().eval(), ordered, int(side))


def _tensor(values: dict[str, np.ndarray], name: str) -> np.ndarray:
    if name in values:
        return np.array(values[name], dtype=np.float32)
    quantised, scale, zero = (values[f"{name}_{part}"] for part in ("quantized", "scale", "zero_point"))
    shape = (-1,) + (1,) * (quantised.ndim - 1)  # one scale for all, or one for each output channel
    return (quantised.astype(np.float32) - zero.astype(np.float32).reshape(shape)) * scale.reshape(shape)
