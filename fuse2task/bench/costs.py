"""What a method costs: parameters, multiply-accumulates, time and memory for one pair; costs.csv."""

import re
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from fuse2task.bench.workspace import Workspace
from fuse2task.data.images import read_pair

WARM_UP, TIMED = 1, 5
MIB = 1024**2


def measure_cost(bench: Workspace, dataset: str, method: str) -> dict[str, Any]:
    """Cost of `method` on a pair of the dataset's most frequent image size.

    Returns:
        parameters; GMAC, 10^9 multiply-accumulates of the network for one pair; ms, the median of five pairs,
        images in memory to fused image in memory; peak_memory in MiB: weights and what fusing takes beside
        them (on a CPU the growth of the resident set, where the system tells its peak); device. A folder of
        finished images has none of these.
    """
    section = bench.recipe.method(method)
    if section.folder is not None:
        return {"method": method}
    made = bench.make_method(method, dataset)
    evaluated = bench.dataset(dataset).evaluated
    size = bench.dataset(dataset).frequent_size
    pairs = [pair for pair in evaluated if pair.size == size][:TIMED]
    device = getattr(made, "device", torch.device("cpu"))
    network = getattr(made, "network", None)
    parameters = [] if network is None else list(network.parameters())
    weights = sum(item.numel() * item.element_size() for item in parameters)
    images = [(pair, *read_pair(pair)) for pair in pairs]
    for _ in range(WARM_UP):
        made.fuse(*images[0])
    on_gpu, before = device.type == "cuda", _reset_peak(device)
    seconds = []
    for number in range(TIMED):
        started = time.perf_counter()
        made.fuse(*images[number % len(images)])  # ends with the image on the host, so nothing is still running
        seconds.append(time.perf_counter() - started)
    peak = None  # beyond what was used before
    if before is not None and (now := torch.cuda.max_memory_allocated(device) if on_gpu else _status("VmHWM")):
        peak = max(0, now - before)
    return {
        "method": method, "parameters": sum(item.numel() for item in parameters),
        "GMAC": 0.0 if network is None else _gmac(network, images[0][1].shape[:2]),
        "ms": round(1000 * statistics.median(seconds), 3),
        "peak_memory": None if peak is None else round((peak + weights) / MIB, 1), "device": device_name(device),
    }  # fmt: skip


def device_name(device: torch.device) -> str:
    """The name of a GPU, else the device's kind with its number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads" if device.type == "cpu" else device.type


def _gmac(network: torch.nn.Module, size: tuple[int, int]) -> float:
    # Of the network as it was trained: what is folded or left out at inference is a matter of speed.
    from torch.utils.flop_counter import FlopCounterMode

    image = torch.zeros(1, 1, *size, device=next(network.parameters()).device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image, image)
    return round(counter.get_total_flops() / 2e9, 3)  # it counts two operations for one multiply-accumulate


def _reset_peak(device: torch.device) -> int | None:
    """Forget the highest use of memory so far; returns the present one in bytes."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return None


def _status(key: str) -> int | None:
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else None
