"""Time and peak memory of checking, fusing and evaluating datasets of 1 000 to 100 000 tiny pairs; or peak memory of
every long command (Linux).

Usage: OMP_NUM_THREADS=1 python benchmarks/scaling.py [--pairs 1000 10000 100000] [--commands] [--folder DIR]
Pairs are 16x16 PNG with one or two boxes; detections are the boxes, moved and scored at random. Every step is a command
in a process of its own. Seconds are CPU seconds, of the process with its threads. The last lines say by how much time
and memory grow for ten times the pairs: 10 is linear, what is there without any pair counts in memory.

--commands: every long command on 16 synthetic scenes of 96x64 and of 640x480, on the CPU. "Libraries" is what a process
holds that has imported everything and done nothing: it is part of every peak, and more than a command alone imports.
"""

import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measuring import COMMAND, options

from fuse2task.data.images import encode_png
from fuse2task.runtime.compute import generator

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "robustness"))
from killing import CASES, Material, Run

SIDE = 16
APPLY = "fusion apply --method average --data DIR/pairs --layout folder --boxes DIR/pairs/boxes -o DIR/fused"
EVAL = "detection eval --truth DIR/fused/annotations/test.json --predictions DIR/detections.json -o DIR/metrics.json"
STEPS = {
    "data check": "data check DIR/pairs --layout folder --boxes DIR/pairs/boxes",
    "fusion apply": APPLY,
    "fusion apply, again": APPLY,
    "detection eval": EVAL,
}
MSRS = "640x480"
# As large as the recipes for MSRS make them: crossfuse-modern's samples, YOLO's and the segmenter's images.
OVERRIDES = {
    "fusion train": ["sampling.size=256", "stage1.batch=4", "stage1.samples=4", "stage2.batch=4", "stage2.epochs=1"],
    "detection train": ["image_size=640", "epochs=1"],
    "segmentation train": ["crop=[480,640]", "batch=4", "epochs=1"],
}  # fmt: skip


class Cost(NamedTuple):
    """What a command took: CPU seconds, peak resident memory in MiB, most files that were open at a time."""

    seconds: float
    peak: float
    files: int


def main() -> None:
    given = options(__doc__, pairs=[1000, 10_000, 100_000], folder=Path, commands=False)
    if given.commands:
        memory_of_commands(given.folder)
        return
    costs: dict[str, list[Cost]] = {name: [] for name in STEPS}
    print("| pairs | command | CPU s | ms a pair | peak MiB | KiB a pair | open files |\n|---|---|---|---|---|---|---|")
    for count in given.pairs:
        with tempfile.TemporaryDirectory(dir=given.folder, prefix="scaling-") as name:
            write_pairs(Path(name) / "pairs", count)
            write_detections(Path(name) / "pairs", Path(name) / "detections.json", count)
            for step, arguments in STEPS.items():
                cost = measured([argument.replace("DIR", name) for argument in arguments.split()])
                costs[step].append(cost)
                each = f"{1000 * cost.seconds / count:.2f} | {cost.peak:.0f} | {1024 * cost.peak / count:.1f}"
                print(f"| {count} | {step} | {cost.seconds:.1f} | {each} | {cost.files} |", flush=True)
    for step, found in costs.items():
        for (few, less), (many, more) in itertools.pairwise(zip(given.pairs, found, strict=True)):
            slower, memory = more.seconds / less.seconds, 1024 * (more.peak - less.peak) / (many - few)
            print(f"{step}, {few} to {many} pairs (x {many / few:g}): time x {slower:.1f}, ", end="")
            print(f"{memory:.1f} KiB for every further pair")


def write_pairs(root: Path, count: int) -> None:
    """`count` pairs of random pixels, with YOLO labels of classes person and car."""
    for folder in ("ir", "vi", "boxes"):
        (root / folder).mkdir(parents=True)
    (root / "boxes" / "classes.txt").write_text("person\ncar\n")
    rng = generator("scaling", count)
    for number in range(count):
        pixels = rng.integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)
        (root / "ir" / f"p{number:06d}.png").write_bytes(encode_png(np.ascontiguousarray(pixels[..., 3])))
        (root / "vi" / f"p{number:06d}.png").write_bytes(encode_png(np.ascontiguousarray(pixels[..., :3])))
        lines = [f"{number % 2} 0.5 0.5 0.25 0.25\n", "1 0.25 0.25 0.125 0.25\n"][: 1 + number % 2]
        (root / "boxes" / f"p{number:06d}.txt").write_text("".join(lines))


def write_detections(root: Path, path: Path, count: int) -> None:
    """COCO results beside the true boxes; image ids count from 1 in order of the names, category ids from 1."""
    rng = generator("detections", count)
    found = []
    for number in range(count):
        x, y = 6 + rng.normal(0, 0.4, 2)
        score = float(rng.random())
        found.append({"image_id": number + 1, "category_id": number % 2 + 1, "bbox": [x, y, 4, 4], "score": score})
    path.write_text(json.dumps(found))


def measured(arguments: list[str]) -> Cost:
    """Run a command and measure it."""
    command = [*COMMAND, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    files = most = 0

    def watch() -> None:
        nonlocal files, most
        while process.returncode is None:
            try:
                files = max(files, len(os.listdir(f"/proc/{process.pid}/fd")))
            except OSError:
                return
            most = max(most, resident(process.pid))
            time.sleep(0.02)

    threading.Thread(target=watch, daemon=True).start()
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(arguments)}: {said}")
    return Cost(usage.ru_utime + usage.ru_stime, most / 1024, files)


def memory_of_commands(place: Path | None) -> None:
    """Print a Markdown table of peak memory by command, for both sizes of images."""
    with tempfile.TemporaryDirectory(dir=place, prefix="memory-") as name:
        print(f"| command | peak MiB, 16 pairs of 96x64 | peak MiB, 16 pairs of {MSRS} |\n|---|---|---|")
        materials = [Material(Path(name) / size, 16, size) for size in ("96x64", MSRS)]
        for material in materials:
            material.prepare()
        libraries = [f"{peak(['--version'], material.folder):.0f}" for material in materials]
        print(f"| libraries | {' | '.join(libraries)} |")
        for case in CASES:
            peaks = []
            for material in materials:
                folder = material.folder / case.replace(" ", "-")
                folder.mkdir()
                more = OVERRIDES.get(case, []) if material.size == MSRS else []
                peaks.append(peak([*material.command(case), *more], folder))
            print(f"| {case} | " + " | ".join(f"{value:.0f}" for value in peaks) + " |", flush=True)


def peak(arguments: list[str], folder: Path) -> float:
    """Most resident memory of a command, in MiB."""
    run, most = Run(arguments, folder), 0
    while run.process.is_alive():
        most = max(most, resident(run.process.pid))
        time.sleep(0.002)
    assert run.end() == 0, run.said
    return most / 1024


def resident(pid: int | None) -> int:
    """Peak resident memory of a process in KiB, 0 where it has ended; `ru_maxrss` would begin with its parent's."""
    try:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


if __name__ == "__main__":
    main()
