"""One large pair by crossfuse-plus, whole and in strips: seconds, peak memory of the process, equal bytes.

    OMP_NUM_THREADS=1 python benchmarks/large_pair.py [--size 3840x2160] [--memory 2.0] [--precision fp32]

Each way runs in a process of its own, which makes a smooth noisy pair, fuses it and hashes the fused luma.
"""

import hashlib
import multiprocessing
import time

import numpy as np
import torch
from inference import read_pair
from measuring import options, peak_memory

from fuse2task.runtime.compute import keep_freed_memory
from fusion.methods import make_method

WHOLE = 1000.0  # GB


def fuse(size: str, memory: float, precision: str) -> tuple[str, float, float, float]:
    """Digest of the fused luma, wall and CPU seconds, peak memory in MiB."""
    keep_freed_memory()
    torch.manual_seed(0)
    infrared, visible = (image.numpy()[0, 0].astype(np.uint8) for image in read_pair(None, None, size))
    method = make_method(None, device="cpu", precision=precision, memory=memory)
    wall, cpu = time.perf_counter(), time.process_time()
    fused = method.fuse_luma(infrared, visible)
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    return hashlib.sha256(fused.tobytes()).hexdigest(), *seconds, peak_memory()


def main() -> None:
    given = options(__doc__, size="3840x2160", memory=2.0, precision="fp32")
    context, digests = multiprocessing.get_context("spawn"), set()
    for name, memory in ((f"in strips, {given.memory:g} GB", given.memory), ("whole", WHOLE)):
        with context.Pool(1) as pool:
            digest, wall, cpu, peak = pool.apply(fuse, (given.size, memory, given.precision))
        print(f"{name:<18} {wall:6.1f} s by the clock, {cpu:6.1f} s of CPU, peak {peak:6.0f} MiB", flush=True)
        digests.add(digest)
    print("equal bytes" if len(digests) == 1 else "DIFFERENT bytes")


if __name__ == "__main__":
    main()
