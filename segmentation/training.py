"""Training a segmenter on a fused dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fuse2task.data.dataset import validation_split
from fuse2task.data.fused import open_fused, verify_images, verify_truth
from fuse2task.data.images import write_image
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import refuse_overlap, value_hash
from fuse2task.runtime.progress import say
from fuse2task.training.loop import TrainingRun, TrainingStage
from segmentation.encoder_weights import load_encoder_weights
from segmentation.evaluation import DEFINITION, IGNORE, confusion, scores
from segmentation.model import Segmenter, build_model, save_segmenter
from segmentation.prediction import sheet
from segmentation.recipe import Loss, SegmentationRecipe
from segmentation.samples import IMAGENET, Augment, Draw, SegmentationSamples, draws_of_epoch, labelled, survey

SHEETS = 4  # sample images drawn at a time
SHEET_TIMES = 10  # how often in a run they are drawn
SELECTION = "highest mIoU on the split val"
NO_SELECTION = "last epoch: the dataset has no split val, and the test split never chooses a checkpoint"
NO_OBJECTS = "last epoch: the split val has no pixel of an object, and the test split never chooses a checkpoint"


def train(recipe: SegmentationRecipe, root: Path) -> Path:
    """Train a segmenter by `recipe` in the run folder `root`; a killed run resumes.

    Trains on the split `train`; the checkpoint with the highest mIoU on the split `val` is the best, or the
    last one where there is no such split or no object in it: the test split never chooses. Under torchrun or
    `accelerate launch` the recipe's batch is split over the processes.

    Returns the path of the best checkpoint. RequestError: bad data, no such network or weights, or `root` holds another
    run. Fuse2TaskError: the loss is not finite; the message names the images of the batch.
    """
    stage = SegmentationStage(recipe)
    refuse_overlap(root, *stage.dataset.parts)
    return TrainingRun(recipe, root, recipe.workers).train(lambda: [stage], stage.card, stage.data["manifest_hash"])


class SegmentationStage(TrainingStage):
    """The only stage of a segmenter. RequestError: a dataset without masks."""

    name = "segmenter"

    def __init__(self, recipe: SegmentationRecipe):
        self.recipe, self.dataset = recipe, open_fused(recipe.data)
        if self.dataset.truth != "masks":
            found = f"fused with truth {self.dataset.truth!r}"
            raise RequestError(f"{self.dataset.root}: {found}, but masks are needed; fuse it again with them")
        self.held_out_split = validation_split(self.dataset.splits) or "val"
        self.training, self.validation = labelled(self.dataset, "train"), labelled(self.dataset, self.held_out_split)
        self.seed, self.epochs, self.batch, self.count = recipe.seed, recipe.epochs, recipe.batch, len(self.training)
        self.held_out, manifest = [pair.id for pair in self.validation], self.dataset.manifest
        # What the data is, whatever folder it lies in.
        self.data = {key: manifest.get(key) for key in ("method", "split", "truth", "source", "color")}
        self.data["manifest_hash"] = value_hash(manifest)

    def build(self) -> torch.nn.Module:
        recipe, classes = self.recipe, self.dataset.classes
        # Built first, so that a wrong name is reported before the data is read.
        network = build_model(recipe.architecture, recipe.encoder, len(classes))
        encoder = network.get_submodule("encoder")
        self.initial_weights = load_encoder_weights(encoder, recipe.encoder, recipe.encoder_weights)
        used = [split for split in ("train", self.held_out_split) if split in self.dataset.splits]
        verify_images(self.dataset, used)
        verify_truth(self.dataset, used)
        self.selects = any(np.isin(pair.read()[1], (0, IGNORE), invert=True).any() for pair in self.validation)
        if self.validation and not self.selects:
            say(f"{self.dataset.root}: {NO_OBJECTS}")
        found = survey(self.training, len(classes))
        self.normalisation = found.normalisation() if recipe.normalisation == "dataset" else IMAGENET
        balance = found.median_frequency_weights() if recipe.class_weights == "median_frequency" else None
        self.loss = CrossEntropyDice(recipe.loss, balance)
        augment = Augment(recipe.augmentation, recipe.crop, [255 * value for value in self.normalisation.mean])
        self.samples = SegmentationSamples(self.training, augment, self.normalisation, recipe.seed)
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        return network

    def optimizer(self, network: torch.nn.Module) -> torch.optim.Optimizer:
        inside = list(network.get_submodule("encoder").parameters())
        beyond = [p for name, p in network.named_parameters() if not name.startswith("encoder.")]
        groups = [{"params": inside, "factor": 1.0}, {"params": beyond, "factor": self.recipe.decoder_lr_factor}]
        return torch.optim.AdamW(groups, lr=self.recipe.lr, weight_decay=self.recipe.weight_decay)

    def rate(self, step: int) -> float:
        return learning_rate(self.recipe, step, self.epochs * self.steps)

    def draws(self, epoch: int) -> list[Draw]:
        return draws_of_epoch(len(self.training), self.seed, epoch)

    def ids(self, numbers: Sequence[int]) -> list[str]:
        return [self.training[number].id for number in numbers]

    def losses(self, network: torch.nn.Module, *parts: torch.Tensor) -> dict[str, torch.Tensor]:
        images, masks = parts
        return self.loss.to(images.device)(network(images), masks)  # type: ignore[no-any-return]

    def validate(self, network: torch.nn.Module, epoch: int, sheets: Path) -> dict[str, float]:
        segmenter, classes = self._segmenter(network), self.dataset.classes
        if (epoch + 1) % max(self.epochs // SHEET_TIMES, 1) == 0:
            for pair in (self.validation or self.training)[:SHEETS]:
                image, mask = pair.read()
                drawn = sheet(image, segmenter(image), classes, mask)
                write_image(sheets / f"epoch-{epoch + 1:03d}-{pair.id}.png", drawn)
        if not self.selects:
            return {}
        total = np.zeros((len(classes), len(classes)), np.int64)
        for pair in self.validation:
            image, mask = pair.read()
            total += confusion(mask, segmenter(image), len(classes))
        found = scores(total, classes)
        return {name: found[name] for name in ("mIoU", "mIoU_foreground") if found[name] is not None}

    def cost(self, found: Mapping[str, float]) -> float | None:
        return -found.get("mIoU", -1.0) if self.selects else None

    def row(self, epoch: int, step: int, losses: Mapping[str, float], found: Mapping[str, float]) -> dict[str, Any]:
        row = {"epoch": epoch} | {name: f"{value:.6g}" for name, value in losses.items()}
        return row | {f"val_{name}": value for name, value in found.items()}

    def save(self, network: torch.nn.Module, path: Path) -> None:
        save_segmenter(path, self._segmenter(network), self.recipe)

    def card(self, counters: Mapping[str, Any]) -> dict[str, Any]:
        """What the run's card says about the segmenter."""
        best, without = -counters["best"], NO_OBJECTS if self.validation else NO_SELECTION
        return {
            "kind": "segmenter", "recipe": self.recipe.model_dump(mode="json"), "data": self.data,
            "classes": list(self.dataset.classes),
            "images": {"train": len(self.training), "val": len(self.validation)},
            "parameters": self.parameters, "initial_weights": self.initial_weights,
            "normalisation": {"mean": self.normalisation.mean, "std": self.normalisation.std},
            "selection": SELECTION if self.selects else without, "best_epoch": counters["best_epoch"],
            "val_mIoU": best if self.selects and best >= 0 else None, "definition": DEFINITION,
        }  # fmt: skip

    def _segmenter(self, network: torch.nn.Module) -> Segmenter:
        return Segmenter(network, self.dataset.classes, self.normalisation)


