"""Long commands on tiny data that are killed, started again, and compared with an undisturbed run (Linux).

Commands run in processes of their own, forked from a server that has imported the libraries, so that kills fall into
the work and not into imports.

Usage: python tests/robustness/killing.py [--kills 60] [--seed 0] [--only "fusion apply"] [--folder DIR]
Each folder takes up to three kills (SIGKILL, SIGTERM, SIGINT in turn; moments drawn from the seed), then the command
runs to its end there. Compared are all files, byte for byte, without seconds and dates.
"""

import argparse
import csv
import io
import itertools
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

MESSAGE = "error: interrupted; run the same command again to resume"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
PROMPT = 60.0  # seconds in which a process has to end after a signal, on a busy machine
GRACE = 9.0  # after about these seconds a process ends out of order, as a kill does
PRELOADED = ["fuse2task.cli.main", "fusion.training.run", "fusion.dataset_writer", "fusion.quality.scorer",
             "detection.training", "detection.trainer", "detection.judge", "segmentation.training",
             "fuse2task.bench.api", "fuse2task.data.degradation.writing", "fuse2task.rig.importing"]  # fmt: skip
# What tells of time. Left out besides: what is not finished work, .pt (they hold a date), locks of killed processes.
VOLATILE = ("timings.csv", "costs.csv")
TIMES = ("seconds", "time", "seconds_of_last_start")
IN_A_FOLDER = 3

FUSION = """
data: [{root: DIR/msrs, layout: msrs, parts: [train]}]
held_out: 2
sampling: {size: 32}
stage1: {epochs: 1, samples: 6, batch: 2, lr: 1.0e-3}
stage2: {epochs: 2, samples: 4, batch: 2, lr: 1.0e-3, clip: 100000}
device: cpu
precision: fp32
save_every: 0.5
"""
BENCH = {
    "datasets": {"scenes": {"root": "DIR/m3fd", "layout": "m3fd", "split": "DIR/m3fd/split.txt"}},
    "judges": {"yolo": {"task": "detection", "protocol": "frozen", "weights": "DIR/yolo/best.safetensors"}},
    "scores": {"profile": "standard", "names": ["EN", "MI"]}, "open_test": True, "costs": False,
    "intervals": {"replicates": 60, "level": 0.9, "seed": 1},
}  # fmt: skip
YOLO = ["detection/yolo-n-demo", "data=DIR/boxes", "epochs=3", "image_size=64", "batch=4", "device=cpu"]
UNET = ["segmentation/unet-demo", "data=DIR/masks", "epochs=3", "crop=[64,64]", "batch=2", "device=cpu"]
APPLY = ["fusion", "apply", "--data", "DIR/m3fd", "--layout", "m3fd", "--split", "DIR/m3fd/split.txt"]

CASES = {
    "fusion train": ["fusion", "train", "DIR/fusion.yaml", "-o", "out"],
    "fusion apply": [*APPLY, "--method", "laplacian", "-o", "out"],
    "fusion score": ["fusion", "score", "--ir", "DIR/m3fd/Ir", "--visible", "DIR/m3fd/Vis", "--fused", "DIR/loose",
                     "--scores", "EN,MI,VIF,Qabf,FMI_pixel", "-o", "out/scores.csv", "--device", "cpu"],
    "detection train": ["detection", "train", *YOLO, "-o", "out"],
    "detection eval": ["detection", "eval", "--weights", "DIR/yolo/best.safetensors", "--data", "DIR/boxes", "--split",
                       "test", "-o", "out/metrics.json", "--device", "cpu"],
    "segmentation train": ["segmentation", "train", *UNET, "-o", "out"],
    "segmentation eval": ["segmentation", "eval", "--labels", "DIR/masks/masks/train", "--predictions",
                          "DIR/masks/masks/train", "-o", "out/metrics.json"],
    "bench run": ["bench", "run", "DIR/bench.yaml", "-o", "out", "--device", "cpu"],
    "data degrade": ["data", "degrade", "DIR/m3fd", "--layout", "m3fd", "--kind", "haze", "--level", "3", "-o", "out"],
    "data import": ["data", "import", "rig/plain", "radiometry.map=plateau", "--infrared", "DIR/m3fd/Ir", "--visible",
                    "DIR/m3fd/Vis", "-o", "out"],
    "data synth": ["data", "synth", "out", "--layout", "msrs", "--count", "16", "--size", "96x64"],
}  # fmt: skip


