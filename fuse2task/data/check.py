"""Dataset check: every image decoded, findings listed, pairs, boxes and pixels counted, registration probed."""

import contextlib
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy import fft

from fuse2task.data.dataset import Dataset, Finding, Findings, Pair
from fuse2task.data.images import CAMERAS, IGNORED, has_border, luma, read_camera
from fuse2task.data.truth.boxes import CLIP
from fuse2task.data.truth.masks import pixel_counts
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import file_digest
from fuse2task.runtime.progress import Meter

COLOURED = 8.0  # grey levels between channels, on average, above which infrared is false colour
CONSTANT = 2  # grey levels between darkest and brightest pixel, up to which an image shows nothing
AT_A_TIME = 1000  # pairs given to the threads
SHIFTED = 3.0  # pixels from which a pair counts as perhaps misaligned
MISALIGNED = 5.0  # pixels; the median over published registered sets is 0.6 (RoadScene) to 4.2 (TNO)
REACH = 8  # pixels of the image in each direction
_SHORT_SIDE = 480  # larger images are reduced by a whole factor


@dataclass(frozen=True)
class PairReport:
    """Findings from the pixels of a pair. digests: hashes of its files."""

    pair: Pair
    findings: Findings
    digests: list[str]
    shift: tuple[float, float] | None


