"""Computing environment: device, precision, random seeds, memory allocation, usable cores."""

import ctypes
import hashlib
import os
import platform
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import value_hash

if TYPE_CHECKING:
    import torch  # seconds at run time, which a finished benchmark can do without

Precision = Literal["auto", "fp32", "bf16"]
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_KEPT = 1 << 30


def pick_device(name: str = "auto") -> "torch.device":
    """The device `name`: auto (CUDA, else Apple MPS, else CPU) or any of torch's. RequestError: it is not here."""
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise RequestError(f"device {name!r} cannot be used here ({reason}); use auto or cpu") from None
    return device


def pick_precision(precision: Precision, device: "torch.device") -> Literal["fp32", "bf16"]:
    """fp32 or bf16; auto is bf16 on a GPU that has it, fp32 elsewhere."""
    if precision != "auto":
        return precision
    import torch

    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def gpu_drivers() -> list[str]:
    """Devices of GPU drivers (NVIDIA, AMD, WSL, Jetson) by name; without one torch finds no GPU on Linux, and need not
    be loaded to say so. Elsewhere one entry, unknown."""
    if not sys.platform.startswith("linux"):
        return ["unknown"]
    return sorted(
        path.name for name in ("nvidia*", "kfd", "dxg", "nvhost*", "nvmap") for path in Path("/dev").glob(name)
    )


def machine_hash() -> str:
    """Hash of what device and precision are picked by on this machine, found without loading torch: processor, GPU
    drivers, and what the environment leaves visible."""
    processor = Path("/proc/cpuinfo")
    lines = processor.read_text("utf-8").splitlines() if processor.is_file() else [platform.processor()]
    kinds = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}) or lines[:1]
    visible = {name: value for name, value in os.environ.items() if name.endswith("VISIBLE_DEVICES")}
    return value_hash([platform.platform(), kinds, gpu_drivers(), visible])


def generator(*key: object) -> np.random.Generator:
    """A NumPy generator fixed by `key` (for instance seed, "stage2", sample number), on any machine."""
    digest = hashlib.sha256("/".join(str(part) for part in key).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy's legacy generator and torch (all devices)."""
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries still draw from it
    torch.manual_seed(seed)


def keep_freed_memory() -> None:
    """Let glibc keep what this process frees instead of returning it to the system; no effect elsewhere. By default
    every temporary of a few megabytes is mapped again, and filling its pages costs more than the arithmetic on them
    (2.5 times as much for a local similarity in float64 on images of 640x480)."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _KEPT)
        mallopt(_TRIM_THRESHOLD, _KEPT)