@dataclass
class Material:
    """What the commands work on, in `folder`; outcome and timing of undisturbed runs, made when asked for."""

    folder: Path
    pairs: int = 16
    size: str = "96x64"
    references: dict[str, tuple[dict[str, bytes], float, float]] = field(default_factory=dict)

    def prepare(self) -> None:
        """Synthetic scenes with boxes and with masks, fused by the average; the recipes."""
        size = ["--size", self.size, "--count", str(self.pairs)]
        for layout in ("m3fd", "msrs"):
            self.do("data", "synth", f"{self.folder}/{layout}", "--layout", layout, *size)
        self.do(*APPLY, "--method", "average", "-o", "DIR/boxes")
        self.do("fusion", "apply", "--method", "average", "--data", "DIR/msrs", "--layout", "msrs", "-o", "DIR/masks")
        folders = ["--ir", "DIR/m3fd/Ir", "--visible", "DIR/m3fd/Vis"]
        self.do("fusion", "pairs", "--method", "average", *folders, "-o", "DIR/loose")
        (self.folder / "fusion.yaml").write_text(FUSION.replace("DIR", str(self.folder)))
        (self.folder / "bench.yaml").write_text(yaml.safe_dump(BENCH).replace("DIR", str(self.folder)))

    def command(self, name: str) -> list[str]:
        """The arguments of a case; what it needs is there afterwards."""
        if name in ("detection eval", "bench run") and not (self.folder / "yolo" / "card.json").is_file():
            self.do("detection", "train", *YOLO, "-o", "DIR/yolo")
        return [argument.replace("DIR", str(self.folder)) for argument in CASES[name]]

    def do(self, *arguments: str) -> None:
        """Run a command to its end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        run = Run([argument.replace("DIR", str(self.folder)) for argument in arguments], self.folder)
        assert run.end() == 0, run.said

    def reference(self, name: str) -> tuple[dict[str, bytes], float, float]:
        """Outcome of an undisturbed run; seconds from its start to its first output, and to its end."""
        if name not in self.references:
            folder = self.folder / "undisturbed" / name.replace(" ", "-")
            folder.mkdir(parents=True)
            run = Run(self.command(name), folder)
            first = None
            while run.process.is_alive():
                if first is None and (folder / "out").exists():
                    first = time.monotonic() - run.began
                time.sleep(0.005)
            whole = time.monotonic() - run.began
            assert run.end() == 0, run.said
            self.references[name] = outcome(folder / "out"), whole if first is None else first, whole
        return self.references[name]


class Run:
    """A command in a process and session of its own; `began` is when it caught signals.

    said: file of its messages. largest: bytes that it may write to a file.
    """

    def __init__(self, arguments: list[str], folder: Path, said: Path | None = None, largest: int | None = None):
        self._said = said or folder / "said.txt"
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self.process = context.Process(target=_command, args=(arguments, str(folder), str(self._said), largest))
        self.process.start()
        while self.process.is_alive() and not _catches(self.process.pid):
            time.sleep(0.005)
        self.began = time.monotonic()
        self.in_order = True

    @property
    def said(self) -> str:
        """Its standard error so far."""
        return self._said.read_text()

    def end(self, seconds: float = 300) -> int:
        """Wait for the end; the exit code, negative for a signal."""
        self.process.join(seconds)
        assert not self.process.is_alive(), f"still running after {seconds} s: {self.said}"
        return self.process.exitcode

    def kill_at(self, moment: float, number: signal.Signals) -> bool:
        """Send the signal `moment` seconds after the start and check how the process ends; False: it had ended."""
        self.process.join(max(0.0, self.began + moment - time.monotonic()))
        if not self.process.is_alive():
            return False
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)  # as a terminal does
        else:
            os.kill(self.process.pid, number)
        sent = time.monotonic()
        code = self.end(PROMPT)
        self.in_order = number != signal.SIGKILL and time.monotonic() - sent < GRACE
        if code == 0:
            return False  # it ended in the same moment
        if number == signal.SIGKILL:
            assert code == -signal.SIGKILL, self.said
        else:
            assert code == 1, f"exit code {code}: {self.said}"
            assert self.said.splitlines()[-1] == MESSAGE, self.said
            assert "Traceback" not in self.said, self.said
        deadline = time.monotonic() + PROMPT
        while left := session(self.process.pid):
            assert time.monotonic() < deadline, f"children are left: {left}"
            time.sleep(0.01)
        return True


@dataclass
class Tally:
    """Kills by signal, and folders that were killed and then finished."""

    kills: dict[str, int] = field(default_factory=dict)
    folders: int = 0

    def add(self, number: signal.Signals) -> None:
        """Count a kill."""
        self.kills[number.name] = self.kills.get(number.name, 0) + 1


def disturbed(
    material: Material, name: str, folder: Path, draw: random.Random, kills: int, signals: Callable[[], signal.Signals]
) -> Tally:
    """Kill a command `kills` times in one folder, finish it there, and compare; returns what was done.

    Raises:
        AssertionError: another outcome, half-written files, a slow or unreadable end.
    """
    expected, first, whole = material.reference(name)
    arguments, tally = material.command(name), Tally()
    folder.mkdir(parents=True)
    for _ in range(10 * kills):
        if sum(tally.kills.values()) == kills:
            break
        number = signals()
        run = Run(arguments, folder)
        moment = draw.uniform(0.95 * first, whole) if draw.random() < 0.8 else draw.uniform(0, first)
        if run.kill_at(moment, number):
            tally.add(number)
            check_whole(folder / "out", run.process.pid if run.in_order else None)
        elif run.end() == 0:
            assert_same(outcome(folder / "out"), expected, name)
            shutil.rmtree(folder / "out")  # too late; again
        else:
            raise AssertionError(run.said)
    if name != "data synth" or outcome(folder / "out") != expected:  # it refuses a folder that it has finished
        run = Run(arguments, folder)
        assert run.end() == 0, run.said
    assert_same(outcome(folder / "out"), expected, name)
    tally.folders = 1
    return tally


def assert_same(found: dict[str, bytes], expected: dict[str, bytes], name: str) -> None:
    """Compare two outcomes file by file."""
    different = sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))
    assert not different, f"{name}: not as undisturbed: {different}"


def outcome(out: Path) -> dict[str, bytes]:
    """Content of every file below `out`, without what tells of time."""
    found = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        name = path.relative_to(out).as_posix()
        if path.name in VOLATILE or path.suffix == ".pt" or name.startswith(("resume/", ".locks/", ".lock")):
            continue
        found[name] = _timeless(path)
    return found


def check_whole(out: Path, pid: int | None) -> None:
    """Assert that no file that a reader would take is half-written, and that no temporary one of `pid` is left."""
    from fuse2task.data.images import read_visible
    from fuse2task.runtime.checkpoints import read_safetensors

    for path in [path for path in out.rglob("*") if path.is_file() and "ultralytics" not in path.parts]:
        if path.name.endswith(".tmp") and path.name.startswith("."):
            assert path.name.split(".")[-2] != str(pid), f"left behind: {path}"
        elif path.suffix == ".png":
            read_visible(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".safetensors":
            read_safetensors(path)


def _timeless(path: Path) -> bytes:
    if path.name == "log.csv":
        rows = list(csv.DictReader(io.StringIO(path.read_text())))
        return json.dumps([{key: row[key] for key in row if key not in TIMES} for row in rows]).encode()
    if path.name == "card.json":
        card = json.loads(path.read_text())
        return json.dumps({key: card[key] for key in card if key not in TIMES}).encode()
    return path.read_bytes()


def _command(arguments: list[str], folder: str, said_in: str, largest: int | None) -> None:
    os.setsid()
    os.chdir(folder)
    said = os.open(said_in, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if largest is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    from fuse2task.cli.main import run

    sys.argv = ["fuse2task", *arguments]
    run(arguments)


def _catches(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def session(leader: int) -> list[int]:
    """Processes of the session that still run."""
    left = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, *_, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(session) == leader and state != "Z":
                left.append(int(entry.name))
    return left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", choices=list(CASES))
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder without it")
    given = parser.parse_args()
    names = given.only or list(CASES)
    draw, signals = random.Random(given.seed), itertools.cycle(SIGNALS)
    tallies, failures, began = {name: Tally() for name in names}, [], time.monotonic()
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="kills-") as folder:
        material = Material(Path(folder))
        material.prepare()
        for number in itertools.count():
            missing = given.kills - sum(sum(tally.kills.values()) for tally in tallies.values())
            if missing <= 0 or failures:
                break
            name = names[number % len(names)]
            try:
                one = disturbed(material, name, Path(folder) / f"killed-{number}", draw,
                                min(IN_A_FOLDER, missing), lambda: next(signals))  # fmt: skip
            except AssertionError as error:
                failures.append(f"{name}: {error}")
                continue
            for key, count in one.kills.items():
                tallies[name].kills[key] = tallies[name].kills.get(key, 0) + count
            tallies[name].folders += one.folders
            print(f"{time.monotonic() - began:.0f} s: {name}: {one.kills}", file=sys.stderr, flush=True)
    header = ["command", *(number.name for number in SIGNALS), "folders, all as undisturbed"]
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    for name, tally in tallies.items():
        counts = [tally.kills.get(number.name, 0) for number in SIGNALS]
        print("| " + " | ".join([name, *map(str, counts), str(tally.folders)]) + " |")
    totals = [sum(tally.kills.get(number.name, 0) for tally in tallies.values()) for number in SIGNALS]
    print("| " + " | ".join(["all", *map(str, totals), str(sum(tally.folders for tally in tallies.values()))]) + " |")
    print(f"{sum(totals)} kills, {len(failures)} failures")
    sys.exit("\n".join(failures) or 0)


if __name__ == "__main__":
    main()
