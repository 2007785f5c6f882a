"""COCO average precision: detections matched to truth once, and AP of the matches under any image weights."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detection.coco import read_truth
from detection.predictions import read_predictions
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import atomic_path
from fuse2task.runtime.reading import read_arrays

AREAS = ("all", "small", "medium", "large")  # COCOeval's: all, < 32^2, 32^2 to 96^2, > 96^2 pixels
ALL, SMALL, MEDIUM, LARGE = range(len(AREAS))
RECALLS = np.linspace(0.0, 1.0, 101)  # COCOeval's recThrs, bit for bit
_CELLS = 150_000  # true positives times replicates worked on at a time: about what a processor's cache holds
_FORMAT = 1
_PLAIN = ("images", "thresholds", "starts", "image", "score", "truths")
_PACKED = ("matched", "ignored")  # eight to the byte


@dataclass(frozen=True)
class Matches:
    """What pycocotools' matching decided for every detection, N in all, K classes, I images, T IoU thresholds.
    Detections stand class after class; within a class in COCOeval's order: by falling score, ties by image, then by the
    order of the predictions. At most 100 a class and image."""

    classes: tuple[str, ...]  # K names, by category id, without those left out
    images: np.ndarray  # (I,) image ids, sorted
    thresholds: np.ndarray  # (T,) float64 IoU thresholds
    starts: np.ndarray  # (K + 1,) int64: class k has the detections starts[k] to starts[k + 1]
    image: np.ndarray  # (N,) int64 index into `images`
    score: np.ndarray  # (N,) float64
    matched: np.ndarray  # (4, T, N) bool: area range, threshold, detection; matched to some true box
    ignored: np.ndarray  # (4, T, N) bool: counts neither as true nor as false
    truths: np.ndarray  # (K, 4, I) int64 true boxes that count, by class, area range and image

    def of_images(self, chosen: np.ndarray) -> "Matches":
        """The same matches on some images only, given by a mask or by rising indices into `images`."""
        kept = np.zeros(len(self.images), dtype=bool)
        kept[chosen] = True
        stay = kept[self.image]
        before = np.concatenate(([0], np.cumsum(stay)))
        return Matches(
            self.classes, self.images[kept], self.thresholds, before[self.starts],
            (np.cumsum(kept) - 1)[self.image[stay]], self.score[stay],
            self.matched[..., stay], self.ignored[..., stay], self.truths[..., kept],
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write as .npz (plain arrays, no pickle, equal content gives equal arrays), atomically."""
        arrays = {name: getattr(self, name) for name in _PLAIN}
        arrays |= {name: np.packbits(getattr(self, name), axis=-1) for name in _PACKED}
        arrays |= {"format": np.array(_FORMAT), "classes": np.array(self.classes, dtype=str)}
        # The handle keeps numpy from adding .npz to the temporary name.
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            np.savez_compressed(handle, allow_pickle=False, **arrays)

    @staticmethod
    def load(path: Path) -> "Matches":
        """Read what `save` wrote.

        Raises:
            RequestError: missing, not such a file, or of another format version.
        """
        file: dict[str, Any] = read_arrays(path, "file of matches", "format", "classes", *_PLAIN, *_PACKED)
        try:
            if int(file["format"]) != _FORMAT:
                raise RequestError(f"{path}: matches of format {int(file['format'])}, not {_FORMAT}; evaluate again")
            for name in _PACKED:
                file[name] = np.unpackbits(file[name], axis=-1, count=len(file["score"])).astype(bool)
        except (ValueError, TypeError) as error:
            raise RequestError(f"{path}: not a readable file of matches ({error}); evaluate again") from None
        return Matches(tuple(map(str, file["classes"])), **{name: file[name] for name in (*_PLAIN, *_PACKED)})


