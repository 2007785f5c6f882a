"""Disk to disk: pairs/s of `fusion apply` beside what decoding, fusing and encoding alone allow, and peak memory.

    python benchmarks/writing.py [--methods average crossfuse-plus] [--pairs 400] [--data ROOT --layout LAYOUT]
        [--precision auto] [--folder DIR] [--encoders]

Without --data the pairs are synthetic, 1024x768, of the size of camera files; fewer than --pairs are repeated.
"Allowed" is cores / (CPU seconds of a pair's decoding + fusing + encoding and writing, each measured alone); cores are
those that other processes left free during the run (Linux: /proc/stat). With a GPU the fusing costs no core, so that
the ratio means something on a CPU only. Equal output is checked by digest.
With --encoders: CPU time and file size of every lossless PNG encoder at hand on averages of four pairs, one thread, as
ratios to what `encode_png` writes; every file is decoded and compared.
"""

import io
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from measuring import options, peak_memory
from PIL import Image
from torchvision.io import encode_png as torchvision_png

from fuse2task.data.dataset import Dataset, Pair
from fuse2task.data.fused import open_fused
from fuse2task.data.images import encode_png, read_infrared, read_visible, write_image
from fuse2task.data.loading import load_pairs
from fuse2task.runtime.compute import keep_freed_memory
from fuse2task.runtime.overlap import threads
from fusion.dataset_writer import FusedJournal, PairWriter, Shard, write_fused
from fusion.methods import Method, make_method

Encoder = Callable[[np.ndarray], bytes]
Make = Callable[[], Method]
SIZE = (1024, 768)
ALONE = 16  # pairs that the steps alone, and the sequential loop, are measured on
STEPS = ("decode", "fuse", "encode and write")
STRATEGIES, FILTERS = ("RLE", "HUFFMAN_ONLY", "DEFAULT"), ("SUB", "UP", "AVG", "PAETH", "NONE")


def main() -> None:
    given = options(
        __doc__, methods=["average"], pairs=400, data=Path, layout=str, precision="auto", folder=Path, encoders=False
    )
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="writing-") as name:
        folder = Path(name)
        pairs = load_pairs(given.data, given.layout) if given.data else synthetic(folder / "source", 8)
        if given.encoders:
            compare_encoders([pairs[number] for number in np.linspace(0, len(pairs) - 1, 4).astype(int)])
            return
        print(f"{threads()} cores, load average {os.getloadavg()[0]:.1f}; {len(pairs)} distinct pairs")
        for name in given.methods:
            measure(partial(make_method, name, precision=given.precision), name, pairs, given.pairs, folder)


def measure(make: Make, name: str, pairs: tuple[Pair, ...], count: int, folder: Path) -> None:
    seconds, sequential, digests = in_new_process(alone, make, repeated(pairs, min(ALONE, count)), folder)
    steps = ", ".join(f"{step} {value:.4f}" for step, value in zip(STEPS, seconds, strict=True))
    print(f"\n{name}: CPU seconds of a pair alone: {steps}; one after the other {sequential:.2f} pairs/s")
    for amount in sorted({min(100, count), count}):
        run = in_new_process(disk_to_disk, make, repeated(pairs, amount), folder)
        rate, allowed = amount / run.wall, run.free / run.wall / sum(seconds)
        equal = all(run.digests[key] == digest for key, digest in digests.items())
        print(
            f"{amount} pairs: {rate:.2f} pairs/s, {rate / sequential:.2f} x one after the other, {rate / allowed:.0%} "
            f"of the {allowed:.2f} allowed by {run.free / run.wall:.2f} free cores; "
            f"{run.cpu / amount:.4f} CPU s a pair; peak {run.peak:.0f} MiB; files {'equal' if equal else 'DIFFER'}"
        )


def alone(make: Make, pairs: tuple[Pair, ...], folder: Path) -> tuple[list[float], float, dict[str, str]]:
    """CPU seconds of each step, pairs/s of a sequential loop, digests of the images."""
    method = make()
    out = folder / f"{method.name}-alone"
    (out / "work").mkdir(parents=True)
    keep_freed_memory()
    with FusedJournal(out / "work", Shard()) as journal:
        writer = PairWriter(Dataset("folder", folder, pairs), method, out, "rgb", journal)
        for warm_up in (True, False):
            seconds, began, digests = np.zeros(len(STEPS)), time.perf_counter(), {}
            for pair in pairs[: 2 if warm_up else None]:
                marks, loaded = [time.process_time()], writer.load(pair)
                marks, made = [*marks, time.process_time()], writer.fuse([pair], [loaded])
                marks, row = [*marks, time.process_time()], writer.store(pair, made[0])
                digests[pair.id] = row["image"]
                seconds += np.diff([*marks, time.process_time()])
            wall = time.perf_counter() - began
    return (seconds / len(pairs)).tolist(), len(pairs) / wall, digests


