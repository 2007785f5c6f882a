"""Conditions of a pair (day, night, overcast, rain ...), from what each data set tells about its images."""

import bisect
import functools
import re
from pathlib import Path

from fuse2task.config.recipes import configs_folder
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.reading import read_text

Run = tuple[int, int, str]

# KAIST (Hwang et al., CVPR 2015): sets 00-02 and 06-08 were recorded by day, the others by night.
_KAIST_DAY = ("set00", "set01", "set02", "set06", "set07", "set08")


def no_conditions(_root: Path, _pair_id: str) -> tuple[str, ...]:
    """For data sets that tell nothing about their images."""
    return ()


def msrs_conditions(_root: Path, pair_id: str) -> tuple[str, ...]:
    """MSRS names end in D (day) or N (night)."""
    return {"D": ("day",), "N": ("night",)}.get(pair_id[-1], ())


def kaist_conditions(_root: Path, pair_id: str) -> tuple[str, ...]:
    """KAIST by set number."""
    return ("day",) if pair_id.startswith(_KAIST_DAY) else ("night",)


def awmm_conditions(root: Path, pair_id: str) -> tuple[str, ...]:
    """AWMM by the weather in the names of the folders above the pair; compound weather has several."""
    folders = pair_id.split("__")[:-1] or [root.resolve().name]
    weather = set(re.findall(r"(?<![tr])rain|snow|haze", " ".join(folders).lower()))  # not train, terrain
    return tuple(sorted(weather))


def m3fd_conditions(root: Path, pair_id: str) -> tuple[str, ...]:
    """M3FD by frame number: daytime, night, overcast or challenge, and `scene:<name>`.

    Runs of frames come from `scenes.tsv` in the root where there is one, else from the shipped table of the
    real data set. Frames that no run lists have no condition, those that the table calls unlisted have
    `scene:unlisted` alone.
    """
    own = root / "scenes.tsv"
    runs = read_scenes(own if own.is_file() else configs_folder() / "scenes" / "m3fd.tsv")
    if not pair_id.isdecimal():
        return ()
    number = int(pair_id)
    index = bisect.bisect_right(runs, number, key=lambda run: run[0]) - 1
    if index < 0 or number > runs[index][1]:
        return ()
    scene = runs[index][2]
    return (f"scene:{scene}",) if scene == "unlisted" else (scene, f"scene:{scene}")


@functools.lru_cache(maxsize=8)
def read_scenes(path: Path) -> tuple[Run, ...]:
    """Runs (first, last, scene) of a table with lines `first<TAB>last<TAB>scene`, sorted.

    Raises:
        RequestError: missing or unreadable, a line of another form, or runs that overlap.
    """
    lines = read_text(path, "table of scenes").splitlines()
    matches = [re.fullmatch(r"(\d{1,9})\t(\d{1,9})\t([a-z0-9_-]+)", line, re.ASCII) for line in lines]
    bad = [f"line {number}: {line[:100]!r}" for number, line in enumerate(lines, 1) if not matches[number - 1]]
    if bad:
        raise RequestError(f"{path}: lines must be first<TAB>last<TAB>scene\n{listing(bad)}")
    runs = sorted((int(match[1]), int(match[2]), match[3]) for match in matches if match)
    edges = [edge for run in runs for edge in run[:2]]
    if edges != sorted(edges) or len({run[0] for run in runs}) != len(runs):
        raise RequestError(f"{path}: runs of frames overlap or end before they begin; mend its lines")
    return tuple(runs)
