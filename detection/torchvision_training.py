"""Training a detector of torchvision on a fused dataset: samples, losses, validation by COCO AP."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection.ssd import SSD

from detection.average_precision import evaluate
from detection.coco import read_truth
from detection.judge import TorchvisionDetector, predict
from detection.recipe import DetectionRecipe
from detection.torchvision_networks import TorchvisionNetwork, build, build_from
from fuse2task.data.fused import FusedDataset
from fuse2task.data.images import as_rgb, read_visible
from fuse2task.runtime.compute import generator
from fuse2task.training.loop import TrainingStage

GREY = 114  # of the letterbox's border, as in prediction
KEPT, LEAST = 0.1, 1.0  # share of a box inside the sample, and its least side in pixels, from which it stays
OPTIMIZERS = {"RMSProp": "RMSprop"}  # PyTorch's name, where it is another
LARGEST_GRADIENT = 10.0  # Ultralytics' own
BEST_ON_VAL = "best epoch on val by COCO AP"
Draw = tuple[int, int]  # epoch, number of the image


class Wrapped(nn.Module):
    """A detector of torchvision behind tensors of fixed shapes, as processes exchange them."""

    def __init__(self, detector: nn.Module):
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor, boxes: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The losses. images: (B, 3, S, S) float, 0 to 255. boxes: (B, M, 4) x1, y1, x2, y2. labels: (B, M), 0 where
        there is no box."""
        targets = [{"boxes": box[label > 0], "labels": label[label > 0]}
                   for box, label in zip(boxes, labels, strict=True)]  # fmt: skip
        given = list(images / 255)
        # SSD's last maps have one pixel, of which one image has no variance; twice the image, and it is zero.
        if len(given) == 1 and isinstance(self.detector, SSD):
            given, targets = given * 2, targets * 2
        return self.detector(given, targets)  # type: ignore[no-any-return]


class TorchvisionStage(TrainingStage):
    """The only stage of a run. selects: the split whose AP chooses the checkpoint, None where the last epoch is judged.
    draw: writes sample pictures of the best checkpoint into a folder when training has ended."""

    clip = LARGEST_GRADIENT

    def __init__(
        self, recipe: DetectionRecipe, dataset: FusedDataset, selects: str | None, draw: Callable[[], None]
    ):  # fmt: skip
        self.recipe, self.dataset, self.selects, self._draw = recipe, dataset, selects, draw
        self.name, self.seed, self.epochs = recipe.model, recipe.seed, recipe.epochs
        self.samples = Samples(dataset, recipe)
        self.count = len(self.samples.paths)
        self.held_out = dataset.ids(selects) if selects else ()
        # A small set does not fill the recipe's batch.
        self.batch = min(recipe.batch, self.count)

    def build(self) -> nn.Module:
        recipe, classes = self.recipe, self.dataset.classes
        self.network: TorchvisionNetwork = (
            build_from(recipe.model, classes, recipe.image_size, Path(recipe.weights)) if recipe.weights
            else build(recipe.model, classes, recipe.image_size)
        )  # fmt: skip
        self.parameters = sum(value.numel() for value in self.network.module.parameters())
        # Half of these networks is 1x1 and depth-wise convolutions: 1.5 times as fast on a CPU in this layout.
        return Wrapped(self.network.module).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        recipe = self.recipe
        # As in Ultralytics, biases and normalisation do not decay.
        weights = [value for value in network.parameters() if value.requires_grad and value.ndim > 1]
        others = [value for value in network.parameters() if value.requires_grad and value.ndim <= 1]
        groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        kind = getattr(torch.optim, OPTIMIZERS.get(recipe.optimizer, recipe.optimizer))
        if recipe.optimizer == "SGD":
            return kind(groups, lr=recipe.lr0, momentum=recipe.momentum, nesterov=recipe.momentum > 0)  # type: ignore[no-any-return]
        if recipe.optimizer == "RMSProp":
            return kind(groups, lr=recipe.lr0, momentum=recipe.momentum)  # type: ignore[no-any-return]
        # One kernel a step: with 20 M weights the separate ones are a sixth of a CPU's time.
        fused = {"fused": True} if recipe.optimizer in ("Adam", "AdamW") else {}
        return kind(groups, lr=recipe.lr0, betas=(recipe.momentum, 0.999), **fused)  # type: ignore[no-any-return]

    def rate(self, step: int) -> float:
        """A linear warm-up from zero, and a linear fall to lr0 * lrf."""
        recipe = self.recipe
        fall = 1 - (1 - recipe.lrf) * step / (self.epochs * self.steps)
        return recipe.lr0 * fall * min(1.0, (step + 1) / max(recipe.warmup_epochs * self.steps, 1))

    def draws(self, epoch: int) -> list[Draw]:
        return [(epoch, number) for number in generator(self.seed, "order", epoch).permutation(self.count).tolist()]

    def ids(self, numbers: Sequence[int]) -> list[str]:
        return [self.samples.paths[number].stem for number in numbers]

    def losses(self, network: nn.Module, *parts: Tensor) -> dict[str, Tensor]:
        images, boxes, labels = parts
        found = network(images, boxes, labels)
        return {"loss": torch.stack(list(found.values())).sum(), **found}

    def validate(self, network: nn.Module, epoch: int, sheets: Path) -> dict[str, float]:
        if self.selects is None:
            return {}
        device = next(network.parameters()).device
        judge = TorchvisionDetector(self.network.module, self.network.names, self.network.image_size, "", device)
        results, _ = predict(self.dataset, self.selects, judge)
        found = evaluate(self.dataset.annotations(self.selects), results)
        return {name: found[name] or 0.0 for name in ("AP", "AP50")}

    def cost(self, found: Mapping[str, float]) -> float | None:
        return -found["AP"] if self.selects else None

    def save(self, network: nn.Module, path: Path) -> None:
        self.network.save(path, self.recipe.model_dump(mode="json"))

    def finish(self, network: nn.Module) -> None:
        self._draw()


