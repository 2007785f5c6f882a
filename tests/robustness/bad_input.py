"""Bad input for every reader: what is read, refused with a message, or goes wrong. Everything that goes wrong is a bug.

Usage: python tests/robustness/bad_input.py [--inputs 10000] [--seed 0] [--start 0] [--only READER]
Each input is made from (seed, number) alone, read in a child process with an alarm after 5 s of the processor (or 10 s
in which it sleeps), and watched: memory is a resident set that grows by more than 600 MiB (a process with PyTorch has
400 already), outside is anything written beside the output folder. A refusal is a RequestError or Fuse2TaskError that
names the file. Exit code 1 where something went wrong.
"""

import argparse
import collections
import contextlib
import io
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from random import Random

import readers
from damage import GENERIC, put
from valid_files import formats

WRONG = ("traceback", "hang", "memory", "outside", "unnamed")
SECONDS, WAITING = 5, 10  # of the processor's time; of sleep, for other processes may have the processor
BYTES = 600 * 2**20  # beyond what the process has before, which is 400 MiB for a command that needs PyTorch
SPECIAL = ("in its words", "bomb", "no file")


class Alarm(BaseException):
    """The reader took too long."""


class Case:
    """Input `number`: one reader, one kind of damage; the same for the same seed."""

    def __init__(self, seed: int, number: int, only: str | None = None):
        self.rng = Random(f"{seed}/{number}")
        self.readers = readers.readers()
        self.reader = only or self.rng.choice([*self.readers, "dataset tree"])
        self.damage = "tree" if self.reader == "dataset tree" else self.rng.choice([*GENERIC, *SPECIAL])

    def make(self, folder: Path) -> Path:
        """Write the input below `folder`; returns its path."""
        if self.damage == "tree":
            readers.tree(folder / "tree", self.rng)
            return folder / "tree"
        reader = self.readers[self.reader]
        form = formats()[reader.format]
        path = folder / (reader.file or f"a{form.suffix}")
        if self.damage == "no file":
            return put(path, form.valid(), self.rng)
        if self.damage == "in its words":
            data = form.words(self.rng)
        elif self.damage == "bomb":
            data = form.bombs(self.rng)
        else:
            data = GENERIC[self.damage](form.valid(), self.rng)
        path.write_bytes(data)
        return path

    def read(self, path: Path, out: Path) -> None:
        """What the commands do with it."""
        (readers.read_tree if self.damage == "tree" else self.readers[self.reader].read)(path, out)


class Watch:
    """Paths that this process opens for writing, makes, moves or removes, while it is on."""

    def __init__(self) -> None:
        self.on, self.paths = False, set[str]()
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple) -> None:
        if not self.on:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = (
                any(letter in mode for letter in "wax+") if mode else bool((flags or 0) & (os.O_WRONLY | os.O_RDWR))
            )
            found = [path] if writes else []
        elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "os.symlink"):
            # Names below an open folder (dir_fd, which is the last argument) are not those of paths.
            found = (
                [arguments[1 if event == "os.symlink" else 0]] if event == "os.truncate" or arguments[-1] == -1 else []
            )
        elif event in ("os.rename", "os.link"):
            found = list(arguments[:2])
        else:
            return
        self.paths |= {
            os.path.abspath(os.fsdecode(path)) for path in found if isinstance(path, str | bytes | os.PathLike)
        }


def run_case(seed: int, number: int, only: str | None, watch: Watch, place: Path) -> dict[str, str]:
    """Make and read one input in `place`; returns reader, damage and outcome, with what went wrong."""
    from fuse2task.runtime.errors import Fuse2TaskError

    inside, out = place / "in", place / "out"
    for folder in (inside, out):
        folder.mkdir(parents=True)
    case = Case(seed, number, only)
    told = {"reader": case.reader, "damage": case.damage, "detail": ""}
    path = case.make(inside)
    os.chdir(place)
    before = _listing(place)
    Path("/proc/self/clear_refs").write_text("5")
    start = _memory("VmRSS")
    watch.paths.clear()
    watch.on = True
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            case.read(path, out)
        outcome = "read"
    except Fuse2TaskError as error:
        named = str(inside) in str(error)
        outcome, told["detail"] = ("refused", "") if named else ("unnamed", str(error)[:300])
    except Alarm:
        outcome = "hang"
    except MemoryError:
        outcome = "memory"
    except Exception:
        outcome, told["detail"] = "traceback", "".join(traceback.format_exc()[-1500:])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        watch.on = False
    growth = _memory("VmHWM") - start
    told["growth"] = str(growth)
    if growth > BYTES:
        outcome, told["detail"] = "memory", f"{growth / 2**20:.0f} MiB more"
    allowed = (str(out), "/dev/null", str(Path(tempfile.gettempdir()) / "fuse2task-ultralytics"))
    # The readers of labels and states put helpers of their own beside the input.
    outside = [name for name in watch.paths if not name.startswith((*allowed, str(inside)))]
    if outside or _listing(place) != before:
        outcome, told["detail"] = "outside", str(outside[:3])
    os.chdir("/")
    return {**told, "outcome": outcome}


