"""Scoring whole datasets: folders of fused images matched to their sources, which are decoded once for all methods."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fuse2task.data.dataset import Pair, named_files
from fuse2task.data.images import CAMERAS, SUFFIXES, image_size, read_camera, read_visible
from fuse2task.runtime import files
from fuse2task.runtime.compute import keep_freed_memory, pick_device
from fuse2task.runtime.errors import Fuse2TaskError, RequestError, listing
from fuse2task.runtime.overlap import SPARE, ahead, in_batches
from fuse2task.runtime.progress import Meter
from fuse2task.runtime.reading import harmless
from fusion.quality.definitions import Profile, Score, definition, score_batch
from fusion.quality.filters import sharing
from fusion.quality.profiles import find_profile
from fusion.quality.temporal import films, flicker_summary

PIXELS = {"cpu": 400_000, "cuda": 16_000_000}  # of one batch: what a CPU's caches, and some 8 GB of a GPU, hold

Row = dict[str, float]
Files = Mapping[str, Mapping[str, Path]]  # fused images by method and id


@dataclass(frozen=True)
class DecodedTriple:
    """A pair's pixels as the profile prepares them, fused images by method, and the digests of the files."""

    id: str
    infrared: np.ndarray
    visible: np.ndarray
    fused: Mapping[str, np.ndarray]
    digests: Mapping[str, list[str]]


def score_folders(
    pairs: Sequence[Pair], fused: Mapping[str, Path], profile: str, out: Path,
    names: Sequence[str] | None = None, device: str = "auto", workers: int = 2,
) -> dict[str, Any]:  # fmt: skip
    """Score every fused image and write `out` (method,image,scores...) and its summary beside it (.json).

    Scored images are kept in a journal, from which an interrupted call resumes; images that have changed since are
    scored again. The journal is removed when the table is written.

    Args:
        pairs: the sources.
        fused: method -> folder with one image a pair, named by its id.
        profile: name of the profile. names: some of its scores; None for all.
        workers: threads that decode.

    Returns:
        The summary: profile, definitions, images, and per method each score's mean, standard error and how
        many images it is not defined for. Undefined values are `nan` in the table and left out of the means. With
        sequences of frames among the pairs, `flicker` of each method, see `fusion.quality.temporal`.

    Raises:
        RequestError: folders that do not match the pairs, an unknown profile or score, an unreadable image.
        Fuse2TaskError: another process is writing `out`, or a score is infinite.
    """
    chosen, where = find_profile(profile), pick_device(device)
    scores = chosen.chosen(names)
    matched = match_folders(pairs, fused)
    keep_freed_memory()
    key = files.value_hash([chosen.hash, [score.name for score in scores]])
    out = Path(out)
    if out.suffix == ".json":
        raise RequestError(f"{out}: the table is CSV, and its summary lies beside it as .json; name it {out.stem}.csv")
    sources = {path.parent for pair in pairs for path in (pair.infrared, pair.visible)}
    for written in (out, out.with_suffix(".json")):
        files.refuse_overlap(written, *sources, *fused.values())
    sequences = films(pairs)
    levels = dict[str, list[float]]()
    moving = {name for ids in sequences.values() for name in ids}
    with files.sole_file(out), Journal(out, key) as journal, Meter("score", len(pairs) * len(fused)) as meter:
        for batch in _batches(pairs, matched, chosen, workers, PIXELS.get(where.type, PIXELS["cpu"])):
            infrared = _stacked([item.infrared for item in batch], where)
            visible = _stacked([item.visible for item in batch], where)
            with sharing(infrared, visible):
                for method in fused:
                    _score_method(method, batch, infrared, visible, chosen, names, journal)
                    meter.advance(len(batch))
            for item in (item for item in batch if item.id in moving):
                levels[item.id] = [
                    float(np.mean(image)) for image in (item.infrared, item.visible, *item.fused.values())
                ]
        rows = {(method, pair.id): journal.rows[method, pair.id] for method in fused for pair in pairs}
        files.write_text(out, table(list(fused), scores, rows))
        found = summary(chosen, list(fused), scores, rows)
        if sequences:
            found["flicker"] = flicker_summary(sequences, levels, list(fused))
        files.remove_halves(out.with_suffix(".json"))
        files.write_json(out.with_suffix(".json"), found, sort_keys=False)
        journal.remove()
    return found


