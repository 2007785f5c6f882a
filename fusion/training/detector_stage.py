"""The stage of training that a detector drives: crops with colour and boxes, and the detector's loss."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from fuse2task.data.dataset import Box, Pair, say_notes
from fuse2task.data.images import as_rgb, read_pair
from fuse2task.data.loading import load_dataset
from fuse2task.runtime.compute import generator
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.progress import say
from fusion.checkpoint import load_crossfuse
from fusion.recipe import FusionRecipe, Jitter
from fusion.training.samples import Draw, KeptTensors, PairDataset, TrainingPairs, drawn_side, jittered, resized
from fusion.training.stages import FusionStage, fusion_stage

MOST_BOXES = 64
SEEN = 0.4  # share of a box that must be inside the crop for the box to stay

TaskSample = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]
DetectorLoss = Callable[[Tensor, Tensor], Tensor]  # of RGB images (B, 3, H, W) in [0, 1] and boxes (B, 64, 5)
LoadDetector = Callable[[Path, tuple[str, ...]], DetectorLoss]  # from its weights and the classes of the boxes


class DetectorStage(FusionStage):
    """The whole fusion network, trained further: a frozen detector's loss on the fused images in colour, and stage 2's.

    After TarDAL (Liu et al., CVPR 2022), whose detector is trained as well; here it stays what the images are judged
    by. Where the recipe asks for it, pairs without boxes take part with stage 2's loss.
    """

    def __init__(self, pairs: TrainingPairs, load_detector: LoadDetector):
        recipe, task = pairs.recipe, pairs.recipe.task
        assert task is not None
        self.task, self.fusion = task, fusion_stage(pairs)
        classes, boxes = boxes_of(recipe)
        kept = KeptTensors(pairs.root, "task")
        boxed = BoxSamples(pairs.training.pairs, classes, boxes, task.size, kept, recipe.sampling.jitter)
        samples = WithGeneral(boxed, pairs.training) if task.general_weight else boxed
        super().__init__("task", task, pairs, samples)
        self.detector = load_detector(task.detector, classes)

    def network(self) -> nn.Module:
        return load_crossfuse(self.fusion.weights_file)[0]

    def cost(self, found: Mapping[str, float]) -> float | None:
        return None  # the held-out pairs need not have boxes, so there is nothing to choose by

    def losses(self, network: nn.Module, *images: Tensor) -> dict[str, Tensor]:
        infrared, visible, chroma, boxes, *general = images
        out = network(infrared, visible)
        detection = self.task.detection_weight * self.detector(in_colour(out, chroma), boxes)
        fusion = self.task.fusion_weight * self.fusion.loss_of(out, infrared, visible)["total"]
        losses = {"total": detection + fusion, "detection": detection, "fusion": fusion}
        if general:
            losses["general"] = self.task.general_weight * self.fusion.losses(network, *general)["total"]
            losses["total"] = losses["total"] + losses["general"]
        return losses

    def loss_of(self, out: Tensor, infrared: Tensor, visible: Tensor) -> dict[str, Tensor]:
        return self.fusion.loss_of(out, infrared, visible)


def in_colour(luma: Tensor, chroma: Tensor) -> Tensor:
    """RGB (B, 3, H, W) in [0, 1] of luma (B, 1, H, W) and Cr, Cb (B, 2, H, W) in [0, 255], as OpenCV's BT.601."""
    cr, cb = (chroma - 128).split(1, dim=1)
    rgb = torch.cat([luma + 1.403 * cr, luma - 0.714 * cr - 0.344 * cb, luma + 1.773 * cb], dim=1)
    return (rgb / 255).clamp(0, 1)


def boxes_of(recipe: FusionRecipe) -> tuple[tuple[str, ...], dict[Path, tuple[Box, ...]]]:
    """Classes, and boxes by infrared file. Raises RequestError: no source has boxes, or their classes differ."""
    classes: tuple[str, ...] = ()
    boxes: dict[Path, tuple[Box, ...]] = {}
    for source in recipe.data:
        if source.boxes is None and source.annotations is None:
            continue
        dataset = load_dataset(
            source.root, source.layout, split=source.split, boxes=source.boxes, annotations=source.annotations,
            ignore=source.ignore,
        )  # fmt: skip
        say_notes(dataset.notes)
        assert dataset.boxes is not None
        if classes and dataset.boxes.classes != classes:
            found = dataset.boxes.classes
            raise RequestError(
                f"{source.boxes or source.annotations}: classes {found} differ from another source's {classes}"
            )
        classes = dataset.boxes.classes
        boxes |= {pair.infrared: dataset.boxes.boxes[pair.id] for pair in dataset.pairs}
    if not classes:
        raise RequestError("task: a detector needs boxes; give data.N.boxes=FOLDER to a source of the recipe")
    return classes, boxes


