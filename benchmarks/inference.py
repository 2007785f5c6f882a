"""Milliseconds of one CrossFuse pair: a per-tile baseline, the network as trained, and the one made for inference.

    OMP_NUM_THREADS=2 python benchmarks/inference.py [--checkpoint runs/crossfuse/best.safetensors]
        [--infrared A --visible B] [--size 640x480] [--repeats 5]

Variants run in turn, and each one's fastest run counts, by the clock and by CPU time: the steadier of the two on a
machine that does other work (with OMP_NUM_THREADS=1, as threads that wait for others count too). Without a checkpoint
the weights are random, without images the pair is smooth noise. Prints times, ratios, the share of the matmul rate
measured in the same run, and the difference from the baseline in grey levels; then the same in batches of four.
"""

import argparse
import copy
import time
from collections.abc import Callable
from pathlib import Path

import per_tile_baseline
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from fuse2task.data.colour import luma
from fuse2task.data.images import read_infrared, read_visible
from fuse2task.runtime.allocation import keep_freed_memory
from fusion.checkpoint import load_crossfuse
from fusion.network.crossfuse import CrossFuse
from fusion.network.inference import InferenceCrossFuse
from fusion.network.packed_linear import has_packed_linear

MATMUL = 1536  # rows, columns and depth of the product whose rate is called the peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("checkpoint", "infrared", "visible"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--size", default="640x480", help="width x height of the noise")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    keep_freed_memory()
    torch.manual_seed(0)
    with torch.inference_mode():
        network = load_crossfuse(options.checkpoint)[0] if options.checkpoint else CrossFuse().eval()
        pair = read_pair(options)
        gmac = multiply_accumulates(network, *pair)
        peak = matmul_peak(options.repeats)
        print(
            f"{pair[0].shape[3]}x{pair[0].shape[2]}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
            f"{torch.backends.cpu.get_cpu_capability()}\n{gmac:.1f} GMAC a pair as trained, "
            f"fp32 matmul {peak:.0f} GFLOP a CPU second: "
            f"{2000 * gmac / peak:.0f} ms of CPU time if every product ran at it"
        )
        start = time.perf_counter()
        variants = make_variants(network)
        print(f"making both inference networks: {time.perf_counter() - start:.1f} s")
        for batch in (1, 4):
            images = [image.expand(batch, -1, -1, -1).contiguous() for image in pair]
            report(variants, images, gmac, peak, max(1, options.repeats // batch))


def make_variants(network: CrossFuse) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    cpu = torch.device("cpu")
    fast, fast_bf16 = InferenceCrossFuse(network, cpu), InferenceCrossFuse(network, cpu, "bf16")
    trained = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return {
        "baseline": lambda ir, vi: per_tile_baseline.fuse(network, ir, vi),
        "as trained": trained,
        "inference fp32": fast,
        "inference bf16": fast_bf16,
    }


def report(
    variants: dict[str, Callable[[Tensor, Tensor], Tensor]], pair: list[Tensor], gmac: float, peak: float, repeats: int
) -> None:
    batch = len(pair[0])
    outputs: dict[str, Tensor] = {}

    def runner(name: str) -> Callable[[], object]:
        return lambda: outputs.update({name: variants[name](*pair)})

    best = fastest({name: runner(name) for name in variants}, repeats)
    print(
        f"\nbatch {batch}, ms a pair: wall    CPU   baseline / (wall, CPU)   of the peak"
        "   |difference|: max, 99.9 %, share <= 3"
    )
    for name, (wall, cpu) in best.items():
        difference = (outputs[name] - outputs["baseline"]).abs().flatten()
        tail = difference.kthvalue(int(0.999 * difference.numel())).values
        base_wall, base_cpu = best["baseline"]
        ratios = f"{base_wall / wall:15.2f}{base_cpu / cpu:7.2f}{2 * gmac * batch / cpu / peak:16.2f}"
        print(
            f"{name:18s}{1000 * wall / batch:11.0f}{1000 * cpu / batch:7.0f}{ratios}{difference.max():15.5f}{tail:9.5f}"
            f"{(difference <= 3).float().mean():9.5f}"
        )


def fastest(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, tuple[float, float]]:
    """Least wall and CPU seconds (of all threads) over `repeats` rounds, in each of which everything runs once."""
    best = dict.fromkeys(runs, (float("inf"), float("inf")))
    for _ in range(repeats):
        for name, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            best[name] = min(best[name][0], time.perf_counter() - wall), min(best[name][1], time.process_time() - cpu)
    return best


def matmul_peak(repeats: int) -> float:
    """GFLOP in a second of CPU time: the fastest fp32 product that this PyTorch offers (MKL or oneDNN)."""
    a, b = torch.rand(MATMUL, MATMUL), torch.rand(MATMUL, MATMUL)
    runs: dict[str, Callable[[], object]] = {"mkl": lambda: a @ b}
    if has_packed_linear():
        packed = torch.ops.mkldnn._reorder_linear_weight(b, MATMUL)
        runs["onednn"] = lambda: torch.ops.mkldnn._linear_pointwise(a, packed, None, "none", [], "none")
    return 2e-9 * MATMUL**3 / min(cpu for _, cpu in fastest(runs, 2 * repeats).values())


def multiply_accumulates(network: CrossFuse, infrared: Tensor, visible: Tensor) -> float:
    """10^9 multiply-accumulates of the network as trained."""
    with FlopCounterMode(display=False) as counter:
        network(infrared, visible)
    return counter.get_total_flops() / 2e9


def read_pair(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Infrared and visible luma, (1, 1, H, W) in [0, 255]."""
    if options.infrared and options.visible:
        arrays = read_infrared(options.infrared), luma(read_visible(options.visible))
        infrared, visible = (torch.from_numpy(array).float()[None, None] for array in arrays)
        return infrared, visible
    width, height = (int(side) for side in options.size.split("x"))
    coarse = torch.nn.functional.interpolate(torch.rand(2, 1, 24, 32), (height, width), mode="bicubic")
    infrared, visible = (200 * coarse + 40 * torch.rand_like(coarse)).clamp(0, 255).round().split(1)
    return infrared, visible


if __name__ == "__main__":
    main()
