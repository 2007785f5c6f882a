"""Kills every long command at random moments, starts it again, and compares with an undisturbed run.

Usage: OMP_NUM_THREADS=1 python benchmarks/kills.py [--kills 60] [--seed 0] [--only "fusion apply"] [--folder DIR]
Each folder takes up to three kills (SIGKILL, SIGTERM, SIGINT in turn; moments drawn from the seed), then the command
runs to its end there. Compared are all files, byte for byte, without seconds and dates. Linux only.
"""

import argparse
import itertools
import random
import sys
import tempfile
import time
from pathlib import Path

from killing import CASES, SIGNALS, Material, Tally, disturbed

IN_A_FOLDER = 3


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
