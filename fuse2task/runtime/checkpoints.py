"""Weights on disk: our safetensors with metadata on what they are, and PyTorch files of tensors alone."""

import hashlib
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.files import value_hash, write_bytes
from fuse2task.runtime.reading import check_regular, one_line


def tensor_hash(tensors: Mapping[str, torch.Tensor]) -> str:
    """sha256 (hex) over names, dtypes, shapes and values, in name order: the same for equal weights in any file."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_checkpoint(path: Path, tensors: Mapping[str, torch.Tensor], kind: str, **about: Any) -> str:
    """Write `tensors` atomically as safetensors with metadata format=`kind`, version, tensor hash and `about`. `about`
    values are stored as JSON, with a hash of their own. Returns the tensor hash. Fuse2TaskError: a value is NaN or
    infinite."""
    ready = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    if bad := _not_finite(ready):
        raise Fuse2TaskError(f"{path}: not written: {bad}; train with a lower learning rate, or in fp32")
    digest = tensor_hash(ready)
    metadata = {"format": kind, "version": "1", "tensor_hash": digest}
    metadata |= {key: json.dumps(value, sort_keys=True) for key, value in about.items()}
    metadata["about_hash"] = _about_hash(metadata)
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


def load_checkpoint(path: Path, *kinds: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and metadata (JSON values decoded) of a checkpoint of one of the formats `kinds`.
    RequestError: missing, not safetensors, of another network, its tensors or metadata do not match their hash, or a
    weight is NaN or infinite."""
    tensors, metadata = read_safetensors(path)
    found = metadata.get("format")
    if found not in kinds:
        holds, needed = found or "tensors without a format", " or ".join(kinds)
        raise RequestError(f"{path}: holds {holds}, but {needed} is needed; give another checkpoint")
    if metadata.get("tensor_hash") != tensor_hash(tensors):
        raise RequestError(f"{path}: the weights do not match their own hash; the file was altered, get it again")
    # Files of earlier versions have no such hash.
    if metadata.get("about_hash", expected := _about_hash(metadata)) != expected:
        raise RequestError(f"{path}: the metadata do not match their own hash; the file was altered, get it again")
    check_finite(path, tensors)
    about = {}
    for key, value in metadata.items():
        try:
            about[key] = value if key in ("format", "tensor_hash", "about_hash") else json.loads(value)
        except (ValueError, RecursionError):
            raise RequestError(f"{path}: metadata {key!r} is damaged; get the file again") from None
    return tensors, about


def peek_format(path: Path) -> str:
    """The format that a checkpoint says it has; "" where it says none, or is no safetensors file."""
    try:
        with safe_open(path, framework="pt") as handle:
            return (handle.metadata() or {}).get("format", "")
    except Exception:  # as in `read_safetensors`, which says what is wrong
        return ""


def read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """All tensors and the raw metadata of a safetensors file. RequestError: missing or not safetensors."""
    check_regular(path, "checkpoint")
    try:
        with safe_open(path, framework="pt") as handle:
            names = list(handle.keys())
            return {name: handle.get_tensor(name) for name in names}, dict(handle.metadata() or {})
    except Exception as error:  # SafetensorError, and what torch says to dtypes and sizes that it does not know
        raise RequestError(f"{path}: not a readable safetensors checkpoint ({one_line(error)})") from None


