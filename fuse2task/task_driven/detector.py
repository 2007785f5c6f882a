"""A frozen detector as a loss: how hard it finds the boxes in images that were made to be seen by it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from detection.weights import load_network
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.offline import quiet_ultralytics
from fuse2task.task_driven.onnx_weights import load_onnx_network

GAINS = {"box": 7.5, "cls": 0.5, "dfl": 1.5}  # Ultralytics' defaults


class DetectionLoss(nn.Module):
    """Ultralytics' training loss of a frozen YOLO detector whose head keeps the classes of the truth alone.

    Other classes are left out because nobody has drawn their boxes: punishing the detector's bus where the truth
    knows cars only would teach the fusion network to hide it.

    Raises:
        RequestError: unreadable weights, an end-to-end detector, a truth class that the detector lacks.
    """

    def __init__(self, weights: Path, classes: tuple[str, ...]):
        super().__init__()
        quiet_ultralytics()
        from ultralytics.utils.loss import v8DetectionLoss

        network = load_onnx_network(weights) if weights.suffix == ".onnx" else load_network(weights)
        lacking = [name for name in classes if name not in network.names]
        if lacking:
            raise RequestError(
                f"{weights}: the detector does not know {', '.join(lacking)}; it has {', '.join(network.names)}"
            )
        module: Any = network.module.eval().requires_grad_(False)
        head = module.model[-1]
        if getattr(head, "end2end", False):
            raise RequestError(f"{weights}: an end-to-end detector has no such loss; give a YOLOv8 or YOLO11")
        _keep_classes(head, [network.names.index(name) for name in classes])
        module.args = SimpleNamespace(**GAINS)
        self.module, self.head = module, head
        self.criterion = v8DetectionLoss(module)

    def train(self, mode: bool = True) -> "DetectionLoss":
        """Stay frozen; the head alone is in training mode, in which it gives what the loss needs."""
        super().train(False)
        self.head.train()
        return self

    def forward(self, rgb: Tensor, boxes: Tensor) -> Tensor:
        """Mean loss an image (box + class + dfl with Ultralytics' gains).

        rgb: (B, 3, H, W) in [0, 1], sides divisible by 32. boxes: (B, N, 5) with class index (-1: no box),
        then centre x, centre y, width, height as fractions of the image.
        """
        image, place = torch.nonzero(boxes[..., 0] >= 0, as_tuple=True)
        chosen = boxes[image, place]
        batch = {"batch_idx": image.float(), "cls": chosen[:, :1], "bboxes": chosen[:, 1:]}
        loss, _ = self.criterion(self.module(rgb), batch)  # Ultralytics sums over the batch
        return loss.sum() / len(rgb)


def _keep_classes(head: Any, classes: list[int]) -> None:
    for branch in head.cv3:
        wide = branch[-1]
        narrow = nn.Conv2d(wide.in_channels, len(classes), 1)
        narrow.load_state_dict({"weight": wide.weight[classes], "bias": wide.bias[classes]})
        branch[-1] = narrow.requires_grad_(False)
    head.nc, head.no = len(classes), len(classes) + 4 * head.reg_max
