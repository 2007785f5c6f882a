"""Our weights on disk: safetensors whose metadata says what they are and how they were made."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import write_bytes


def tensor_hash(tensors: Mapping[str, torch.Tensor]) -> str:
    """sha256 (hex) over names, dtypes, shapes and values, in name order: the same for equal weights in any file."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_checkpoint(path: Path, tensors: Mapping[str, torch.Tensor], kind: str, **about: Any) -> str:
    """Write `tensors` atomically as safetensors with metadata format=`kind`, version, tensor hash and `about`.

    `about` values are stored as JSON. Returns the tensor hash.
    """
    ready = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    digest = tensor_hash(ready)
    metadata = {"format": kind, "version": "1", "tensor_hash": digest}
    metadata |= {key: json.dumps(value, sort_keys=True) for key, value in about.items()}
    write_bytes(path, _with_ordered_header(save(ready, metadata=metadata)))
    return digest


def _with_ordered_header(data: bytes) -> bytes:
    # safetensors writes its metadata in random order; equal weights are to give equal bytes. Tensor offsets count
    # from the end of the header, whose length (a multiple of 8) stands in the first 8 bytes.
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def load_checkpoint(path: Path, kind: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and metadata (JSON values decoded) of a checkpoint of format `kind`.

    Raises:
        RequestError: missing, not safetensors, of another network, or its tensors do not match their hash.
    """
    tensors, metadata = read_safetensors(path)
    found = metadata.get("format")
    if found != kind:
        raise RequestError(
            f"{path}: holds {found or 'tensors without a format'}, but {kind} is needed; give another checkpoint"
        )
    if metadata.get("tensor_hash") != tensor_hash(tensors):
        raise RequestError(f"{path}: the weights do not match their own hash; the file was altered, get it again")
    about = {}
    for key, value in metadata.items():
        try:
            about[key] = value if key in ("format", "tensor_hash") else json.loads(value)
        except json.JSONDecodeError:
            raise RequestError(f"{path}: metadata {key!r} is damaged; get the file again") from None
    return tensors, about


def read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """All tensors and the raw metadata of a safetensors file.

    Raises:
        RequestError: missing or not safetensors.
    """
    if not Path(path).is_file():
        raise RequestError(f"{path}: no such checkpoint")
    try:
        with safe_open(path, framework="pt") as handle:
            names = list(handle.keys())
            return {name: handle.get_tensor(name) for name in names}, dict(handle.metadata() or {})
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise RequestError(f"{path}: not a readable safetensors checkpoint ({error})") from None


def load_into(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Copy `tensors` into `module`, names and shapes matching exactly.

    Raises:
        RequestError: names or shapes differ; `path` is named as the source.
    """
    own = module.state_dict()
    wrong = [name for name in tensors if name in own and own[name].shape != tensors[name].shape]
    missing, unknown = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or unknown or wrong:
        raise RequestError(
            f"{path}: weights of another network ({len(missing)} missing, {len(unknown)} unknown, {len(wrong)} of "
            f"another shape; first: {(missing + unknown + wrong)[0]})"
        )
    module.load_state_dict(dict(tensors))
