"""`fuse2task doctor`: what is installed, what can be used, what is missing."""

import importlib.util
import os
import platform
import shutil
from typing import Any

import typer

from fuse2task.cli.options import JsonOption, print_json, print_table

EXTRAS = {
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "ray": ("ray",),
    "serve": ("starlette", "uvicorn", "python_multipart"),
    "hub": ("huggingface_hub",),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
    "video": ("av",),
    "mlflow": ("mlflow",),
}
LICENCE = (
    "fuse2task is AGPL-3.0-or-later, because Ultralytics is AGPL-3.0. Datasets and the authors' CrossFuse weights have "
    "terms of their own; none of them come with fuse2task."
)
NETWORK = "never used, but by CrossFuse.from_pretrained of a name on the hub and by push_to_hub"
GIB = 2**30


def doctor(as_json: JsonOption = False) -> None:
    """Versions, devices, memory, optional parts that are missing, plug-ins, licence notes."""
    from fuse2task.config import shipped_recipes
    from fuse2task.runtime.packages import GROUPS, plugin_names, versions
    from fusion.weights import shipped_weights

    offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    found = {
        "versions": {"Python": platform.python_version(), "system": platform.platform(terse=True), **versions()},
        "machine": _machine(), "devices": _devices(), "extras": _extras(),
        "weights": {weights.name: str(weights.card.get("summary", "")) for weights in shipped_weights()},
        "plugins": {group: plugin_names(group) for group in GROUPS},
        "recipes": {kind: shipped_recipes(kind) for kind in ("fusion", "detection", "segmentation", "bench")},
        "network": {"use": NETWORK, "HF_HUB_OFFLINE": "set: not even then" if offline else "not set"},
        "licence": LICENCE,
    }  # fmt: skip
    if as_json:
        print_json(found)
    else:
        _show(found)


def _machine() -> dict[str, Any]:
    import torch

    free = shutil.disk_usage(".").free
    return {
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),  # OMP_NUM_THREADS sets it
        "waiting": ", ".join(
            f"{name}={value}" for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT") if (value := os.environ.get(name))
        ),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "memory": f"{_pages('SC_AVPHYS_PAGES')} GiB free of {_pages('SC_PHYS_PAGES')}",
        "disk": f"{free / GIB:.1f} GiB free in this folder",
    }


def _pages(name: str) -> str:
    try:
        return f"{os.sysconf(name) * os.sysconf('SC_PAGE_SIZE') / GIB:.1f}"
    except (ValueError, OSError, AttributeError):  # not told by this system
        return "?"


def _devices() -> dict[str, str]:
    import torch

    found = {"cpu": "always"}
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        found[f"cuda:{number}"] = f"{about.name}, {about.total_memory / GIB:.0f} GiB, CUDA {torch.version.cuda}"
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU"
    if not torch.cuda.is_available():
        found["cuda"] = "none; " + ("mps" if "mps" in found else "cpu") + " is what `auto` means here"
    return found


def _extras() -> dict[str, str]:
    found = {}
    for extra, modules in EXTRAS.items():
        missing = ", ".join(module for module in modules if importlib.util.find_spec(module) is None)
        found[extra] = f"{missing} missing; pip install 'fuse2task[{extra}]'" if missing else "there"
    return found


def _show(found: dict[str, Any]) -> None:
    rows: list[tuple[str, str, str] | None] = []
    for part, about in found.items():
        if isinstance(about, dict):
            for name, value in about.items():
                text = (", ".join(value) or "none") if isinstance(value, list) else str(value)
                rows.append((part, name, text))
                part = ""
            rows.append(None)
    print_table((), rows, title="fuse2task doctor", show_header=False)
    typer.echo(f"Licence: {found['licence']}")