def check_finite(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """RequestError about `path` for NaN or infinite weights: with them a network finds nothing and reports no error."""
    if bad := _not_finite(tensors):
        raise RequestError(f"{path}: {bad}; give other weights")


def _not_finite(tensors: Mapping[str, torch.Tensor]) -> str:
    floating = {name: value for name, value in sorted(tensors.items()) if value.is_floating_point()}
    bad = [name for name, value in floating.items() if not bool(torch.isfinite(value.float()).all())]
    return f"{len(bad)} of its tensors hold NaN or infinite values (first: {bad[0]})" if bad else ""


def _about_hash(metadata: Mapping[str, str]) -> str:
    return value_hash({key: value for key, value in metadata.items() if key != "about_hash"})


INT8_FROM = 4096  # values of a tensor: smaller ones weigh nothing and keep their precision


def pack_int8(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Large matrices and kernels as int8 with one fp16 scale a first axis's entry (`NAME.scale`): a quarter of fp32.

    Symmetric: value = int8 * scale, scale = the largest |value| of an output channel / 127, rounded up in fp16. Vectors
    and tensors of fewer than `INT8_FROM` values stay as they are.
    """
    packed: dict[str, torch.Tensor] = {}
    for name, value in tensors.items():
        if value.dim() < 2 or value.numel() < INT8_FROM or not value.is_floating_point():
            packed[name] = value
            continue
        largest = value.float().flatten(1).abs().amax(1) / 127
        # A scale that fp16 rounds down would push the largest weight beyond 127.
        scale = (largest * (1 + 2.0**-10)).clamp(min=torch.finfo(torch.float16).tiny).half()
        packed[f"{name}.scale"] = scale
        packed[name] = (value.float() / _along_first(scale, value)).round().clamp(-127, 127).to(torch.int8)
    return packed


def unpack_int8(tensors: Mapping[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    """What `pack_int8` stored, as fp32. RequestError about `path`: int8 values without scales of their length."""
    values = {}
    for name, value in tensors.items():
        if name.endswith(".scale") and name.removesuffix(".scale") in tensors:
            continue
        if value.dtype == torch.int8:
            scale = tensors.get(f"{name}.scale")
            if scale is None or scale.shape != value.shape[:1]:
                raise RequestError(f"{path}: {name} is int8 without a scale a channel; get the file again")
            value = value.float() * _along_first(scale, value)
        values[name] = value
    return values


def _along_first(scale: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return scale.float().reshape(-1, *[1] * (value.dim() - 1))


def load_into(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Copy `tensors` into `module`, names and shapes matching exactly.

    Raises:
        RequestError: names, shapes or kinds of numbers differ; `path` is named as the source.
    """
    own = module.state_dict()
    # Integers and complex numbers would be cast without a word; narrower floats are meant to be.
    wrong = [
        name
        for name, value in tensors.items()
        if name in own
        and (own[name].shape != value.shape or own[name].is_floating_point() != value.is_floating_point())
    ]
    missing, unknown = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or unknown or wrong:
        raise RequestError(
            f"{path}: weights of another network ({len(missing)} missing, {len(unknown)} unknown, {len(wrong)} of "
            f"another shape or kind of number; first: {(missing + unknown + wrong)[0]})"
        )
    module.load_state_dict(dict(tensors))


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """The tensors by name in a file that `torch.save` wrote, on the CPU; of a checkpoint its `state_dict`. It is read
    by PyTorch's restricted unpickler (weights_only), which makes tensors and plain containers only. RequestError:
    missing, damaged, or anything else than tensors by name."""
    refuse_compressed(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles and archives raise whatever the unpickler stumbles on
        reason = one_line(error, 120)
        raise RequestError(f"{path}: not a readable file of tensors alone ({reason}); save its state_dict") from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()
    ):
        raise RequestError(f"{path}: holds something else than a state_dict of tensors")
    if not all(map(_is_whole, content.values())):
        raise RequestError(f"{path}: holds tensors that are larger than their values, or none in memory; refused")
    return content


def _is_whole(tensor: torch.Tensor) -> bool:
    # A view with stride 0 claims any size for a few bytes.
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    return plain and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def refuse_compressed(path: Path) -> None:
    """RequestError for what `torch.save` never writes: an archive larger than its file, a tar, no regular file."""
    check_regular(path, "file of weights")
    try:
        packed = tarfile.is_tarfile(path)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                packed = sum(entry.file_size for entry in archive.infolist()) > Path(path).stat().st_size
    except Exception as error:  # zipfile raises whatever it stumbles on in a damaged archive
        raise RequestError(f"{path}: damaged archive ({one_line(error, 120)}); get the file again") from None
    if packed:
        raise RequestError(f"{path}: a compressed archive, which PyTorch never writes; refused as a bomb")
