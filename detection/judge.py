"""A judge: a fixed detector that predicts one image a call, always in the same way."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from detection.weights import load_network
from fuse2task.runtime.device import pick_device
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.hashing import file_digest
from fuse2task.runtime.offline import quiet_ultralytics
from fuse2task.runtime.reading import check_regular

CONFIDENCE = 0.001  # Ultralytics' own for validation: AP needs the whole precision-recall curve
NMS_IOU = 0.7
MAX_BOXES = 300
MAX_BYTES = 2**30  # of a weights file
SIDES = (32, 4096)  # pixels; of the square that a judge may ask for


class Forward(Protocol):
    """Raw YOLO output, (1, 4 + classes, boxes) or end to end (1, boxes, 6), of (1, 3, S, S) RGB in [0, 1]."""

    def __call__(self, image: torch.Tensor) -> torch.Tensor: ...


class Judge:
    """Detector weights with what prediction needs.

    names: classes in index order. image_size: side of the square letterbox in pixels. hash: first 12 hex
    digits of the sha256 of the weights file. source: what messages call it, its file.
    """

    def __init__(
        self,
        forward: Forward,
        names: Sequence[str],
        image_size: int,
        digest: str,
        device: torch.device,
        source: object = "the judge",
    ):
        quiet_ultralytics()
        from ultralytics.data.augment import LetterBox

        self._forward, self._device, self._source = forward, device, source
        self.names, self.image_size, self.hash = tuple(names), image_size, digest
        self._letterbox = LetterBox((image_size, image_size), auto=False)

    def predict(self, image: np.ndarray, classes: Sequence[int]) -> np.ndarray:
        """Boxes in one image, best first.

        Equal to Ultralytics' predictor with rect off, conf 0.001, iou 0.7, max_det 300: square letterbox, one
        class a box, other classes removed before suppression, boxes clipped to the image.

        Args:
            image: (H, W, 3) uint8 BGR.
            classes: judge class indices to keep.

        Returns:
            (N, 6) float32 with x1, y1, x2, y2 in pixels of `image`, score, class index; N <= 300.

        Raises:
            Fuse2TaskError: the network gave NaN or infinite values.
        """
        from ultralytics.utils.nms import non_max_suppression
        from ultralytics.utils.ops import scale_boxes

        square = self._letterbox(image=image)
        tensor = torch.from_numpy(np.ascontiguousarray(square[..., ::-1].transpose(2, 0, 1))[None])
        with torch.inference_mode():
            raw = self._forward(tensor.to(self._device).float() / 255)
            if not bool(torch.isfinite(raw).all()):  # suppression would drop such boxes without a word
                raise Fuse2TaskError(
                    f"{self._source}: gave values that are not finite; the weights are damaged or overflow"
                )
            found = non_max_suppression(raw, CONFIDENCE, NMS_IOU, classes=list(classes), max_det=MAX_BOXES)[0]
            found[:, :4] = scale_boxes(square.shape[:2], found[:, :4], image.shape[:2])
        return found.cpu().numpy()


def load_judge(path: Path, device: str = "auto") -> Judge:
    """The judge in a weights file: `.onnx`, `.pt`, or `.safetensors` of a training run.

    Args:
        path: the weights; a frozen COCO judge, or best.safetensors of a run.
        device: as in `pick_device`; ONNX judges run on the CPU.

    Raises:
        RequestError: no such file, unreadable, not a detector, a pickle that the user has not said to trust, or an
            ONNX judge without onnxruntime.
    """
    path = Path(path)
    if path.suffix not in (".onnx", ".pt", ".safetensors"):
        raise RequestError(
            f"{path}: judge weights are .onnx, .pt or .safetensors (RUN/best.safetensors of a training run)"
        )
    if not os.path.lexists(path):
        raise RequestError(f"{path}: no such weights file; nothing is downloaded, put the file there yourself")
    check_regular(path, "weights file", MAX_BYTES)
    digest = file_digest(path)[:12]
    if path.suffix == ".onnx":
        from detection.onnx_network import OnnxNetwork

        if device not in ("auto", "cpu"):
            raise RequestError(f"{path}: an ONNX judge runs on the CPU, not on {device!r}; use --device cpu")
        onnx = OnnxNetwork(path)
        _check_side(path, onnx.image_size)
        return Judge(onnx, onnx.names, onnx.image_size, digest, torch.device("cpu"), path)
    network, where = load_network(path), pick_device(device)
    _check_side(path, network.image_size)
    module = network.module.fuse(verbose=False).to(where)  # type: ignore[operator]

    def forward(image: torch.Tensor) -> torch.Tensor:
        output = module(image)
        return output[0] if isinstance(output, list | tuple) else output

    return Judge(forward, network.names, network.image_size, digest, where, path)


def _check_side(path: Path, side: int) -> None:
    if not SIDES[0] <= side <= SIDES[1]:
        raise RequestError(f"{path}: made for images of {side} pixels; a judge takes {SIDES[0]} to {SIDES[1]}")