def score(
    infrared: np.ndarray, visible: np.ndarray, fused: np.ndarray, profile: str = "standard",
    names: Sequence[str] | None = None, device: str = "cpu",
) -> Row:  # fmt: skip
    """Scores of one fused image; arrays are uint8, (H, W) grey or (H, W, 3) RGB. NaN where not defined.

    Raises:
        RequestError: unknown profile or score, or sizes that differ.
    """
    chosen, where = find_profile(profile), pick_device(device)
    a, b, f = (_stacked([chosen.prepare(pixels)], where) for pixels in (infrared, visible, fused))
    return {name: float(value) for name, value in score_batch(chosen, a, b, f, names).items()}


def table(methods: Sequence[str], scores: Sequence[Score], rows: Mapping[tuple[str, str], Row]) -> str:
    """CSV with a row per image and method, methods in the given order, images sorted; floats in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [score.name for score in scores]
    writer.writerow(["method", "image", *names])
    for method in methods:
        for image in sorted(image for owner, image in rows if owner == method):
            writer.writerow([harmless(method), harmless(image), *(repr(rows[method, image][name]) for name in names)])
    return text.getvalue()


def summary(
    profile: Profile, methods: Sequence[str], scores: Sequence[Score], rows: Mapping[tuple[str, str], Row]
) -> dict[str, Any]:
    """Profile, definitions, and each score's mean and standard error over the images it is defined for."""

    def of(method: str, name: str) -> dict[str, float | int | None]:
        values = np.array([row[name] for (owner, _), row in sorted(rows.items()) if owner == method])
        known = values[np.isfinite(values)]
        return {
            "mean": float(known.mean()) if known.size else None,
            "standard_error": float(known.std(ddof=1)) / math.sqrt(known.size) if known.size > 1 else None,
            "undefined": int(values.size - known.size),
        }

    return {
        "format": "fuse2task.scores",
        "profile": profile.name,
        "profile_hash": profile.hash,
        "images": len({image for _, image in rows}),
        "methods": {method: {score.name: of(method, score.name) for score in scores} for method in methods},
        "definitions": {score.name: definition(profile, score) for score in scores},
    }


def match_folders(pairs: Sequence[Pair], folders: Mapping[str, Path]) -> Files:
    """Every pair's file in every folder (by method, each image named by a pair's id); nothing is left out or resized.

    Raises RequestError: no pairs or folders, a folder that is missing, ids that only one side has, two files for one
    id, sizes that differ from the pair's; all of them are listed.
    """
    if not pairs or not folders:
        raise RequestError("nothing to score: give at least one pair and one folder of fused images")
    found = {method: named_files(Path(folder), SUFFIXES, "fused images") for method, folder in folders.items()}
    wanted = {pair.id for pair in pairs}
    problems = []
    for method, own in found.items():
        problems += [f"{folders[method]}: no fused image {name}" for name in sorted(wanted - own.keys())]
        problems += [f"{path}: there is no such pair" for name, path in sorted(own.items()) if name not in wanted]
    if not problems:
        paths = [(own[pair.id], pair.size) for pair in pairs for own in found.values()]
        sizes = ((path, *image_size(path), *size) for path, size in paths)
        problems = [f"{at}: {w}x{h}, but the pair is {x}x{y}" for at, w, h, x, y in sizes if (w, h) != (x, y)]
    if problems:
        raise RequestError(f"{len(problems)} fused images do not fit the pairs\n{listing(problems)}")
    return found