class BoxSamples(PairDataset):
    """Crops at native scale, mirrored at random, of those of `pairs` that have boxes (or are known to have none)."""

    def __init__(
        self, pairs: Sequence[Pair], classes: Sequence[str], boxes: Mapping[Path, tuple[Box, ...]], size: int,
        kept: KeptTensors, jitter: Jitter | None = None,
    ):  # fmt: skip
        self.numbers = [number for number, pair in enumerate(pairs) if pair.infrared in boxes]
        self.pairs = [pairs[number] for number in self.numbers]
        if not self.pairs:
            raise RequestError("task: no training pair has boxes; give data.N.boxes=FOLDER to a source of the recipe")
        enlarges = jitter is not None and jitter.zoom > 1
        if not enlarges and (small := [pair.id for pair in self.pairs if min(pair.size) < size]):
            raise RequestError(f"task: {small[0]} is smaller than the crops; lower task.size={size}")
        self.size, self._kept, self.jitter = size, kept, jitter
        rows = ([[classes.index(b.name), b.x, b.y, b.w, b.h] for b in boxes[pair.infrared]] for pair in self.pairs)
        self._boxes = [np.array(own, dtype=np.float32).reshape(-1, 5) for own in rows]
        if crowded := sum(len(own) > MOST_BOXES for own in self._boxes):
            say(f"task: {crowded} images have more than {MOST_BOXES} boxes; a crop is trained on {MOST_BOXES} at most")

    def __getitem__(self, draw: Draw) -> TaskSample:
        """infrared (1, S, S), visible luma (1, S, S) and chroma Cr, Cb (2, S, S), all uint8, boxes (64, 5) float32 as
        `DetectionLoss` takes them, number of the pair in the run's list."""
        planes = self._kept.get(draw.number, lambda: _decoded(self.pairs[draw.number])).numpy()
        height, width = planes.shape[1:]
        rng = generator(*(draw.key or ("centre",)))
        side = drawn_side(self.size, (height, width), self.jitter, rng)
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        planes = resized(planes[:, top : top + side, left : left + side], self.size)
        if self.jitter:
            planes = jittered(planes, self.jitter, rng)
        boxes = _cropped(self._boxes[draw.number], left, top, side)
        if rng.random() < 0.5:
            planes = planes[..., ::-1]
            boxes[:, 1] = 1 - boxes[:, 1]
        filled = np.full((MOST_BOXES, 5), -1, dtype=np.float32)
        filled[: len(boxes)] = boxes[:MOST_BOXES]
        return planes[:1], planes[1:2], planes[2:], filled, self.numbers[draw.number]


class WithGeneral(PairDataset):
    """Each sample of `task` with one of `shared`, drawn from the pairs that are not in `task`."""

    def __init__(self, task: BoxSamples, shared: PairDataset):
        self.pairs, self._task, self._shared = task.pairs, task, shared
        self._others = sorted(set(range(len(shared.pairs))) - set(task.numbers))
        if not self._others:
            raise RequestError("task.general_weight: every training pair has boxes; give more data, or a weight of 0")

    def __getitem__(self, draw: Draw) -> tuple[Any, ...]:
        """What `task` gives, with infrared and visible (1, S, S) uint8 of the other sample before the number."""
        *images, number = self._task[draw]
        key = (*(draw.key or ("centre",)), "general")
        other = self._others[generator(*key).integers(len(self._others))]
        infrared, visible, _ = self._shared[Draw(other, key)]
        return *images, infrared, visible, number


def _decoded(pair: Pair) -> Tensor:  # infrared, Y, Cr, Cb (4, H, W) uint8
    infrared, visible = read_pair(pair)
    ycrcb = cv2.cvtColor(as_rgb(visible), cv2.COLOR_RGB2YCrCb)
    return torch.from_numpy(np.concatenate([infrared[None], ycrcb.transpose(2, 0, 1)]))


def _cropped(boxes: np.ndarray, left: int, top: int, size: int) -> np.ndarray:
    """Rows (class, x, y, w, h) in pixels of the image to (class, centre x, centre y, w, h) as fractions of a crop."""
    corner = np.array([left, top], dtype=np.float32)
    low, high = (boxes[:, 1:3] - corner).clip(0, size), (boxes[:, 1:3] + boxes[:, 3:5] - corner).clip(0, size)
    seen = (high - low).prod(axis=1) > SEEN * boxes[:, 3:5].prod(axis=1)
    return np.concatenate([boxes[:, :1], (low + high) / 2 / size, (high - low) / size], axis=1)[seen]
