"""The training loop: any device, any number of processes (accelerate), resumes to the same weights."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from fuse2task.data.fused import FusedDataset, open_fused, verify_images, verify_truth
from fuse2task.data.images import write_image
from fuse2task.runtime.compute import generator, seed_everything
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.files import value_hash
from fuse2task.runtime.packages import versions
from fuse2task.runtime.progress import Meter, say
from fuse2task.training.acceleration import make_accelerator, numbers_of
from fuse2task.training.resume import load_state, save_state
from fuse2task.training.run_folder import RunFolder
from segmentation.augmentation import Augment
from segmentation.confusion import confusion
from segmentation.encoder_weights import load_encoder_weights
from segmentation.evaluation import DEFINITION, scores
from segmentation.losses import CrossEntropyDice
from segmentation.model import Segmenter, build_model, save_segmenter
from segmentation.overlay import sheet
from segmentation.recipe import SegmentationRecipe
from segmentation.samples import IMAGENET_MEAN, IMAGENET_STD, Normalisation, Samples, labelled
from segmentation.survey import survey

SHEETS = 4  # sample images drawn at a time
SHEET_TIMES = 10  # how often in a run they are drawn


def train(recipe: SegmentationRecipe, root: Path) -> Path:
    """Train a segmenter by `recipe` in the run folder `root`, resuming where a killed run stopped.

    Trains on the split `train`; the checkpoint with the highest mIoU on the split `val` is the best, or the
    last one where there is no such split: the test split never chooses. Under torchrun or `accelerate launch`
    the recipe's batch is split over the processes.

    Returns:
        The path of the best checkpoint.

    Raises:
        RequestError: bad data, no such network or weights, or `root` holds another run.
        Fuse2TaskError: the loss is not finite; the message names the images of the batch.
    """
    return Trainer(recipe, Path(root)).run()


def learning_rate(recipe: SegmentationRecipe, step: int, total: int) -> float:
    """Rate of the step-th update (from 0) of `total`: linear warm-up times polynomial decay to zero."""
    warmup = round(recipe.warmup * total)
    return recipe.lr * min(1.0, (step + 1) / max(warmup, 1)) * (1 - step / total) ** recipe.power


class Trainer:
    """One training run."""

    def __init__(self, recipe: SegmentationRecipe, root: Path):
        self.recipe = recipe
        self.data = open_fused(recipe.data)
        self.training, self.validation = labelled(self.data, "train"), labelled(self.data, "val")
        self.accelerator = make_accelerator(recipe.device, recipe.precision)
        self.is_main = self.accelerator.is_main_process
        self._check()
        with self.accelerator.main_process_first():
            self.folder = RunFolder(root, recipe.model_dump(mode="json"))
        self.counters: dict[str, Any] = {
            "epoch": 0,
            "best_epoch": 0,
            "best": -1.0,
            "data": _identity(self.data),
        }

    def run(self) -> Path:
        """All epochs that are not finished yet."""
        if self.folder.finished:
            say(f"{self.folder.root}: already trained; remove the folder to train again")
            return self.folder.best
        with self.folder.held(self.is_main):
            return self._train()

    def _train(self) -> Path:
        started = time.monotonic()
        self._prepare()
        steps = len(self.training) // self.recipe.batch
        with Meter("training", self.recipe.epochs * steps, "steps", self.counters["epoch"] * steps) as meter:
            for epoch in range(self.counters["epoch"], self.recipe.epochs):
                self._epoch(epoch, steps, meter)
        if self.is_main:
            self._finish(time.monotonic() - started)
        self.accelerator.wait_for_everyone()
        return self.folder.best

    def _check(self) -> None:
        recipe, root, processes = self.recipe, self.data.root, self.accelerator.num_processes
        if self.data.truth != "masks":
            raise RequestError(
                f"{root}: fused with truth {self.data.truth!r}, but masks are needed; fuse it again with them"
            )
        if len(self.training) < recipe.batch:
            raise RequestError(
                f"{root}: {len(self.training)} images in split train do not fill a batch of {recipe.batch}"
            )
        if recipe.batch % processes:
            raise RequestError(f"batch={recipe.batch} cannot be split over {processes} processes")

    def _prepare(self) -> None:
        recipe, classes = self.recipe, self.data.classes
        # Built first, so that a wrong name is told before the data is read.
        seed_everything(recipe.seed)
        network = build_model(recipe.architecture, recipe.encoder, len(classes))
        encoder = network.get_submodule("encoder")
        self.weights = load_encoder_weights(encoder, recipe.encoder, recipe.encoder_weights)
        used = [split for split in ("train", "val") if split in self.data.splits]
        verify_images(self.data, used)
        verify_truth(self.data, used)
        found = survey(self.training, len(classes))
        fixed = Normalisation(IMAGENET_MEAN, IMAGENET_STD)
        normalisation = found.normalisation() if recipe.normalisation == "dataset" else fixed
        balance = found.median_frequency_weights() if recipe.class_weights == "median_frequency" else None
        self.loss = CrossEntropyDice(recipe.loss, balance).to(self.accelerator.device)
        self.augment = Augment(recipe.augmentation, recipe.crop, [255 * value for value in normalisation.mean])
        if self.accelerator.num_processes > 1 and self.accelerator.device.type == "cuda":
            network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
        network = network.to(self.accelerator.device)
        inside = list(network.get_submodule("encoder").parameters())
        beyond = [p for name, p in network.named_parameters() if not name.startswith("encoder.")]
        groups = [
            {"params": inside, "factor": 1.0},
            {"params": beyond, "factor": recipe.decoder_lr_factor},
        ]
        optimizer = torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)
        self._restore(network, optimizer)
        self.segmenter = Segmenter(network, classes, normalisation)
        self.wrapped, self.optimizer = self.accelerator.prepare(network, optimizer)

    def _epoch(self, epoch: int, steps: int, meter: Meter) -> None:
        started = time.monotonic()
        # Dropout and stochastic depth draw from torch's generator: the same in a resumed run.
        torch.manual_seed(int(generator(self.recipe.seed, "epoch", epoch).integers(2**63)))
        samples = Samples(self.training, self.augment, self.segmenter.normalisation, self.recipe.seed, epoch)
        process, processes = self.accelerator.process_index, self.accelerator.num_processes
        loader = DataLoader(
            samples, batch_sampler=samples.batches(self.recipe.batch, process, processes),
            num_workers=self.recipe.workers, pin_memory=self.accelerator.device.type == "cuda",
        )  # fmt: skip
        self.wrapped.train()
        sums: dict[str, float] = {}
        for number, (images, masks, ids) in enumerate(loader):
            losses = self._step(epoch * steps + number, steps, images, masks, ids)
            sums = {name: sums.get(name, 0.0) + value for name, value in losses.items()}
            meter.advance(1, f"loss {losses['loss']:.3f}")
        if self.is_main:
            means = {name: value / steps for name, value in sums.items()}
            self._end_of_epoch(epoch, means, time.monotonic() - started)
        self.accelerator.wait_for_everyone()

    def _step(
        self, step: int, steps: int, images: torch.Tensor, masks: torch.Tensor, ids: tuple[str, ...]
    ) -> dict[str, float]:
        rate = learning_rate(self.recipe, step, self.recipe.epochs * steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        device = self.accelerator.device
        losses = self.loss(self.wrapped(images.to(device, non_blocking=True)), masks.to(device, non_blocking=True))
        values = numbers_of(losses, self.accelerator)
        if not math.isfinite(values["loss"]):
            raise Fuse2TaskError(
                f"the loss is not finite at step {step} ({values}) for the images {', '.join(ids)}; "
                "look at these images and masks, lower lr, or set precision=fp32"
            )
        self.optimizer.zero_grad()
        self.accelerator.backward(losses["loss"])
        self.optimizer.step()
        return values

    def _end_of_epoch(self, epoch: int, losses: dict[str, float], seconds: float) -> None:
        found = self._validate() if self.validation else {}
        score = found.get("mIoU")
        counters = self.counters
        counters["epoch"] = epoch + 1
        if not self.validation or (-1.0 if score is None else score) > counters["best"]:
            counters["best"], counters["best_epoch"] = (-1.0 if score is None else score), epoch + 1
            save_segmenter(self.folder.best, self.segmenter, self.recipe)
        save_segmenter(self.folder.last, self.segmenter, self.recipe)
        row: dict[str, Any] = {"epoch": epoch + 1} | {name: f"{value:.6g}" for name, value in losses.items()}
        row |= {f"val_{name}": found[name] for name in ("mIoU", "mIoU_foreground") if name in found}
        self.folder.log(row | {"lr": f"{self.optimizer.param_groups[0]['lr']:.4g}", "seconds": f"{seconds:.1f}"})
        if (epoch + 1) % max(self.recipe.epochs // SHEET_TIMES, 1) == 0:
            self._draw(epoch)
        save_state(self.folder.resume, {"network": self.segmenter.model}, self.optimizer, counters)
        told = "" if score is None else f", val mIoU {score:.4f}"
        say(f"epoch {epoch + 1}/{self.recipe.epochs}: loss {losses['loss']:.4f}{told}")

    def _validate(self) -> dict[str, Any]:
        self.segmenter.model.eval()
        classes = len(self.data.classes)
        total = np.zeros((classes, classes), np.int64)
        for pair in self.validation:
            image, mask = pair.read()
            total += confusion(mask, self._predicted(image), classes)
        return scores(total, self.data.classes)

    def _predicted(self, image: np.ndarray) -> np.ndarray:
        with self.accelerator.autocast():
            return self.segmenter(image)

    def _draw(self, epoch: int) -> None:
        self.segmenter.model.eval()
        for pair in (self.validation or self.training)[:SHEETS]:
            image, mask = pair.read()
            drawn = sheet(image, self._predicted(image), self.data.classes, mask)
            write_image(self.folder.samples / f"epoch-{epoch + 1:03d}-{pair.id}.png", drawn)

    def _restore(self, network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        counters = load_state(self.folder.resume, {"network": network}, optimizer)
        if counters is not None:
            if counters["data"] != self.counters["data"]:
                raise RequestError(
                    f"{self.data.root}: has changed since the run in {self.folder.root} began; "
                    "give another -o, or remove that folder"
                )
            self.counters = counters
            say(f"resuming after epoch {counters['epoch']}")
        self.folder.keep_rows(self.counters["epoch"])

    def _finish(self, seconds: float) -> None:
        by_score = "highest mIoU on the split val"
        by_age = "last epoch: the dataset has no split val, and the test split never chooses a checkpoint"
        self.folder.finish(
            {
                "format": "fuse2task.run",
                "kind": "segmenter",
                "recipe": self.recipe.model_dump(mode="json"),
                "recipe_hash": value_hash(self.recipe.model_dump(mode="json")),
                "data": self.counters["data"],
                "classes": list(self.data.classes),
                "images": {"train": len(self.training), "val": len(self.validation)},
                "parameters": sum(p.numel() for p in self.segmenter.model.parameters()),
                "initial_weights": self.weights,
                "normalisation": {
                    "mean": self.segmenter.normalisation.mean,
                    "std": self.segmenter.normalisation.std,
                },
                "selection": by_score if self.validation else by_age,
                "best_epoch": self.counters["best_epoch"],
                "val_mIoU": self.counters["best"] if self.validation and self.counters["best"] >= 0 else None,
                "definition": DEFINITION,
                "seconds_of_last_start": round(seconds, 1),
                "device": self.accelerator.device.type,
                "precision": self.accelerator.mixed_precision,
                "versions": versions(),
            }
        )
        say(f"trained: {self.folder.best}")


def _identity(data: FusedDataset) -> dict[str, Any]:
    """What the data is, whatever folder it lies in."""
    named = {key: data.manifest.get(key) for key in ("method", "split", "truth", "source", "color")}
    return {**named, "manifest_hash": value_hash(data.manifest)}
