"""Milliseconds of one CrossFuse pair: a baseline, the network as trained, and the one made for inference.

    OMP_NUM_THREADS=2 python benchmarks/inference.py [--checkpoint crossfuse-plus] [--infrared A --visible B]
        [--size 640x480] [--repeats 5] [--device cpu]

The baseline is the per-tile one for the faithful network, CrossFuse-plus as a plain fp32 module otherwise. Variants run
in turn, and each one's fastest run counts, by the clock and by CPU time: the steadier of the two on a machine that does
other work (with OMP_NUM_THREADS=1, as threads that wait for others count too). Without a checkpoint the weights are
random ones of the faithful network, without images the pair is smooth noise. Prints times, ratios, the share of the
matmul rate measured in the same run (of CPU time and fp32 on a CPU, of the clock and bf16 on a GPU), and the difference
from the baseline in grey levels; then the same in batches.
"""

import copy
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from measuring import calls_a_second, fastest, options, product_rate, where
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fuse2task.data.images import luma, read_infrared, read_visible
from fuse2task.runtime.compute import keep_freed_memory, pick_device
from fusion.checkpoint import AnyCrossFuse, load_crossfuse
from fusion.network.attention import TILE, CrossBlock, SelfBlock, to_maps, to_tokens
from fusion.network.crossfuse import CrossFuseNetwork
from fusion.network.inference import InferenceNetwork, has_packed_linear
from fusion.network.layers import pad_reflect, pad_to, upsample
from fusion.weights import find_checkpoint

EPS = 1e-6
MATMUL = 1536  # rows, columns and depth of the product whose rate is called the peak