def _listing(place: Path) -> list[str]:
    return sorted(str(path) for path in (*place.iterdir(), *place.parent.iterdir()))


def _memory(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def work(seed: int, only: str | None, root: Path) -> None:
    """The child: a line with a number in, a line with its outcome out."""
    import torch

    import detection.judge  # noqa: F401 - what is imported late would count as the first reader's memory and time
    import fusion.dataset_writer  # noqa: F401
    import segmentation.model  # noqa: F401
    from fuse2task.runtime.packages import quiet_ultralytics

    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1)])
    quiet_ultralytics()
    import onnxruntime  # noqa: F401

    def alarm(*_: object) -> None:
        raise Alarm

    signal.signal(signal.SIGPROF, alarm)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 8 * BYTES, resource.RLIM_INFINITY))
    watch, answers = Watch(), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        place = root / f"case-{line.strip()}"
        answers.write(json.dumps(run_case(seed, int(line), only, watch, place)) + "\n")
        answers.flush()
        shutil.rmtree(place, ignore_errors=True)


class Child:
    """A process that reads inputs, and is replaced when one kills it or makes it hang."""

    def __init__(self, seed: int, only: str | None, root: Path):
        self.command = [sys.executable, __file__, "--worker", str(root), "--seed", str(seed)]
        self.command += ["--only", only] if only else []
        self.process: subprocess.Popen[str] | None = None
        self.done, self.slept = 0, False

    def ask(self, number: int) -> dict[str, str] | None:
        """The outcome; None where the child died or stopped answering."""
        if self.process is None or self.done >= 4000:
            self.stop()
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            self._answer()
            self.done = 0
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):  # it has died: there will be no answer
            self.process.stdin.write(f"{number}\n")
            self.process.stdin.flush()
        self.done += 1
        answer = self._answer()
        self.slept = answer is None
        if not answer:
            self.stop()
        return json.loads(answer) if answer else None

    def _answer(self) -> str | None:
        """The next line; empty where the process died, None where all its threads sleep for long."""
        assert self.process
        assert self.process.stdout
        asleep = 0
        while asleep < WAITING:
            ready, _, _ = select.select([self.process.stdout], [], [], 1)
            if ready:
                return self.process.stdout.readline()
            asleep = asleep + 1 if self._sleeps() else 0
        return None

    def _sleeps(self) -> bool:
        assert self.process
        stats = [path.read_text() for path in Path(f"/proc/{self.process.pid}/task").glob("*/stat")]
        return all(text.rpartition(")")[2].split()[0] == "S" for text in stats)

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def run(numbers: range, seed: int, only: str | None, show: bool = True) -> list[dict[str, str]]:
    """Read all inputs; returns their outcomes."""
    found = []
    with tempfile.TemporaryDirectory(prefix="bad-input-") as folder:
        child = Child(seed, only, Path(folder))
        for number in numbers:
            answer = child.ask(number)
            if answer is None:
                case = Case(seed, number, only)
                kind = "hang" if child.slept else "traceback"
                answer = {"reader": case.reader, "damage": case.damage, "outcome": kind, "detail": "the process died"}
            found.append(answer)
            if show and answer["outcome"] in WRONG:
                print(f"case {number}: {answer['reader']}, {answer['damage']}: {answer['outcome']}\n{answer['detail']}")
        child.stop()
    return found


def table(found: list[dict[str, str]]) -> str:
    """Counts by reader and damage, as Markdown."""
    columns = ("read", "refused", *WRONG)
    counts = collections.Counter((item["reader"], item["damage"], item["outcome"]) for item in found)
    rows = sorted({(reader, damage) for reader, damage, _ in counts})
    lines = ["| reader | damage | " + " | ".join(columns) + " |", "|---|---|" + "---:|" * len(columns)]
    lines += [f"| {a} | {b} | " + " | ".join(str(counts[a, b, column]) for column in columns) + " |" for a, b in rows]
    sums = collections.Counter(item["outcome"] for item in found)
    return "\n".join(
        [*lines, f"| all | {len(found)} inputs | " + " | ".join(str(sums[column]) for column in columns) + " |"]
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one reader")
    parser.add_argument("--start", type=int, default=0, help="number of the first input")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.seed, options.only, options.worker)
        return
    found = run(range(options.start, options.start + options.inputs), options.seed, options.only)
    print(table(found))
    print(f"largest growth of memory: {max(int(item.get('growth', 0)) for item in found) / 2**20:.0f} MiB")
    sys.exit(any(item["outcome"] in WRONG for item in found))


if __name__ == "__main__":
    main()