class CrossEntropyDice(torch.nn.Module):
    """Weighted sum of cross-entropy (with class weights) and SMP's multi-class Dice loss, both blind to 255. SMP's Dice
    averages over all classes and gives 0 for those absent from the batch."""

    def __init__(self, weights: Loss, class_weights: Sequence[float] | None = None):
        super().__init__()
        from segmentation_models_pytorch.losses import DiceLoss

        self.weights = weights
        balance = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.ce = torch.nn.CrossEntropyLoss(weight=balance, ignore_index=IGNORE)
        self.dice = DiceLoss("multiclass", ignore_index=IGNORE)

    def forward(self, logits: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """{"loss", "ce", "dice"}, float32 scalars, from (N, C, H, W) logits and (N, H, W) int64 indices.

        A batch of 255 alone gives zeros: cross-entropy has no mean there.
        """
        logits, counted = logits.float(), (mask != IGNORE).any()
        mask = torch.where(counted, mask, torch.zeros_like(mask))  # no branch: that would wait for the GPU
        ce, dice = self.ce(logits, mask) * counted, self.dice(logits, mask) * counted
        return {"loss": self.weights.ce * ce + self.weights.dice * dice, "ce": ce, "dice": dice}


def learning_rate(recipe: SegmentationRecipe, step: int, total: int) -> float:
    """Rate of the step-th update (from 0) of `total`: linear warm-up times polynomial decay to zero."""
    warmup = round(recipe.warmup * total)
    return recipe.lr * min(1.0, (step + 1) / max(warmup, 1)) * (1 - step / total) ** recipe.power