class Samples:
    """Augmented training images, fixed by (seed, epoch, id): (3, S, S) uint8 RGB, (M, 4) float32 boxes and (M,) int64
    labels from 1 (0 where there is no box), number of the image. M: the most boxes of an image."""

    def __init__(self, dataset: FusedDataset, recipe: DetectionRecipe):
        self.paths, self.recipe = dataset.images("train"), recipe
        truth = read_truth(dataset.annotations("train"))
        names = {item["id"]: item["name"] for item in truth["categories"]}
        files = {image["id"]: Path(image["file_name"]).stem for image in truth["images"]}
        self.boxes: dict[str, list[list[float]]] = {path.stem: [] for path in self.paths}
        for item in (item for item in truth["annotations"] if not item["iscrowd"]):
            x, y, w, h = item["bbox"]
            kind = dataset.classes.index(names[item["category_id"]]) + 1
            self.boxes[files[item["image_id"]]].append([x, y, x + w, y + h, kind])
        self.most = max(map(len, self.boxes.values()))

    def __getitem__(self, draw: Draw) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        epoch, number = draw
        path = self.paths[number]
        image, table = augment(
            as_rgb(read_visible(path)), np.array(self.boxes[path.stem], np.float32).reshape(-1, 5), self.recipe,
            generator(self.recipe.seed, "augment", epoch, path.stem),
        )  # fmt: skip
        boxes, labels = np.zeros((self.most, 4), np.float32), np.zeros(self.most, np.int64)
        boxes[: len(table)], labels[: len(table)] = table[:, :4], table[:, 4]
        return np.ascontiguousarray(image.transpose(2, 0, 1)), boxes, labels, number


def augment(
    image: np.ndarray, table: np.ndarray, recipe: DetectionRecipe, drawn: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A square of `recipe.image_size` around the image, changed at random as Ultralytics does without mosaic: size and
    place, hue, saturation and value, flips. (H, W, 3) uint8 RGB and (N, 5) float32 x1, y1, x2, y2, label; boxes are cut
    to the square, and those of which hardly anything is left are gone: torchvision refuses boxes without area."""
    (height, width), side = image.shape[:2], recipe.image_size
    # All is drawn whatever the settings, so that one key changes one thing.
    zoom, right, down, *colour = drawn.uniform(-1, 1, 6)
    fliplr, flipud = drawn.uniform(0, 1, 2)
    gain = side / max(height, width) * (1 + recipe.scale * zoom)
    moved = side * (0.5 + recipe.translate * np.array([right, down])) - gain * np.array([width, height]) / 2
    matrix = np.array([[gain, 0, moved[0]], [0, gain, moved[1]]])
    image = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=(GREY, GREY, GREY))
    boxes = table[:, :4] * gain + np.tile(moved, 2)
    whole = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    boxes = boxes.clip(0, side)
    if fliplr < recipe.fliplr:
        image, boxes = image[:, ::-1], np.stack([side - boxes[:, 2], boxes[:, 1], side - boxes[:, 0], boxes[:, 3]], 1)
    if flipud < recipe.flipud:
        image, boxes = image[::-1], np.stack([boxes[:, 0], side - boxes[:, 3], boxes[:, 2], side - boxes[:, 1]], 1)
    sides = boxes[:, 2:] - boxes[:, :2]
    kept = (sides >= LEAST).all(axis=1) & (sides.prod(axis=1) >= KEPT * whole)
    gains = 1 + np.array(colour) * (recipe.hsv_h, recipe.hsv_s, recipe.hsv_v)
    if (gains != 1).any():
        image = _recoloured(np.ascontiguousarray(image), gains)
    return image, np.concatenate([boxes, table[:, 4:]], axis=1)[kept].astype(np.float32)


def _recoloured(image: np.ndarray, gains: np.ndarray) -> np.ndarray:
    values = np.arange(256)
    tables = [(values * gains[0]) % 180, (values * gains[1]).clip(0, 255), (values * gains[2]).clip(0, 255)]
    planes = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    changed = [cv2.LUT(plane, table.astype(np.uint8)) for plane, table in zip(planes, tables, strict=True)]
    return cv2.cvtColor(cv2.merge(changed), cv2.COLOR_HSV2RGB)
