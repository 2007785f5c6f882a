"""A detector that gradients can pass through, from an ONNX file that Ultralytics exported."""

import ast
import re
from pathlib import Path

import numpy as np
import torch

from detection.weights import Network
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.offline import quiet_ultralytics


def load_onnx_network(path: Path) -> Network:
    """The network of an exported YOLO detector as a PyTorch module with folded batch norms, in eval mode.

    Weights quantised to 8 bits are turned back into fp32 (value = (q - zero point) * scale, as ONNX defines
    DequantizeLinear); activations are then not quantised, so that outputs differ a little from onnxruntime's.

    Raises:
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
    state = module.state_dict()
    try:
        read = {name: torch.from_numpy(_tensor(values, name)) for name in state}
        module.load_state_dict(read)
    except (KeyError, RuntimeError, ValueError) as error:
        raise RequestError(
            f"{path}: its weights do not fit yolo{architecture} ({str(error).splitlines()[0]})"
        ) from None
    return Network(module.float().eval(), ordered, int(side))


def _tensor(values: dict[str, np.ndarray], name: str) -> np.ndarray:
    if name in values:
        return np.array(values[name], dtype=np.float32)
    quantised, scale, zero = (values[f"{name}_{part}"] for part in ("quantized", "scale", "zero_point"))
    shape = (-1,) + (1,) * (quantised.ndim - 1)  # one scale for all, or one for each output channel
    return (quantised.astype(np.float32) - zero.astype(np.float32).reshape(shape)) * scale.reshape(shape)