def _batches(
    pairs: Sequence[Pair], fused: Files, profile: Profile, workers: int, pixels: int
) -> Iterator[list[DecodedTriple]]:
    """Batches of one size whose sources have equal shapes: as many as `pixels` hold, at least one.

    `workers` threads decode ahead of their use: the next batch, or a little more.
    """
    groups = in_batches(pairs, pixels)
    bound = max(workers + SPARE, *map(len, groups))
    with ThreadPoolExecutor(workers) as pool:
        decoded = ahead(chain.from_iterable(groups), lambda pair: _decode(pair, fused, profile), pool, bound)
        for group in groups:
            # A profile that keeps colour has grey and colour files of one size in unlike shapes.
            for _, part in groupby(islice(decoded, len(group)), lambda item: (item.infrared.shape, item.visible.shape)):
                yield list(part)


def _decode(pair: Pair, fused: Files, profile: Profile) -> DecodedTriple:
    sources = pair.infrared, pair.visible
    paths = {method: own[pair.id] for method, own in fused.items()}
    infrared, visible = (profile.prepare(read_camera(pair, camera)) for camera in CAMERAS)
    known = [files.file_digest(path) for path in sources]
    return DecodedTriple(
        pair.id, infrared, visible,
        fused={method: profile.prepare(read_visible(path)) for method, path in paths.items()},
        digests={method: [*known, files.file_digest(path)] for method, path in paths.items()},
    )  # fmt: skip


class Journal(files.JournalWriter):
    """Scored images beside the table that is being made, for one set of definitions (`key`).

    rows: scores by method and image.
    """

    def __init__(self, out: Path, key: str):
        self.path, self.key = out.with_name(f".{out.name}.journal.jsonl"), key
        kept = {(row["method"], row["image"]): row for row in files.journal_rows(self.path) if row["key"] == key}
        self.rows: dict[tuple[str, str], Row] = {at: row["scores"] for at, row in kept.items()}
        self._inputs: dict[tuple[str, str], list[str]] = {at: row["inputs"] for at, row in kept.items()}
        super().__init__(self.path)

    def holds(self, method: str, image: str, inputs: Sequence[str]) -> bool:
        """Whether there are scores of the same three files (their digests)."""
        return self._inputs.get((method, image)) == list(inputs)

    def add(self, method: str, image: str, inputs: Sequence[str], scores: Row) -> None:
        """Keep one image's scores."""
        self.rows[method, image], self._inputs[method, image] = scores, list(inputs)
        self.append({"key": self.key, "method": method, "image": image, "inputs": list(inputs), "scores": scores})

    def remove(self) -> None:
        """Delete the file, once the table is written."""
        self.path.unlink(missing_ok=True)


def _score_method(
    method: str, batch: Sequence[DecodedTriple], infrared: Tensor, visible: Tensor, profile: Profile,
    names: Sequence[str] | None, journal: Journal,
) -> None:  # fmt: skip
    missing = [number for number, item in enumerate(batch) if not journal.holds(method, item.id, item.digests[method])]
    for shape in dict.fromkeys(batch[number].fused[method].shape for number in missing):
        part = [number for number in missing if batch[number].fused[method].shape == shape]
        sources = (infrared, visible) if len(part) == len(batch) else (infrared[part], visible[part])
        fused = _stacked([batch[number].fused[method] for number in part], infrared.device)
        values = score_batch(profile, *sources, fused, names)
        for number, row in zip(part, torch.stack(list(values.values()), dim=1).cpu().tolist(), strict=True):
            item, scores = batch[number], dict(zip(values, row, strict=True))
            if infinite := [name for name, value in scores.items() if math.isinf(value)]:
                raise Fuse2TaskError(
                    f"{method}, image {item.id}: score {', '.join(infinite)} is infinite; look at the three images"
                )
            journal.add(method, item.id, item.digests[method], scores)


def _stacked(planes: Sequence[np.ndarray], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(planes)).to(device).double()