def match(truth: dict[str, Any], predictions: list[dict[str, Any]], *, left_out: Sequence[str] = ()) -> Matches:
    """Match `predictions` to `truth` as pycocotools' COCOeval (bbox) does: IoU 0.50:0.05:0.95, all images. Neither is
    modified; they are as `detection.coco` reads them. left_out: as for `counted_classes`."""
    run = evaluated(truth, predictions, counted_classes(truth, left_out))
    images, thresholds = run.params.imgIds, run.params.iouThrs
    names = {item["id"]: item["name"] for item in truth["categories"]}
    # COCOeval stores one dict a class, area range and image, in this nesting; None without truth and detection.
    found = iter(run.evalImgs)
    parts = [_of_class([list(islice(found, len(images))) for _ in AREAS], len(thresholds)) for _ in run.params.catIds]
    image, score, matched, ignored, truths = zip(*parts, strict=True)
    return Matches(
        tuple(names[number] for number in run.params.catIds), np.array(images), np.array(thresholds),
        starts=np.cumsum([0, *map(len, image)]), image=np.concatenate(image), score=np.concatenate(score),
        matched=np.concatenate(matched, -1), ignored=np.concatenate(ignored, -1), truths=np.stack(truths),
    )  # fmt: skip


def _of_class(areas: list[list[dict[str, Any] | None]], thresholds: int) -> tuple[np.ndarray, ...]:
    """Image, score, matched, ignored and truths of one class, from COCOeval's results by area range and image."""
    truths = [[0 if row is None else np.count_nonzero(row["gtIgnore"] == 0) for row in rows] for rows in areas]
    # Scores, and with them the order, are the same for every area range.
    scores = [[] if row is None else row["dtScores"] for row in areas[0]]
    score = np.concatenate([np.zeros(0), *scores])
    order = np.argsort(-score, kind="mergesort")
    image = np.repeat(np.arange(len(scores)), [len(part) for part in scores])

    def flags(key: str) -> np.ndarray:
        none = np.zeros((thresholds, 0), dtype=bool)
        rows = [[none, *(row[key].astype(bool) for row in area if row is not None)] for area in areas]
        return np.stack([np.concatenate(row, axis=1) for row in rows])[..., order]

    return image[order], score[order], flags("dtMatches"), flags("dtIgnore"), np.array(truths, dtype=np.int64)


def counted_classes(truth: dict[str, Any], left_out: Sequence[str] = ()) -> list[int]:
    """Sorted ids of the categories of `truth` that take part: all but those of the names `left_out`. RequestError:
    `left_out` names an unknown class or all classes."""
    names = {item["id"]: item["name"] for item in truth["categories"]}
    unknown = sorted(set(left_out) - set(names.values()))
    if unknown or len(set(left_out)) == len(names):
        there = ", ".join(names.values())
        raise RequestError(f"cannot leave out {', '.join(unknown or left_out)}: the truth has the classes {there}")
    return sorted(number for number, name in names.items() if name not in left_out)


def evaluated(truth: dict[str, Any], predictions: list[dict[str, Any]], categories: Sequence[int]) -> COCOeval:
    """A COCOeval (bbox) of copies of truth and predictions, matched but not yet accumulated; prints nothing."""
    with contextlib.redirect_stdout(io.StringIO()):
        ground, detections = COCO(), COCO()
        ground.dataset = {**truth, "annotations": [dict(item) for item in truth["annotations"]]}
        detections.dataset = {**truth, "annotations": []}
        ground.createIndex()
        detections.createIndex()
        if predictions:  # loadRes([]) fails, but a judge that finds nothing has an AP: 0
            detections = ground.loadRes([dict(item) for item in predictions])
        run = COCOeval(ground, detections, "bbox")
        run.params.catIds = list(categories)
        run.evaluate()
    return run


@dataclass(frozen=True)
class WeightedAP:
    """COCO AP of R replicates and K classes, fractions in [0, 1], NaN where undefined."""

    classes: tuple[str, ...]
    AP: np.ndarray  # (R,), as the next five
    AP50: np.ndarray
    AP75: np.ndarray
    AP_small: np.ndarray
    AP_medium: np.ndarray
    AP_large: np.ndarray
    class_AP: np.ndarray  # (R, K), as the next two
    class_AP50: np.ndarray
    class_AP75: np.ndarray