def main() -> None:
    given = options(__doc__, checkpoint=Path, infrared=Path, visible=Path, device="cpu", size="640x480", repeats=5)
    keep_freed_memory()
    torch.manual_seed(0)
    with torch.inference_mode():
        weights = find_checkpoint(given.checkpoint) if given.checkpoint else None
        network = load_crossfuse(weights)[0] if weights else CrossFuseNetwork().eval()
        device, pair = pick_device(given.device), read_pair(given.infrared, given.visible, given.size)
        gmac = multiply_accumulates(network, *pair)
        peak = matmul_peak(given.repeats, device)
        print(
            f"{pair[0].shape[3]}x{pair[0].shape[2]}, {where(device)}, torch {torch.__version__}, "
            f"{torch.backends.cpu.get_cpu_capability()}\n{gmac:.1f} GMAC a pair as trained, matmul {peak:.0f} GFLOP a "
            f"second: {2000 * gmac / peak:.1f} ms if every product ran at it"
        )
        start = time.perf_counter()
        variants = make_variants(network, device)
        print(f"making both inference networks: {time.perf_counter() - start:.1f} s")
        for batch in (1, 4) if device.type == "cpu" else (1, 4, 16, 64):
            images = [image.to(device).expand(batch, -1, -1, -1).contiguous() for image in pair]
            report(variants, images, gmac, peak, max(1, given.repeats // batch))


def make_variants(network: AnyCrossFuse, device: torch.device) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    trained = copy.deepcopy(network).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    plain = copy.deepcopy(network).to(device)
    is_faithful = isinstance(plain, CrossFuseNetwork)
    return {
        "baseline": (lambda ir, vi: fuse_per_tile(plain, ir, vi)) if is_faithful else plain,
        "as trained": trained,
        "inference fp32": InferenceNetwork(network, device),
        "inference bf16": InferenceNetwork(network, device, "bf16"),
    }


def report(
    variants: dict[str, Callable[[Tensor, Tensor], Tensor]], pair: list[Tensor], gmac: float, peak: float, repeats: int
) -> None:
    on_cpu = pair[0].device.type == "cpu"
    batch = len(pair[0])
    outputs: dict[str, Tensor] = {}
    runs = {name: partial(lambda name: outputs.update({name: variants[name](*pair)}), name) for name in variants}
    best = fastest(runs, repeats)
    print(
        f"\nbatch {batch}, ms a pair: wall    CPU   baseline / (wall, CPU)   of the peak"
        "   |difference|: max, 99.9 %, share <= 3"
    )
    for name, (wall, cpu) in best.items():
        largest, tail, near = differences(outputs[name], outputs["baseline"])
        base_wall, base_cpu = best["baseline"]
        share = 2 * gmac * batch / (cpu if on_cpu else wall) / peak
        ratios = f"{base_wall / wall:15.2f}{base_cpu / cpu:7.2f}{share:16.2f}"
        print(
            f"{name:18s}{1000 * wall / batch:11.1f}{1000 * cpu / batch:7.0f}{ratios}{largest:15.5f}{tail:9.5f}"
            f"{near:9.5f}"
        )


def speed(
    run: nn.Module, network: nn.Module, images: list[Tensor], seconds: float, in_graph: bool
) -> dict[str, object]:  # fmt: skip
    """Pairs/s of `run`, a way to run `network`, over `seconds`; its largest difference from it in grey levels."""
    call = captured(run, images) if in_graph else partial(run, *images)
    rate = len(images[0]) * calls_a_second(call, seconds)
    is_eager = run is network and not in_graph
    apart = {} if is_eager else {"grey levels from eager": differences(call(), network(*images))[0]}
    return {"value": rate, "unit": "pairs/s", "beside": apart}


def captured(network: nn.Module, images: list[Tensor]) -> Callable[[], Tensor]:
    """The network's work on `images` as one CUDA graph."""
    stream = torch.cuda.Stream()  # what is captured has to have run before, beside the default stream
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            network(*images)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = network(*images)

    def replay() -> Tensor:
        graph.replay()
        return out

    return replay


def differences(found: Tensor, expected: Tensor) -> tuple[float, float, float]:
    """Of the pixels in grey levels: the largest, what 99.9 % stay within, and the share of those up to 3."""
    difference = (found - expected).abs().flatten()
    tail = difference.kthvalue(int(0.999 * difference.numel())).values
    return difference.max().item(), tail.item(), (difference <= 3).float().mean().item()


def matmul_peak(repeats: int, device: torch.device) -> float:
    """GFLOP in a second: of CPU time by the fastest fp32 product that this PyTorch offers (MKL or oneDNN), or of the
    clock in bf16 on a GPU."""
    if device.type != "cpu":
        return product_rate(device, torch.bfloat16)
    a, b = torch.rand(MATMUL, MATMUL), torch.rand(MATMUL, MATMUL)
    runs: dict[str, Callable[[], object]] = {"mkl": lambda: a @ b}
    if has_packed_linear():
        packed = torch.ops.mkldnn._reorder_linear_weight(b, MATMUL)
        runs["onednn"] = lambda: torch.ops.mkldnn._linear_pointwise(a, packed, None, "none", [], "none")
    return 2e-9 * MATMUL**3 / min(cpu for _, cpu in fastest(runs, 2 * repeats).values())


def multiply_accumulates(network: AnyCrossFuse, infrared: Tensor, visible: Tensor) -> float:
    """10^9 multiply-accumulates of the network as trained."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(infrared, visible)
    return counter.get_total_flops() / 2e9


def read_pair(infrared: Path | None, visible: Path | None, size: str) -> Sequence[Tensor]:
    """Infrared and visible luma, (1, 1, H, W) in [0, 255]; without files, noise of `size`."""
    if infrared and visible:
        arrays = read_infrared(infrared), luma(read_visible(visible))
        return [torch.from_numpy(array).float()[None, None] for array in arrays]
    width, height = map(int, size.split("x"))
    coarse = torch.nn.functional.interpolate(torch.rand(2, 1, 24, 32), (height, width), mode="bicubic")
    return (200 * coarse + 40 * torch.rand_like(coarse)).clamp(0, 255).round().split(1)


def fuse_per_tile(network: CrossFuseNetwork, infrared: Tensor, visible: Tensor) -> Tensor:
    """CrossFuse as one would first write it down: fp32, channels first, tiles one by one, attention written out, box
    means as dense convolutions, batch normalisation as trained. Images (B, 1, H, W), [0, 255], one by one."""
    if len(infrared) > 1:
        return torch.cat(
            [fuse_per_tile(network, *pair) for pair in zip(infrared.split(1), visible.split(1), strict=True)]
        )
    ir_shallow, ir_deep = network.encoder_ir(infrared / 255)
    vi_shallow, vi_deep = network.encoder_vi(visible / 255)
    decoder = network.decoder
    ir_sum, vi_sum = dense_box(ir_deep), dense_box(vi_deep)
    total = ir_sum + vi_sum + EPS
    x = attend_tiles(network, ir_deep, vi_deep) + ir_sum / total * ir_deep + vi_sum / total * vi_deep
    for layer in (decoder.conv1, decoder.conv2, decoder.conv3):
        x = upsample(layer(x))
    x = pad_to(decoder.conv4(x), *ir_shallow.shape[-2:])
    ir_detail = (ir_shallow - dense_box(ir_shallow)).abs()
    vi_detail = (vi_shallow - dense_box(vi_shallow)).abs()
    total = ir_detail + vi_detail + EPS
    x = decoder.last(x + 0.5 * ir_detail / total * ir_shallow + vi_detail / total * vi_shallow)
    return (x - x.min()) / (x.max() - x.min() + EPS) * 255


def dense_box(x: Tensor) -> Tensor:
    """3x3 mean summed over channels as a convolution from C to C channels: (B, C, H, W) to the same."""
    channels = x.shape[1]
    return F.conv2d(x, torch.full((channels, channels, 3, 3), 1 / 9), padding=1)


def attend_tiles(network: CrossFuseNetwork, infrared: Tensor, visible: Tensor) -> Tensor:
    """The cross-attention module, tile by tile: (1, 128, h, w) twice to (1, 128, h, w)."""
    height, width = infrared.shape[-2:]
    ir, vi = (pad_reflect(x, 0, -width % TILE, 0, -height % TILE) for x in (infrared, visible))
    fused = torch.empty_like(ir)
    for top in range(0, ir.shape[2], TILE):
        for left in range(0, ir.shape[3], TILE):
            tile = (..., slice(top, top + TILE), slice(left, left + TILE))
            fused[tile] = attend(network, ir[tile], vi[tile])
    return fused[..., :height, :width]


def attend(network: CrossFuseNetwork, infrared: Tensor, visible: Tensor) -> Tensor:
    """One tile, (1, 128, 32, 32) twice to the same."""
    module = network.attention
    ir = shifted(module.self2_ir, to_maps(self_attention(module.self1_ir, to_tokens(infrared))))
    vi = shifted(module.self2_vi, to_maps(self_attention(module.self1_vi, to_tokens(visible))))
    return to_maps(cross_attention(module.cross_ir_vi, ir, vi) + cross_attention(module.cross_vi_ir, vi, ir))


def shifted(block: SelfBlock, tile: Tensor) -> Tensor:
    """Self-attention on the tile rolled by half its side; tokens of the tile rolled back."""
    half = TILE // 2
    rolled = self_attention(block, to_tokens(torch.roll(tile, (-half, -half), (2, 3))))
    return to_tokens(torch.roll(to_maps(rolled), (half, half), (2, 3)))


def self_attention(block: SelfBlock, tokens: Tensor) -> Tensor:
    q, k, v = block.qkv(block.norm1(tokens)).chunk(3, dim=-1)
    tokens = tokens + block.proj(attention(q, k, v, block.heads, sign=1))
    return tokens + block.mlp(block.norm2(tokens))


def cross_attention(block: CrossBlock, asking: Tensor, answering: Tensor) -> Tensor:
    a, b = block.norm1(asking), block.norm1(answering)
    out = answering + block.proj(attention(block.q(a), block.k(b), block.v(b), block.heads, sign=-1))
    return block.norm(out + block.mlp(block.norm2(out)))


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, sign: int) -> Tensor:
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    share = (sign * q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1)
    return (share @ v).transpose(1, 2).flatten(2)


if __name__ == "__main__":
    main()