class Run(NamedTuple):
    """A measured run: wall, CPU and free core seconds, peak memory in MiB, digests of the images."""

    wall: float
    cpu: float
    free: float
    peak: float
    digests: dict[str, str]


def disk_to_disk(make: Make, pairs: tuple[Pair, ...], folder: Path) -> Run:
    method = make()
    out = folder / f"{method.name}-{len(pairs)}"
    wall, cpu, idle = time.perf_counter(), time.process_time(), idle_seconds()
    write_fused(Dataset("folder", folder, pairs), method, out)
    wall, cpu, idle = time.perf_counter() - wall, time.process_time() - cpu, idle_seconds() - idle
    digests = {row["id"]: row["image"] for row in open_fused(out).manifest["files"]}
    return Run(wall, cpu, cpu + idle, peak_memory(), digests)


def idle_seconds() -> float:
    """Core seconds since the start of the machine in which no process ran, those that waited for the disk included."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")


def in_new_process(function: Callable, *arguments: object):
    """The function's result from a process of its own, so that its peak memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def repeated(pairs: tuple[Pair, ...], count: int) -> tuple[Pair, ...]:
    """`count` pairs over the same files, each with an id of its own."""
    return tuple(replace(pairs[number % len(pairs)], id=f"p{number:06d}", split="test") for number in range(count))


def synthetic(folder: Path, count: int, size: tuple[int, int] = SIZE) -> tuple[Pair, ...]:
    """Smooth random pairs with sensor noise, about as large as a camera's files; infrared grey in three channels."""
    rng, pairs = np.random.default_rng(7), []
    for number in range(count):
        coarse = cv2.resize(rng.normal(110, 60, (24, 32, 4)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        pixels = np.clip(coarse + rng.normal(0, 2, coarse.shape), 0, 255).astype(np.uint8)
        infrared, visible = (folder / side / f"{number}.png" for side in ("ir", "vi"))
        write_image(infrared, np.repeat(pixels[..., 3:], 3, axis=2))
        write_image(visible, np.ascontiguousarray(pixels[..., :3]))
        pairs.append(Pair(str(number), "test", infrared, visible, size))
    return tuple(pairs)


def compare_encoders(pairs: list[Pair]) -> None:
    """Print CPU milliseconds and kB an image of every encoder, with ratios to the first."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    average = make_method("average")
    images = [average.fuse(pair, read_infrared(pair.infrared), read_visible(pair.visible)).rgb for pair in pairs]
    shapes = ", ".join(sorted({str(image.shape) for image in images}))
    print(f"{len(images)} images of {shapes}; OpenCV {cv2.__version__}")
    first = None
    for name, encode in encoders().items():
        seconds, size = np.mean([encoding(encode, image) for image in images], axis=0)
        first = first or (seconds, size)
        slower, larger = seconds / first[0], size / first[1]
        print(f"{name:28}{seconds * 1e3:7.1f} ms ({slower:.2f}){size / 1e3:8.0f} kB ({larger:.2f})")


def encoders() -> dict[str, Encoder]:
    chosen: dict[str, Encoder] = {"encode_png": encode_png}
    chosen |= {f"OpenCV, {strategy}, {kind}": opencv(strategy, kind) for strategy in STRATEGIES for kind in FILTERS}
    for name, encode in (("Pillow", pillow), ("torchvision", torchvision)):
        chosen |= {f"{name}, level {level}": partial(encode, level=level) for level in (1, 6)}
    return chosen


def encoding(encode: Encoder, image: np.ndarray) -> tuple[float, int]:
    """CPU seconds, the best of three, and bytes."""
    seconds = []
    for _ in range(3):
        began = time.thread_time()
        data = encode(image)
        seconds.append(time.thread_time() - began)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), image)
    return min(seconds), len(data)


def opencv(strategy: str, kind: str) -> Encoder:
    settings = [cv2.IMWRITE_PNG_COMPRESSION, 1]  # first: it resets the strategy
    settings += [cv2.IMWRITE_PNG_STRATEGY, getattr(cv2, f"IMWRITE_PNG_STRATEGY_{strategy}")]
    settings += [cv2.IMWRITE_PNG_FILTER, getattr(cv2, f"IMWRITE_PNG_FILTER_{kind}")]
    return lambda image: cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)[1].tobytes()


def pillow(image: np.ndarray, level: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def torchvision(image: np.ndarray, level: int) -> bytes:
    return torchvision_png(torch.from_numpy(image).permute(2, 0, 1), level).numpy().tobytes()


if __name__ == "__main__":
    main()
