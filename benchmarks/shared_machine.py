"""What commands take on a machine that is busy with something else (Linux).

    python benchmarks/shared_machine.py [--busy 2] [--size 320x240] [--pairs 16] [--repeats 2] [--cases NAME ...]
        [--spinning]

Every long command in a process of its own: alone, beside `--busy` processes that never wait, and beside them at `nice`
10, as the command sets its threads; with --spinning also with OpenMP's default spin count and a thread for each core.
Seconds by the clock, the fewer of the repeats, and ratios to the command alone. With as many busy processes as
cores a fair share alone makes a command of one thread take twice as long.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import COMMAND, options

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "robustness"))
from killing import CASES, Material

NICE = 10
SPINNING = {"GOMP_SPINCOUNT": "300000", "OMP_NUM_THREADS": str(os.cpu_count())}
Ways = dict[str, tuple[bool, int, dict[str, str]]]  # what to run: beside others, at which priority, with what set
WAYS: Ways = {"alone": (False, 0, {}), "beside": (True, 0, {}), f"beside, nice {NICE}": (True, NICE, {})}


def main() -> None:
    given = options(
        __doc__, busy=2, size="320x240", pairs=16, repeats=2, cases=list(CASES), folder=Path, spinning=False
    )
    ways = WAYS | {
        f"{way}, spinning": (beside, nice, SPINNING) for way, (beside, nice, _) in WAYS.items() if given.spinning
    }
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; {given.busy} busy processes")
    print("| command | " + " | ".join(ways) + " |\n|" + "---|" * (len(ways) + 1))
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="shared-") as name:
        material = Material(Path(name), given.pairs, given.size)
        material.prepare()
        for case in given.cases:
            arguments = material.command(case)
            found = {way: min(timed(arguments, Path(name), given.busy, *settings) for _ in range(given.repeats))
                     for way, settings in ways.items()}  # fmt: skip
            cells = [f"{seconds:.1f} s" + (f" ({seconds / found['alone']:.1f})" if way != "alone" else "")
                     for way, seconds in found.items()]  # fmt: skip
            print(f"| {case} | " + " | ".join(cells) + " |", flush=True)


def timed(arguments: list[str], place: Path, busy: int, beside: bool, nice: int, given: dict[str, str]) -> float:
    """Seconds of a command in an empty folder."""
    environment = {name: value for name, value in os.environ.items() if name not in SPINNING} | given
    # Each in a session of its own, as other people's work is: Linux shares cores between sessions first.
    others = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
        for _ in range(busy if beside else 0)
    ]
    try:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            start = time.perf_counter()
            command = ["nice", "-n", str(nice), *COMMAND, *arguments]
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
            seconds = time.perf_counter() - start
    finally:
        for other in others:
            other.kill()
            other.wait()
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}: {done.stderr}")
    return seconds


if __name__ == "__main__":
    main()
