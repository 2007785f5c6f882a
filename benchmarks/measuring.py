"""What benchmarks share: options by their defaults, clocks, peak memory, processes with a time limit."""

import argparse
import contextlib
import math
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import torch

from fuse2task.runtime.compute import keep_freed_memory

COMMAND = [sys.executable, "-c", "import sys; from fuse2task.cli.main import run; run(sys.argv[1:])"]
Row = dict[str, Any]  # what was measured; its numbers, or the reason why there are none


def options(about: str | None, **defaults: object) -> argparse.Namespace:
    """The command line: `--name` for each of `defaults`, of its type; a type alone has none, False is a switch."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        if default is False:
            parser.add_argument(f"--{name}", action="store_true")
        elif isinstance(default, type):
            parser.add_argument(f"--{name}", type=default)
        elif isinstance(default, list):
            parser.add_argument(f"--{name}", type=type(default[0]), nargs="+", default=default)
        else:
            parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args()


def fastest(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, tuple[float, float]]:
    """Least wall and CPU seconds (of all threads) over `repeats` rounds, in each of which everything runs once."""
    best = dict.fromkeys(runs, (float("inf"), float("inf")))
    for _ in range(repeats):
        for name, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            synchronize()
            best[name] = min(best[name][0], time.perf_counter() - wall), min(best[name][1], time.process_time() - cpu)
    return best


def calls_a_second(run: Callable[[], object], seconds: float) -> float:
    """By the clock, over about as long (one call at least), after a call to warm up. A GPU is waited for at the end."""
    run()
    synchronize()
    count, began = 0, time.perf_counter()
    while not count or time.perf_counter() - began < seconds:
        run()
        count += 1
    synchronize()
    return count / (time.perf_counter() - began)


def product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """GFLOP/s, by the clock, of a large product: through a 1x1 convolution on a CPU, where that is the faster way."""
    side = 8192 if device.type == "cuda" else 1536
    a, b = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
    maps = a.view(1, side, 1, side).permute(0, 3, 1, 2)
    is_cpu = device.type == "cpu"
    runs = {"": lambda: torch.nn.functional.conv2d(maps, b[:, :, None, None]) if is_cpu else a @ b}
    return 2e-9 * side**3 / fastest(runs, 8)[""][0]


def synchronize() -> None:
    """Wait for what was queued on a GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def where(device: torch.device) -> str:
    """The GPU's name, or the number of threads."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"


def in_own_process(
    rows: Callable[[Any], Iterator[Row]], given: object, seconds: float, forked: bool
) -> Iterator[Row]:  # fmt: skip
    """What `rows(given)` yields, as it does, from a process that is ended after `seconds`; a last row says if it was,
    or if it died. forked: with everything imported, but without a GPU that this process has looked for."""
    context = multiprocessing.get_context("fork" if forked else "spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(rows, given, sending), daemon=True)
    deadline = time.monotonic() + seconds
    process.start()
    sending.close()
    try:
        while receiving.poll(max(0.0, deadline - time.monotonic())):
            yield receiving.recv()
        yield {"what": "the rest", "reason": f"cut off after {seconds:.0f} s"}
    except EOFError:
        process.join()
        if process.exitcode:
            yield {"what": "the rest", "reason": f"the process ended with {process.exitcode}"}
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended with all that it started, or has yet to begin
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()


def _send(rows: Callable[[Any], Iterator[Row]], given: object, sending: Connection) -> None:
    os.setpgrp()  # so that it is ended with all that it started
    keep_freed_memory()
    torch.manual_seed(0)
    for row in rows(given):
        sending.send(row)


def attempt(what: str, measure: Callable[..., Row], *arguments: object) -> Row:
    """The row that `measure` makes of `what`, or the reason why it fails: too little memory, say, or a NaN."""
    try:
        row = measure(*arguments)
        if not all(map(math.isfinite, (row["value"], *row.get("beside", {}).values()))):
            raise ValueError(f"not finite: {row}")
        return {"what": what, **row}
    except Exception as error:
        return {"what": what, "reason": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}


def peak_memory() -> float:
    """Most resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
