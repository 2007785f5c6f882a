"""Peak memory of the long commands on tiny images and on images of MSRS's size (Linux).

Usage: OMP_NUM_THREADS=1 python benchmarks/memory.py [--folder DIR]
Synthetic scenes, one device (the CPU), batches as in the recipes named below. "Libraries" is what a process holds that
has imported everything and done nothing: it is part of every peak, and more than a command alone would import.
"""

import argparse
import re
import tempfile
import time
from pathlib import Path

from killing import CASES, Material, Run

MSRS = "640x480"
# As large as the recipes for MSRS make them: crossfuse-modern's samples, YOLO's and the segmenter's images.
OVERRIDES = {
    "fusion train": ["sampling.size=256", "stage1.batch=4", "stage1.samples=4", "stage2.batch=4", "stage2.epochs=1"],
    "detection train": ["image_size=640", "epochs=1"],
    "segmentation train": ["crop=[480,640]", "batch=4", "epochs=1"],
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder without it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="memory-") as name:
        print(f"| command | peak MiB, 16 pairs of 96x64 | peak MiB, 16 pairs of {MSRS} |\n|---|---|---|")
        materials = [Material(Path(name) / size, 16, size) for size in ("96x64", MSRS)]
        for material in materials:
            material.prepare()
        print(
            "| libraries | "
            + " | ".join(f"{peak(['--version'], material.folder):.0f}" for material in materials)
            + " |"
        )
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
        try:
            found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{run.process.pid}/status").read_text())
        except OSError:
            break
        most = max(most, int(found[1]) if found else 0)
        time.sleep(0.002)
    assert run.end() == 0, run.said
    return most / 1024


if __name__ == "__main__":
    main()
