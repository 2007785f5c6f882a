"""Detections matched to truth once, kept as flat arrays from which AP under any image weights follows."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import atomic_path

AREAS = ("all", "small", "medium", "large")  # COCOeval's: all, < 32^2, 32^2 to 96^2, > 96^2 pixels
_FORMAT = 1
_PLAIN = ("images", "thresholds", "starts", "image", "score", "truths")
_PACKED = ("matched", "ignored")  # eight to the byte


@dataclass(frozen=True)
class Matches:
    """What pycocotools' matching decided for every detection, N in all, K classes, I images, T IoU thresholds.

    Detections stand class after class; within a class in COCOeval's order: by falling score, ties by image, then
    by the order of the predictions. At most 100 a class and image.
    """

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
            self.classes,
            self.images[kept],
            self.thresholds,
            before[self.starts],
            (np.cumsum(kept) - 1)[self.image[stay]],
            self.score[stay],
            self.matched[..., stay],
            self.ignored[..., stay],
            self.truths[..., kept],
        )

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
        try:
            with np.load(path, allow_pickle=False) as file:
                if int(file["format"]) != _FORMAT:
                    raise RequestError(
                        f"{path}: matches of format {int(file['format'])}, not {_FORMAT}; evaluate again"
                    )
                arrays: dict[str, Any] = {name: file[name] for name in _PLAIN}
                for name in _PACKED:
                    arrays[name] = np.unpackbits(file[name], axis=-1, count=len(arrays["score"])).astype(bool)
                return Matches(classes=tuple(map(str, file["classes"])), **arrays)
        except FileNotFoundError:
            raise RequestError(f"{path}: no such file of matches; evaluate again") from None
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise RequestError(f"{path}: not a readable file of matches ({error}); evaluate again") from None


def match(truth: dict[str, Any], predictions: list[dict[str, Any]], *, left_out: Sequence[str] = ()) -> Matches:
    """Match `predictions` to `truth` as pycocotools' COCOeval (bbox) does: IoU 0.50:0.05:0.95, all images.

    Args:
        truth: as `detection.coco.read_truth` gives it; not modified.
        predictions: as `detection.coco.read_predictions` gives them; not modified.
        left_out: names of truth classes that do not take part.

    Raises:
        RequestError: `left_out` names an unknown class or all classes.
    """
    run = evaluated(truth, predictions, counted_classes(truth, left_out))
    images, thresholds = run.params.imgIds, run.params.iouThrs
    names = {item["id"]: item["name"] for item in truth["categories"]}
    # COCOeval stores one dict a class, area range and image, in this nesting; None without truth and detection.
    found = iter(run.evalImgs)
    parts = [_of_class([list(islice(found, len(images))) for _ in AREAS], len(thresholds)) for _ in run.params.catIds]
    image, score, matched, ignored, truths = zip(*parts, strict=True)
    return Matches(
        classes=tuple(names[number] for number in run.params.catIds),
        images=np.array(images),
        thresholds=np.array(thresholds),
        starts=np.cumsum([0, *map(len, image)]),
        image=np.concatenate(image),
        score=np.concatenate(score),
        matched=np.concatenate(matched, axis=-1),
        ignored=np.concatenate(ignored, axis=-1),
        truths=np.stack(truths),
    )


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
    """Sorted ids of the categories of `truth` that take part.

    Raises:
        RequestError: `left_out` names an unknown class or all classes.
    """
    names = {item["id"]: item["name"] for item in truth["categories"]}
    unknown = sorted(set(left_out) - set(names.values()))
    if unknown or len(set(left_out)) == len(names):
        raise RequestError(
            f"cannot leave out {', '.join(unknown or left_out)}: the truth has the classes {', '.join(names.values())}"
        )
    return sorted(number for number, name in names.items() if name not in left_out)


def evaluated(truth: dict[str, Any], predictions: list[dict[str, Any]], categories: Sequence[int]) -> COCOeval:
    """A COCOeval (bbox) of copies of truth and predictions, matched but not yet accumulated; prints nothing."""
    with contextlib.redirect_stdout(io.StringIO()):
        ground = COCO()
        ground.dataset = {**truth, "annotations": [dict(item) for item in truth["annotations"]]}
        ground.createIndex()
        if predictions:
            detections = ground.loadRes([dict(item) for item in predictions])
        else:  # loadRes([]) fails, but a judge that finds nothing has an AP: 0
            detections = COCO()
            detections.dataset = {**truth, "annotations": []}
            detections.createIndex()
        run = COCOeval(ground, detections, "bbox")
        run.params.catIds = list(categories)
        run.evaluate()
    return run