def weighted_ap(matches: Matches, weights: np.ndarray) -> WeightedAP:
    """AP of every row of image weights; a weight of 2 counts as the image being there twice.

    All weights 1 gives pycocotools' numbers. A class without truth under a row's weights is NaN there and not in
    that row's means (pycocotools' -1). Only true positives are visited: the interpolated precision at a recall is
    a maximum over all later ranks (Everingham et al. 2010, eq. 2), and precision rises at true positives alone.

    weights: (R, I), any real or integer type, for I images. ValueError: another shape, or not finite and >= 0.
    """
    weights = np.asarray(weights)
    if weights.ndim != 2 or weights.shape[1] != len(matches.images):
        raise ValueError(f"weights are {weights.shape}, not (replicates, {len(matches.images)} images)")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("weights must be finite and not negative")
    values = np.full((len(AREAS), len(matches.thresholds), len(matches.classes), len(weights)), np.nan)
    groups = [_true_positives(matches, k) for k in range(len(matches.classes))]
    most = max([len(image) for group in groups for area in group for image, _ in area], default=0)
    step = max(16, _CELLS // max(1, most))
    for first in range(0, len(weights), step):
        columns = slice(first, first + step)
        chunk = np.ascontiguousarray(weights[columns].T, dtype=np.float64)
        for k, group in enumerate(groups):
            for a in range(len(AREAS)):
                positives = matches.truths[k, a] @ chunk
                for t, (image, between) in enumerate(group[a]):
                    values[a, t, k, columns] = _average_precision(image, between, chunk, positives)
    half, quarters = (values[ALL][int(np.argmin(np.abs(matches.thresholds - iou)))] for iou in (0.5, 0.75))
    overall, small, medium, large = values.mean(axis=1)
    means = map(_mean_over_classes, (overall, half, quarters, small, medium, large))
    return WeightedAP(matches.classes, *means, *(part.T for part in (overall, half, quarters)))


def _true_positives(matches: Matches, k: int) -> list[list[tuple[np.ndarray, Any]]]:
    """Per area range and threshold: images of the true positives by falling score, and a sparse matrix
    (true positives, images) of how many counted detections each image has after the previous one, itself included."""
    from scipy.sparse import csr_array

    part = slice(matches.starts[k], matches.starts[k + 1])
    image = matches.image[part]
    found: list[list[tuple[np.ndarray, Any]]] = []
    for a in range(len(AREAS)):
        found.append([])
        for matched, ignored in zip(matches.matched[a, :, part], matches.ignored[a, :, part], strict=True):
            counted = np.flatnonzero(~ignored)
            hits = np.flatnonzero(matched[counted])
            counted = counted[: hits[-1] + 1] if len(hits) else counted[:0]
            starts = np.concatenate(([0], hits + 1))
            shape = (len(hits), len(matches.images))
            between = csr_array((np.ones(len(counted)), image[counted], starts), shape=shape)
            found[-1].append((image[counted][hits], between))
    return found


def _average_precision(image: np.ndarray, between: Any, weights: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """101-point AP (R,) from the weights (I, R) of the true positives and of all detections up to each."""
    if not len(image):
        return np.where(positives > 0, 0.0, np.nan)
    true = np.cumsum(weights[image], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = true / positives
    precision = np.cumsum(between @ weights, axis=0)
    precision += np.spacing(1)
    np.divide(true, precision, out=precision)
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    # A true positive supplies the precision of the recall thresholds that it is the first to reach.
    reached = np.searchsorted(RECALLS, recall, side="right")
    reached[1:] -= reached[:-1].copy()
    return np.where(positives > 0, (envelope * reached).sum(axis=0) / len(RECALLS), np.nan)


def _mean_over_classes(values: np.ndarray) -> np.ndarray:
    """Mean (R,) over the defined classes of (K, R); NaN where there is none."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=0)
    return np.where(count > 0, np.where(defined, values, 0).sum(axis=0) / np.maximum(count, 1), np.nan)


def evaluate(
    truth: dict[str, Any] | Path, predictions: list[dict[str, Any]] | Path, *, left_out: Sequence[str] = (),
    ignore: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Average precision of `predictions` against `truth`, over all images of the truth (empty ones too).

    The numbers are those of pycocotools' COCOeval (bbox): IoU 0.50:0.05:0.95, 101 recall points, at most 100
    detections a class and image.

    truth: COCO ground truth, or its file. predictions: COCO results, or their file. left_out: names of truth classes
    that the judge lacks: null, not in the mean, named in `definition`. ignore: flags of true boxes that do not count,
    `difficult,crowd` say, or `none`; by default `crowd,ignore`.

    Returns {"AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR100": fraction in [0, 1] or None,
    "images": int, "per_iou": {"0.50": ..., "0.95": ...}, "per_class": {name: {"AP", "AP50", "AP75", "instances"}},
    "definition": str}. None stands for a class (or size) without truth; a class with truth and no detection has 0.
    RequestError: a file is not what it should be, the predictions are for other images or categories, or `left_out`
    names an unknown class or all classes.
    """
    content = read_truth(truth, ignore)
    results = read_predictions(predictions, content)
    names = {item["id"]: item["name"] for item in content["categories"]}
    counted = counted_classes(content, left_out)
    run = evaluated(content, results, counted)
    with contextlib.redirect_stdout(io.StringIO()):
        run.accumulate()
    # (IoU, recall, class, area) and (IoU, class, area), -1 where undefined, at 100 detections an image.
    precision, recall = run.eval["precision"][..., -1], run.eval["recall"][..., -1]
    thresholds = run.params.iouThrs

    def over_thresholds(values: np.ndarray) -> dict[str, float | int | None]:
        at = {"AP": values, "AP50": values[thresholds == 0.5], "AP75": values[thresholds == 0.75]}
        return {name: _mean(part) for name, part in at.items()}

    per_class = {}
    for number, name in names.items():
        instances = sum(item["category_id"] == number and not item["iscrowd"] for item in content["annotations"])
        columns = [counted.index(number)] if number in counted else []
        per_class[name] = over_thresholds(precision[:, :, columns, ALL]) | {"instances": instances}
    return {
        **over_thresholds(precision[..., ALL]),
        **{f"AP_{AREAS[area]}": _mean(precision[..., area]) for area in (SMALL, MEDIUM, LARGE)},
        "AR100": _mean(recall[..., ALL]),
        "images": len(content["images"]),
        "per_iou": {f"{iou:.2f}": _mean(precision[t, ..., ALL]) for t, iou in enumerate(thresholds)},
        "per_class": per_class,
        "definition": _definition(per_class, left_out) + _about_flags(content),
    }


def _mean(values: np.ndarray) -> float | None:
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None


def _about_flags(truth: dict[str, Any]) -> str:
    count = sum(bool(item["iscrowd"]) for item in truth["annotations"])
    text = f"; {count} ignored regions (iscrowd or ignore): detections inside count neither way" if count else ""
    return text + (f"; {flags}" if (flags := truth["info"].get("flags")) else "")


def _definition(per_class: dict[str, dict[str, Any]], left_out: Sequence[str]) -> str:
    counted = {name: row["instances"] for name, row in per_class.items() if name not in left_out}
    averaged, without = [name for name in counted if counted[name]], [name for name in counted if not counted[name]]
    text = (
        f"COCO box AP by pycocotools {metadata.version('pycocotools')}: IoU 0.50:0.05:0.95, "
        f"101 recall points, maxDets 100, all images; mean over {', '.join(averaged) or 'no class'}"
    )
    if without:
        text += f"; null, no truth: {', '.join(without)}"
    if left_out:
        text += f"; null, not among the judge's classes and left out of the mean: {', '.join(left_out)}"
    return text
