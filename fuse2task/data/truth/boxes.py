"""What every reader of boxes shares: finding the truth file of a pair, checking and clipping boxes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fuse2task.data.dataset import Box, BoxTruth, Finding, Pair
from fuse2task.data.ids import files_by_id

CLIP = 0.5  # pixels beyond the border that are rounding (YOLO's fractions), not an error
MAX_LABELS = 2**20  # bytes of one image's file of boxes
_NOISE = 1e-6  # pixels of floating-point noise, clipped without being counted


def truth_files(folders: Iterable[Path], suffixes: Sequence[str]) -> tuple[dict[str, Path], list[Finding]]:
    """Truth files of `folders` by id; `classes.txt` is none. A second file of one id is a `duplicate-id`."""
    found: dict[str, Path] = {}
    findings = []
    for folder in folders:
        files, problems = files_by_id(folder, suffixes)
        findings += problems
        for name, path in files.items():
            if path.name == "classes.txt":
                continue
            if name in found:
                findings.append(Finding("duplicate-id", f"{path}: same id {name!r} as {found[name]}; keep one"))
            found.setdefault(name, path)
    return found, findings


def file_of(pair: Pair, files: Mapping[str, Path]) -> Path | None:
    """The truth file of a pair: `<id>` or, in folders by split, `<split>/<id>`."""
    return files.get(pair.id) or files.get(f"{pair.split}__{pair.id}")


class BoxCollector:
    """Gathers boxes of pairs, with everything that is wrong with them."""

    def __init__(self, classes: Sequence[str]):
        self.classes = tuple(classes)
        self.boxes: dict[str, list[Box]] = {}
        self.findings: list[Finding] = []
        self.clipped = 0

    def find(self, kind: str, message: str) -> None:
        """Note something wrong."""
        self.findings.append(Finding(kind, message))

    def open(self, pair: Pair) -> None:
        """Say that the pair has truth, perhaps without any box."""
        self.boxes.setdefault(pair.id, [])

    def add(self, pair: Pair, where: str, name: str, edges: Sequence[float]) -> None:
        """Add a box with edges (left, top, right, bottom) in pixels of `pair`; `where` names file and place.

        Up to 0.5 px beyond the image is clipped and counted. Findings: `unknown-class`, `bad-box` (not
        finite, no width or height), `box-outside`.
        """
        if name not in self.classes:
            known = ", ".join(self.classes)
            self.find("unknown-class", f"{where}: unknown class {name!r}; known are {known}")
            return
        if not all(math.isfinite(edge) for edge in edges):
            self.find("bad-box", f"{where}: a coordinate is no finite number")
            return
        left, top, right, bottom = edges
        if right <= left or bottom <= top:
            self.find("bad-box", f"{where}: width {right - left:g}, height {bottom - top:g}; both must be above 0")
            return
        width, height = pair.size
        beyond = max(-left, -top, right - width, bottom - height)
        left, top = max(left, 0.0), max(top, 0.0)
        right, bottom = min(right, float(width)), min(bottom, float(height))
        if beyond > CLIP or right <= left or bottom <= top:
            text = f"{where}: {name} is {beyond:.4g} px outside the {width}x{height} image"
            self.find("box-outside", f"{text}; {CLIP} px are allowed")
            return
        self.clipped += beyond > _NOISE
        self.boxes[pair.id].append(Box(name, left, top, right - left, bottom - top))

    def truth(self) -> BoxTruth:
        """What has been gathered."""
        return BoxTruth(self.classes, {name: tuple(found) for name, found in self.boxes.items()}, self.clipped)
