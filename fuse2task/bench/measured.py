"""The numbers of one evaluation with their bootstrap distributions, as rows of the table and as a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fuse2task.bench.recipe import Intervals
from fuse2task.bench.statistics import (
    MINIMUM_SEQUENCES,
    Distribution,
    bootstrap,
    group_numbers,
    jackknife,
    recentred,
)
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import atomic_path
from fuse2task.runtime.reading import read_arrays
from fuse2task.runtime.records import Record
from fuse2task.tasks import Key, Measurement, find_task, quality


@dataclass(frozen=True)
class Measured:
    """K numbers on I images with R bootstrap replicates.

    points: (K,). replicates: (K, R), under weights that are the same for every method on the same images.
    leave_one_out: (K, J) values without one image, or one sequence where these are resampled, NaN for those outside
    the condition. images: (K,) how many each has.
    """

    keys: tuple[Key, ...]
    points: np.ndarray
    replicates: np.ndarray
    leave_one_out: np.ndarray
    images: np.ndarray

    def rows(self, about: Mapping[str, Any], intervals: Intervals) -> list[dict[str, Any]]:
        """Rows of the results table; `about` fills the columns that are the same for all."""
        rows, task = [], find_task(str(about["task"]))
        for index, (metric, name, condition) in enumerate(self.keys):
            point = float(self.points[index])
            distribution, order = (self.replicates[index], self.leave_one_out[index]), task.bias_order(metric)
            found = recentred(point, *distribution, intervals.level, order, task.bounds)
            low, high, method = (found.low, found.high, found.method) if found else (None, None, "none")
            rows.append({
                **about, "metric": metric, "class": name, "condition": condition, "value": point, "ci_low": low,
                "ci_high": high, "ci_method": f"{method}, {interval_settings(intervals)}",
                "n_images": int(self.images[index]),
            })  # fmt: skip
        return rows

    def save(self, path: Path, identity: Sequence[str]) -> None:
        """Write as .npz without pickle, atomically; identity: `tables.identity` of the rows."""
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            np.savez_compressed(
                handle, identity=np.array(identity, dtype=str), keys=np.array(self.keys, dtype=str).reshape(-1, 3),
                points=self.points, replicates=self.replicates, leave_one_out=self.leave_one_out, images=self.images,
            )  # fmt: skip

    @staticmethod
    def rows_in(path: Path, identity: Sequence[str]) -> int | None:
        """How many rows `rows` makes of the file; None where there is none, or one of other rows.

        Raises:
            RequestError: not such a file.
        """
        if not path.is_file():
            return None
        file = read_arrays(path, "file of replicates", "identity", "keys")
        return len(file["keys"]) if tuple(file["identity"].tolist()) == tuple(identity) else None

    @staticmethod
    def load(path: Path, identity: Sequence[str]) -> "Measured | None":
        """Read what `save` wrote; None where there is nothing, or what belongs to other rows.

        RequestError: not such a file.
        """
        if not path.is_file():
            return None
        names = ("points", "replicates", "leave_one_out", "images")
        file = read_arrays(path, "file of replicates", "identity", "keys", *names)
        if tuple(file["identity"].tolist()) != tuple(identity):
            return None
        keys = tuple((str(metric), str(name), str(part)) for metric, name, part in file["keys"].reshape(-1, 3))
        arrays = [file[name] for name in names]
        if any(len(array) != len(keys) or array.dtype.kind not in "fi" for array in arrays):
            raise RequestError(f"{path}: its arrays do not belong together; remove it and run again")
        return Measured(keys, *arrays)


def over_runs(measured: Sequence[Measured], key: Key) -> Distribution:
    """One number of S runs (seeds) that all have it, one below the other."""
    at = [(item, item.keys.index(key)) for item in measured]
    points = np.array([item.points[index] for item, index in at])
    replicates = np.stack([item.replicates[index] for item, index in at])
    return points, replicates, np.stack([item.leave_one_out[index] for item, index in at])


def interval_settings(intervals: Intervals) -> str:
    """How the intervals of a row were made, beside their kind."""
    return f"{intervals.replicates} replicates, {100 * intervals.level:g} %, seed {intervals.seed}"


def measure(
    conditions: Mapping[str, np.ndarray], intervals: Intervals, measurement: Measurement,
    sequences: Sequence[str] | None = None,
) -> Measured:  # fmt: skip
    """Points, replicates and leave-one-out values for every condition; numbers that are undefined get no key.

    conditions: condition -> (I,) bool, which images. sequences: of the I images, to resample whole ones; a condition
    of fewer than `MINIMUM_SEQUENCES` has undefined replicates, and so no interval.
    """
    keys: list[Key] = []
    columns: list[tuple[float, np.ndarray, np.ndarray, int]] = []
    units = group_numbers(len(next(iter(conditions.values()))), sequences)
    total = int(units.max()) + 1
    for condition, mask in conditions.items():
        count, groups = int(mask.sum()), units[mask].tolist()
        present = list(dict.fromkeys(groups))  # in the order of the jackknife
        draws = bootstrap(count, intervals.replicates, intervals.seed, groups)
        weights = [np.ones((1, count)), draws, jackknife(count, groups)]
        for (metric, name, size), column in measurement.values(mask, np.concatenate(weights)).items():
            # Sizes are split for all images only: a table of night by size would rest on a handful of boxes.
            if np.isnan(column[0]) or (size and condition != "all"):
                continue
            keys.append((metric, name, size or condition))
            if sequences is not None and len(present) < MINIMUM_SEQUENCES:
                column[1:] = np.nan
            left_out = np.full(total, np.nan)
            left_out[present] = column[1 + intervals.replicates :]
            columns.append((column[0], column[1 : 1 + intervals.replicates], left_out, count))
    for key, point in measurement.points.items():
        if point is not None:
            keys.append(key)
            columns.append((point, np.full(intervals.replicates, np.nan), np.full(total, np.nan), total))
    points, replicates, without, images = (list(part) for part in zip(*columns, strict=True)) if columns else [[]] * 4
    return Measured(
        tuple(keys), np.array(points), np.array(replicates).reshape(len(keys), -1),
        np.array(without).reshape(len(keys), -1), np.array(images, dtype=np.int64),
    )  # fmt: skip


def score_distributions(path: Path, intervals: Intervals) -> dict[str, Measured]:
    """Method -> the means of its scores over all images of a table of scores."""
    found, sequences = {}, read_sequences(path.with_suffix(".json"))
    for method, rows in quality.read_scores(path).items():
        ids = sorted(row["image"] for row in rows)
        measurement = quality.TASK.measure_scores(rows, ids)
        found[method] = measure({"all": np.ones(len(ids), bool)}, intervals, measurement, sequences)
    return found


def sequences_entry(sequences: Sequence[str] | None) -> dict[str, list[str]]:
    """What the record of a result says about the sequences of its images: nothing where images were resampled."""
    return {} if sequences is None else {"sequences": list(sequences)}


def read_sequences(record: Path) -> list[str] | None:
    """The sequences of the images, in the order of their ids, that the record of a result names; None without any."""
    return Record(record, {}).read().get("sequences")