@dataclass
class Report:
    """A checked dataset: findings are defects, notes are not. counts: as in `count`."""

    dataset: Dataset
    findings: Findings
    counts: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For `data check --json`."""
        return {
            "root": str(self.dataset.root), "layout": self.dataset.layout,
            "split": {"name": self.dataset.split_name, "hash": self.dataset.split_hash},
            **self.counts, "notes": self.notes,
            "findings": [{"kind": item.kind, "message": item.message} for item in self.findings],
        }  # fmt: skip


def check_dataset(dataset: Dataset, findings: Sequence[Finding], max_misalignment: float = MISALIGNED) -> Report:
    """Decode every image of a dataset from `scan_dataset` and complete its findings.

    New are `unusable-image` (damaged, 16-bit, 4-channel), `coloured-infrared`, `constant-image`, `duplicate-image`
    (the same bytes in two splits), `misaligned` (edges are further apart than max_misalignment, in pixels, in half of
    the pairs). Notes: clipped boxes, the same bytes twice in one split, the misalignment probe.
    """
    reports = []
    with ThreadPoolExecutor(os.cpu_count()) as pool, Meter("checking", len(dataset.pairs), "pairs") as meter:
        for start in range(0, len(dataset.pairs), AT_A_TIME):  # `map` keeps 2 KB for everything that it is given
            for report in pool.map(_examine, dataset.pairs[start : start + AT_A_TIME]):
                reports.append(report)
                meter.advance()
    everything = Findings([*findings, *(finding for report in reports for finding in report.findings)])
    checked = Report(dataset, everything, count(dataset), list(dataset.notes))
    if dataset.boxes is not None and dataset.boxes.clipped:
        text = f"up to {CLIP} px outside (rounding), or 1 px (counted from 1 by one tool and from 0 by another)"
        checked.notes.append(f"{dataset.boxes.clipped} boxes were {text} and count as clipped")
    _find_duplicates(reports, checked)
    _note_shifts(reports, checked, max_misalignment)
    return checked


def count(dataset: Dataset) -> dict[str, Any]:
    """Pairs, sizes, conditions and truth of a dataset.

    Returns pairs: {split: n}; sizes: {"WxH": pairs}; conditions: {name: pairs}; with boxes, clipped and boxes: {split:
    {class: n}}; with masks, pixels: {class or "ignored": n} over all splits.
    """
    pairs = dataset.pairs
    counts: dict[str, Any] = {
        "pairs": {split: len(dataset.part(split)) for split in dataset.splits},
        "sizes": dict(Counter(f"{pair.size[0]}x{pair.size[1]}" for pair in pairs).most_common()),
        "conditions": dict(sorted(Counter(name for pair in pairs for name in pair.conditions).items())),
    }
    if truth := dataset.boxes:
        found = Counter((pair.split, box.name) for pair in pairs for box in truth.boxes[pair.id])
        counts["boxes"] = {split: {name: found[split, name] for name in truth.classes} for split in dataset.splits}
        counts["clipped"] = truth.clipped
    if dataset.masks is not None:
        total = np.zeros(256, dtype=np.int64)
        for path in dataset.masks.masks.values():
            with contextlib.suppress(RequestError):  # the scan has listed it
                total += pixel_counts(path, dataset.masks.palette)
        names = {**dict(enumerate(dataset.masks.classes)), IGNORED: "ignored"}
        counts["pixels"] = {name: int(total[at]) for at, name in names.items() if total[at] or at != IGNORED}
    return counts


def _examine(pair: Pair) -> PairReport:
    findings, images = Findings(), []
    for camera, path in zip(CAMERAS, (pair.infrared, pair.visible), strict=True):
        thermal = camera == "infrared"
        try:
            pixels = read_camera(pair, camera)
            if pair.border and not has_border(path, pair.border):
                text = f"{path}: no white border of {pair.border} px, unlike others; crop all or none"
                findings.add("no-border", text)
        except RequestError as error:
            findings.add("unusable-image", error)
            continue
        if int(pixels.max()) - int(pixels.min()) <= CONSTANT:
            findings.add("constant-image", f"{path}: shows nothing, all pixels are {pixels.max()}")
        spread = float(np.ptp(pixels, axis=2).mean()) if pixels.ndim == 3 else 0.0
        if spread > COLOURED and thermal:
            text = f"{path}: infrared in false colour (channels differ by {spread:.0f}); use the raw infrared"
            findings.add("coloured-infrared", text)
        images.append(luma(pixels))
    shift = edge_shift(*images) if len(images) == 2 else None
    return PairReport(pair, findings, [file_digest(path) for path in _files(pair)], shift)


def _files(pair: Pair) -> list[Path]:
    return [pair.visible] if pair.packed else [pair.infrared, pair.visible]


def _find_duplicates(reports: Sequence[PairReport], checked: Report) -> None:
    same: dict[str, list[tuple[str, Path]]] = {}
    for report in reports:
        for digest, path in zip(report.digests, _files(report.pair), strict=True):
            same.setdefault(digest, []).append((report.pair.split, path))
    within = 0
    for places in same.values():
        if len({split for split, _ in places}) > 1:
            text = ", ".join(f"{path} ({split})" for split, path in places)
            checked.findings.add("duplicate-image", f"the same image in several splits: {text}")
        else:
            within += len(places) - 1
    if within:
        checked.notes.append(f"{within} images are copies of another image of their split")


def _note_shifts(reports: Sequence[PairReport], checked: Report, limit: float) -> None:
    shifts = np.array([report.shift for report in reports if report.shift is not None])
    if not len(shifts):
        return
    lengths = shift_lengths(shifts)
    dx, dy = (round(float(value), 2) for value in np.median(shifts, axis=0))
    share = round(float((np.hypot(*shifts.T) > SHIFTED).mean()), 4)
    checked.counts["misalignment"] = {"dx": dx, "dy": dy, "share_above_3px": share, **lengths}
    checked.notes.append(
        f"misalignment probe: edges agree best at a shift of ({dx:+.1f}, {dy:+.1f}) px (median), "
        f"above {SHIFTED:g} px in {share:.0%} of {len(shifts)} pairs; a large median is worth a look, "
        "a large share is common at night"
    )
    if lengths["median"] > limit:
        text = f"edges of both cameras are {lengths['median']:.1f} px apart in half of {len(shifts)} pairs or more"
        fix = "look at some, register them (`data import`), or raise --max-misalignment (dark images agree in little)"
        checked.findings.add("misaligned", f"{checked.dataset.root}: {text}, {limit:g} are allowed; {fix}")


def shift_lengths(shifts: Sequence[Sequence[float]] | np.ndarray) -> dict[str, float]:
    """Median and 95th percentile (`p95`) of the lengths of shifts (N, 2) by `edge_shift`, N > 0, in pixels."""
    middle, high = np.percentile(np.hypot(*np.asarray(shifts).T), [50, 95])
    return {"median": round(float(middle), 3), "p95": round(float(high), 3)}


def edge_shift(infrared: np.ndarray, visible: np.ndarray) -> tuple[float, float] | None:
    """Shift (dx, dy) in pixels of the visible image against the infrared one, both (H, W) uint8, within +-8 each.

    The gradient magnitudes, log-compressed so that a few strong edges do not decide alone, are correlated by FFT; the
    peak within reach is refined by a parabola. None where an image is too small or has no edges. A probe, no
    measurement: sensors see different edges.
    """
    factor = max(1, min(infrared.shape) // _SHORT_SIDE)
    reach = max(1, REACH // factor)
    first, second = (_edges(image, factor) for image in (infrared, visible))
    if min(first.shape) < 4 * reach or not first.any() or not second.any():
        return None
    shape = [fft.next_fast_len(side + reach, real=True) for side in first.shape]
    spectrum = np.conj(fft.rfft2(first, shape)) * fft.rfft2(second, shape)
    surface = np.roll(fft.irfft2(spectrum, shape), (reach + 1, reach + 1), axis=(0, 1))
    window = surface[: 2 * reach + 3, : 2 * reach + 3]  # one more on each side, for the parabola
    row, column = np.unravel_index(np.argmax(window[1:-1, 1:-1]), (2 * reach + 1, 2 * reach + 1))
    dy = row - reach + _vertex(window[row : row + 3, column + 1])
    dx = column - reach + _vertex(window[row + 1, column : column + 3])
    return float(np.clip(dx * factor, -REACH, REACH)), float(np.clip(dy * factor, -REACH, REACH))


def _edges(image: np.ndarray, factor: int) -> np.ndarray:
    """Zero-mean compressed gradient magnitude, float32, of the reduced image without its border."""
    if factor > 1:
        size = (image.shape[1] // factor, image.shape[0] // factor)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    pixels = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 2.0)
    magnitude = np.log1p(np.hypot(cv2.Sobel(pixels, cv2.CV_32F, 1, 0), cv2.Sobel(pixels, cv2.CV_32F, 0, 1)))
    inner = magnitude[2:-2, 2:-2]
    return inner - inner.mean() if inner.size and np.ptp(inner) > 1e-3 else np.zeros_like(inner)


def _vertex(values: np.ndarray) -> float:
    """Top of the parabola through three values at -1, 0, 1; 0 where the middle is not the highest."""
    left, middle, right = (float(value) for value in values)
    bend = left - 2 * middle + right
    return 0.5 * (left - right) / bend if bend < 0 and middle >= max(left, right) else 0.0
