"""The same request with the same seed gives the same bytes, in another process too."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

SYNTH = ("data", "synth", "OUT", "--layout", "m3fd", "--count", "4", "--size", "64x64")
COMMANDS = {
    "synth": SYNTH,
    "degrade": ("data", "degrade", "SCENES", "--layout", "m3fd", "--kind", "rain", "--level", "3", "-o", "OUT"),
    "apply": ("fusion", "apply", "--method", "laplacian", "--data", "SCENES", "--layout", "m3fd", "-o", "OUT"),
    "score": ("fusion", "score", "--ir", "SCENES/Ir", "--visible", "SCENES/Vis", "--fused", "a=SCENES/Vis", "-o",
              "OUT/scores.csv"),
    "fusion train": (
        "fusion", "train", "fusion/crossfuse-demo", "-o", "OUT",
        "data=[{root: SCENES, layout: m3fd, parts: [test]}]",
        "held_out=1", "sampling.size=32", "stage1.epochs=1", "stage1.samples=2", "stage1.batch=2", "stage2.epochs=1",
        "stage2.samples=2", "stage2.batch=2", "device=cpu", "precision=fp32",
    ),
}  # fmt: skip
TIMED = ("log.csv", "card.json")  # hold seconds


def run(arguments, out: Path, scenes: Path) -> dict[str, str]:
    """Digests of all files that the command writes."""
    filled = [item.replace("OUT", str(out)).replace("SCENES", str(scenes)) for item in arguments]
    code = "from fuse2task.cli.main import run; run()"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "random"}
    done = subprocess.run([sys.executable, "-c", code, *filled], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and path.name not in TIMED]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    run(SYNTH, folder, folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_twice_the_same(name, scenes, tmp_path):
    first, second = (run(COMMANDS[name], tmp_path / number / "out", scenes) for number in ("1", "2"))
    assert len(first) > 1
    assert first == second
