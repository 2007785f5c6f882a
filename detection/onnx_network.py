"""A YOLO detector exported by Ultralytics to ONNX, run by onnxruntime on the CPU."""

import ast
from pathlib import Path

import numpy as np
import torch

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.reading import one_line

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxNetwork:
    """Callable as `detection.judge.Forward`; names and image_size come from the file.

    Raises:
        RequestError: onnxruntime is missing, or the file is not an Ultralytics detector with a square input.
    """

    def __init__(self, path: Path):
        try:
            import onnxruntime
        except ImportError:
            raise RequestError(
                f"{path}: ONNX judges need onnx and onnxruntime; `pip install fuse2task[onnx]` brings them"
            ) from None
        onnxruntime.set_default_logger_severity(4)
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no public base class
            raise RequestError(f"{path}: not readable as ONNX ({one_line(error)})") from None
        about = self._session.get_modelmeta().custom_metadata_map
        try:
            names, size = ast.literal_eval(about["names"]), ast.literal_eval(about["imgsz"])
            (entry,) = self._session.get_inputs()
            shape = [
                given if isinstance(given, int) else usual
                for given, usual in zip(entry.shape, (1, 3, *size), strict=True)
            ]
            self._input, self._type = entry.name, TYPES[entry.type]
            self.names = tuple(str(names[index]) for index in sorted(names))
        except Exception as error:  # metadata of others may be anything
            raise RequestError(
                f"{path}: not a YOLO detector exported by Ultralytics (no usable {one_line(error, 80)} in its metadata)"
            ) from None
        if about.get("task") != "detect" or shape[:2] != [1, 3] or shape[2] != shape[3]:
            raise RequestError(
                f"{path}: task {about.get('task')!r}, input {entry.shape}; a judge is a detector with one "
                "square 3-channel input, export it with batch=1 and a square imgsz"
            )
        self.image_size = shape[2]

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Raw output for (1, 3, S, S) float32 RGB in [0, 1]."""
        output = self._session.run(None, {self._input: image.numpy().astype(self._type)})[0]
        return torch.from_numpy(output).float()
