"""Valid files of weights (safetensors, PyTorch's, ONNX), and hostile content in the words of each format."""

import copy
import functools
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from damage import as_json, flipped, hostile, retyped

ARCHITECTURE = {
    "nc": 2, "depth_multiple": 1.0, "width_multiple": 1.0,
    "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [16, 3, 2]], [-1, 1, "C2f", [16, True]]],
    "head": [[[2], 1, "Detect", ["nc"]]],
}  # fmt: skip


def _saved(save: Callable[[Path], Any], name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


@functools.cache
def checkpoint() -> bytes:
    """A checkpoint of `fuse2task.toy`: a linear layer."""
    from fuse2task.runtime.checkpoints import save_checkpoint

    torch.manual_seed(0)
    state = torch.nn.Linear(4, 3).state_dict()
    return _saved(lambda path: save_checkpoint(path, state, "fuse2task.toy", recipe={"a": 1}), "a.safetensors")


def checkpoint_words(rng: Random) -> bytes:
    data = checkpoint()
    length = int.from_bytes(data[:8], "little")
    header = retyped(json.loads(data[8 : 8 + length]), rng)
    text = as_json(header)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def header_bombs(rng: Random) -> bytes:
    shape = rng.choice(([2**62, 4], [10**6] * 4, [0] * 20, [2**31, 2]))
    header = {
        "weight": {"dtype": rng.choice(("F32", "F64", "F8_E4M3", "BOOL")), "shape": shape, "data_offsets": [0, 16]}
    }
    text = as_json({"__metadata__": {"format": "fuse2task.toy", "x": "y" * rng.choice((1, 10**6))}, **header})
    length = rng.choice((len(text), 2**63 - 1, 2**40, 100_000_000))
    return length.to_bytes(8, "little") + text + bytes(16)


@functools.cache
def yolo_state() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    from fuse2task.runtime.packages import quiet_ultralytics

    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    model = DetectionModel(copy.deepcopy(ARCHITECTURE), ch=3, nc=2, verbose=False)
    return model.half().state_dict(), {
        "model": ARCHITECTURE,
        "names": ["person", "car"],
        "image_size": 64,
        "recipe": {},
    }


def yolo_file(about: Any) -> bytes:
    from fuse2task.runtime.checkpoints import save_checkpoint

    return _saved(lambda path: save_checkpoint(path, yolo_state()[0], "fuse2task.yolo", **about), "a.safetensors")


@functools.cache
def yolo() -> bytes:
    """Weights of a network that is as small as Ultralytics makes them."""
    return yolo_file(yolo_state()[1])


def yolo_words(rng: Random) -> bytes:
    """The right hashes over other names, sizes and layers."""
    about = yolo_state()[1]
    if rng.random() < 0.5:
        layers = json.loads(json.dumps(ARCHITECTURE))
        row = rng.choice(layers["backbone"])
        row[rng.randrange(4)] = rng.choice(
            (10**9, 10**6, "Concat", "check_requirements", "nn.Module", "TorchVision", [10**6, 3, 2], "exec")
        )
        return yolo_file(
            {**about, "model": {**layers, "activation": rng.choice((None, "__import__('os').mkdir('ran')"))}}
        )
    changed = retyped(about, rng)
    kept = changed if isinstance(changed, dict) else about
    return yolo_file({str(key): value for key, value in json.loads(json.dumps(kept)).items() if _storable(key, value)})


def _storable(key: str, value: Any) -> bool:
    try:
        return key not in ("path", "tensors", "kind", "format", "version", "tensor_hash") and bool(
            f"{key}{json.dumps(value)}".encode()
        )
    except UnicodeEncodeError:
        return False


@functools.cache
def state_dict() -> bytes:
    """What `torch.save` writes for a small network."""
    torch.manual_seed(0)
    return _saved(lambda path: torch.save(torch.nn.Linear(4, 3).state_dict(), path), "a.model")


class _Runs:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.mkdir, (Path("ran"),)  # type: ignore[return-value]


def state_words(rng: Random) -> bytes:
    tensor = torch.zeros(3)
    odd = (
        _Runs(), {"a": _Runs()}, [tensor], {"a": 1}, {1: tensor}, tensor, {"a": tensor.expand(10**6, 10**6, 3)}, None,
        {"a": tensor * float("nan")}, {"a": torch.zeros(3).to_sparse()}, {"a": torch.zeros(2, device="meta")},
        {"state_dict": {"a": tensor}}, {"state_dict": [1]}, torch.nn.Linear(2, 2), {"../x": tensor}, {"a\0": tensor},
    )  # fmt: skip
    chosen, legacy = rng.choice(odd), rng.random() < 0.3
    return _saved(lambda path: torch.save(chosen, path, _use_new_zipfile_serialization=not legacy), "a.model")


def zip_bombs(rng: Random) -> bytes:
    if rng.random() < 0.4:  # another pickle in a right archive
        return _repacked(flipped, rng, zipfile.ZIP_STORED)
    return _repacked(lambda data, _: data + bytes(5_000_000), rng, zipfile.ZIP_DEFLATED)


def _repacked(change: Callable[[bytes, Random], bytes], rng: Random, method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(state_dict())) as old, zipfile.ZipFile(buffer, "w", method) as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, change(data, rng) if name.endswith(("data.pkl", "/0")) else data)
    return buffer.getvalue()


def _onnx(side: Any = 64, external: bool = False, **metadata: str) -> bytes:
    from onnx import TensorProto, helper

    boxes = helper.make_tensor("boxes", TensorProto.FLOAT, (1, 6, 2), np.arange(12, dtype=np.float32))
    if external:
        boxes.ClearField("float_data")
        boxes.data_location = TensorProto.EXTERNAL
        boxes.external_data.add(key="location", value="../../../../../etc/passwd")
    zero = helper.make_tensor("zero", TensorProto.FLOAT, (), [0.0])
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["boxes", "nothing"], ["output0"]),
    ]
    entry = helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, side, side))
    out = helper.make_tensor_value_info("output0", TensorProto.FLOAT, (1, 6, 2))
    graph = helper.make_graph(nodes, "constant", [entry], [out], [boxes, zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(
        model, {"names": "{0: 'person', 1: 'car'}", "imgsz": "[64, 64]", "task": "detect"} | metadata
    )
    return bytes(model.SerializeToString())


@functools.cache
def onnx() -> bytes:
    """A detector that finds the same two boxes in every image."""
    return _onnx()


def onnx_words(rng: Random) -> bytes:
    keys = {"names": str(hostile(rng))[:5000], "imgsz": str(hostile(rng))[:5000], "task": str(hostile(rng))[:100]}
    kept = {key: value.encode("utf-8", "replace").decode() for key, value in keys.items() if rng.random() < 0.6}
    return _onnx(rng.choice((64, 32, "side", 10**6, 2**40)), **kept)


def onnx_bombs(rng: Random) -> bytes:
    texts = (
        "(" * 50_000,
        "[" * 150 + "]" * 150,
        "9**9**9",
        "{0: " * 3000,
        "[1000000000, 1000000000]",
        "__import__('os')",
    )
    return (
        _onnx(external=True)
        if rng.random() < 0.3
        else _onnx("s", **{rng.choice(("names", "imgsz")): rng.choice(texts)})
    )
