"""The training loop: any device, any number of processes (accelerate), resumes to the same weights."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fuse2task.data.dataset import Pair
from fuse2task.data.images import write_image
from fuse2task.runtime.compute import generator, keep_freed_memory, seed_everything
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.files import lines_hash, value_hash
from fuse2task.runtime.overlap import Stopwatch, threads
from fuse2task.runtime.packages import versions
from fuse2task.runtime.progress import Meter, say
from fuse2task.training.acceleration import make_accelerator, numbers_of
from fuse2task.training.resume import load_state, peek_counters, save_state
from fuse2task.training.run_folder import RunFolder
from fuse2task.training.tracking import Tracker, open_tracker
from fusion.recipe import FusionRecipe
from fusion.training.detector_stage import DetectorStage, LoadDetector
from fusion.training.kept_tensors import KeptTensors, forget
from fusion.training.loading import Batch, batches
from fusion.training.samples import Draw, PairDataset, Samples, draws_of_epoch, gather
from fusion.training.schedule import learning_rate, make_optimizer
from fusion.training.stages import TrainingStage, sample_sheet, stages_of
from fusion.weights import AnyCrossFuse, save_crossfuse


def train(recipe: FusionRecipe, root: Path, detector: LoadDetector | None = None) -> Path:
    """Train CrossFuse by `recipe` in the run folder `root`, resuming where a killed run stopped.

    detector: loads the loss of the stage that `recipe.task` asks for (`detection.differentiable.DetectionLoss`).

    Returns the path of the best checkpoint of the last stage (lowest validation loss, or the last one where the
    stage says so). Under torchrun or `accelerate launch` the batch of the recipe is split over the processes.

    Raises:
        RequestError: bad data, or `root` holds another run.
        Fuse2TaskError: the loss is not finite; the message names the pairs of the batch.
    """
    return Trainer(recipe, Path(root), detector).run()


class Trainer:
    """One training run."""

    def __init__(self, recipe: FusionRecipe, root: Path, detector: LoadDetector | None = None):
        self.recipe, self.detector = recipe, detector
        if recipe.task and detector is None:
            raise RequestError("task: a detector drives this stage; give train its loss, detector=DetectionLoss")
        self.accelerator = make_accelerator(recipe.device, recipe.precision)
        self.is_main = self.accelerator.is_main_process
        self._check_batches()
        self.training, self.held_out = gather(recipe)
        self._held_out_samples = Samples(self.held_out, recipe.sampling, KeptTensors(root, "held-out"))
        with self.accelerator.main_process_first():
            self.folder = RunFolder(root, recipe.model_dump(mode="json"))
        self.tracker: Tracker | None = None
        if self.is_main:
            say(
                f"{len(self.training)} training and {len(self.held_out)} held-out pairs; "
                f"{self.accelerator.device.type}, precision {self.accelerator.mixed_precision.replace('no', 'fp32')}"
            )

    def run(self) -> Path:
        """All stages that are not finished yet."""
        if self.folder.finished:
            say(f"{self.folder.root}: already trained; remove the folder to train again")
            return self.folder.best
        with self.folder.held(self.is_main):
            return self._train()

    def _train(self) -> Path:
        if self.recipe.tracker and self.is_main:
            values = self.recipe.model_dump(mode="json")
            self.tracker = open_tracker(self.recipe.tracker, self.folder.root / "curves", values)
        started = time.monotonic()
        keep_freed_memory()
        forget(self.folder.root)  # what a killed run kept: its sources may have changed since
        samples = Samples(self.training, self.recipe.sampling, KeptTensors(self.folder.root, "pairs"))
        stages = stages_of(self.recipe, self.folder.root)
        if self.recipe.task and self.detector:
            stages.append(DetectorStage(self.recipe, self.folder.root, self.detector))
        for stage in stages:
            if not stage.weights_file(self.folder.root).is_file():
                StageRun(self, stage, samples).run()
        if self.is_main:
            forget(self.folder.root)
            self._finish(time.monotonic() - started)
        self.accelerator.wait_for_everyone()
        return self.folder.best

    def held_out_batches(self, batch: int) -> list[tuple[Tensor, Tensor]]:
        """Centre samples of the held-out pairs, on the device."""
        drawn = [self._held_out_samples[Draw(number, None)] for number in range(len(self.held_out))]
        infrared, visible, _ = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
        parts = (self.on_device(image).split(batch) for image in (infrared, visible))
        return list(zip(*parts, strict=True))

    def on_device(self, part: Tensor) -> Tensor:
        """A batch's tensor where the network is; pixels, which travel as uint8, become floats in [0, 255] there."""
        part = part.to(self.accelerator.device, non_blocking=True)
        return part.float() if part.dtype == torch.uint8 else part

    def names(self, numbers: Tensor) -> str:
        """Ids of the pairs with these numbers."""
        return ", ".join(self.training[int(number)].id for number in numbers)

    def _check_batches(self) -> None:
        processes = self.accelerator.num_processes
        for name in ("stage1", "stage2", "task"):
            stage = getattr(self.recipe, name)
            if stage and stage.batch % processes:
                raise RequestError(f"{name}.batch={stage.batch} cannot be split over {processes} processes")

    def _finish(self, seconds: float) -> None:
        rows = self.folder.rows()
        self.folder.finish(
            {
                "format": "fuse2task.run",
                "method": "crossfuse",
                "network": self.recipe.stage2.network,
                "recipe_hash": value_hash(self.recipe.model_dump(mode="json")),
                "seed": self.recipe.seed,
                "pairs": {
                    "training": len(self.training),
                    "held_out": len(self.held_out),
                    "hash": _hash(self.training + self.held_out),
                },
                "samples": _drawn(self.recipe, len(self.training)),
                "last_validation": {key: rows[-1][key] for key in rows[-1] if key.startswith("val_") and rows[-1][key]},
                "seconds_of_last_start": round(seconds, 1),
                "device": self.accelerator.device.type,
                "precision": self.accelerator.mixed_precision,
                "versions": versions(),
            }
        )
        if self.tracker is not None:
            self.tracker.finish()
        say(f"trained: {self.folder.best}")


class StageRun:
    """One stage of a run."""

    def __init__(self, trainer: Trainer, stage: TrainingStage, samples: PairDataset):
        self.trainer, self.stage, self.samples = trainer, stage, stage.samples(samples)
        self.accelerator, self.folder, self.settings = trainer.accelerator, trainer.folder, stage.settings
        self.count = self.settings.samples or len(self.samples.pairs)
        if self.count < self.settings.batch:
            raise RequestError(
                f"{stage.name}: {self.count} samples an epoch do not fill one batch of {self.settings.batch}"
            )
        self.steps = self.count // self.settings.batch
        seed_everything(int(generator(trainer.recipe.seed, stage.name).integers(2**31)))
        network = stage.build()
        if self.accelerator.num_processes > 1 and self.accelerator.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        # A quarter faster on the CPU, and what tensor cores want on a GPU.
        self.network = network.to(memory_format=torch.channels_last).to(self.accelerator.device)
        optimizer = make_optimizer(self.settings, [p for p in network.parameters() if p.requires_grad])
        self.counters = self._restore(optimizer)
        self.wrapped, self.optimizer = self.accelerator.prepare(self.network, optimizer)
        self.saved_at = time.monotonic()
        self.stopwatch = Stopwatch()

    def run(self) -> None:
        """Train from the restored step to the end of the stage and keep the weights."""
        total = self.settings.epochs * self.steps
        done = self.counters["step"] * self.settings.batch
        with Meter(self.stage.name, total * self.settings.batch, "samples", done) as meter:
            while self.counters["step"] < total:
                self._epoch(self.counters["step"] // self.steps, meter)
        if self.trainer.is_main:
            say(f"{self.stage.name}: {self.stopwatch.summary(meter.done - done, 'samples')}")
            self.stage.keep(self.network, self.folder.root)
        self.accelerator.wait_for_everyone()

    def _epoch(self, epoch: int, meter: Meter) -> None:
        started = time.monotonic()
        self.network.train()
        for batch in self.stopwatch.over(self._batches(epoch), "waiting for data"):
            with self.stopwatch.timing("steps"):
                losses = self._step(batch)
            meter.advance(self.settings.batch, f"loss {losses['total']:.1f}")
            if self.counters["step"] % self.steps and time.monotonic() - self.saved_at > self.trainer.recipe.save_every:
                self._save()
        with self.stopwatch.timing("validation and saving"):
            self._end_of_epoch(epoch, time.monotonic() - started)

    def _batches(self, epoch: int) -> Iterator[Batch]:
        # This process's share of each batch that is left of the epoch.
        whole, processes = self.settings.batch, self.accelerator.num_processes
        start = (self.counters["step"] - epoch * self.steps) * whole
        key = (self.trainer.recipe.seed, self.stage.name, epoch)
        draws = draws_of_epoch(len(self.samples.pairs), self.steps * whole, key, start)
        share = whole // processes
        mine = range(share * self.accelerator.process_index, share * (self.accelerator.process_index + 1))
        draws = [draw for place, draw in enumerate(draws) if place % whole in mine]
        workers = self.trainer.recipe.workers or threads()
        return batches(self.samples, draws, share, workers, pinned=self.accelerator.device.type == "cuda")

    def _step(self, batch: Batch) -> dict[str, float]:
        *images, numbers = (*map(self.trainer.on_device, batch[:-1]), batch[-1])
        rate = learning_rate(self.settings, self.counters["step"], self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with self.accelerator.autocast():
            frozen = self.stage.frozen(self.network, numbers, *images)
        losses = self.stage.losses(self.wrapped, *images, *frozen)
        values = numbers_of(losses, self.accelerator)
        if not all(math.isfinite(value) for value in values.values()):
            raise Fuse2TaskError(
                f"{self.stage.name}: the loss is not finite at step {self.counters['step']} ({values}) for the pairs "
                f"{self.trainer.names(numbers)}; look at these images, lower the rate, or set precision: fp32"
            )
        self.accelerator.backward(losses["total"])
        if self.settings.clip is not None:
            self.accelerator.clip_grad_norm_(self.wrapped.parameters(), self.settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.counters["step"] += 1
        for name, value in values.items():
            self.counters["sums"][name] = self.counters["sums"].get(name, 0.0) + value
        return values

    def _end_of_epoch(self, epoch: int, seconds: float) -> None:
        if self.trainer.is_main:
            validation = self._validate(epoch)
            sums = self.counters["sums"]
            row: dict[str, Any] = {
                "stage": self.stage.name,
                "epoch": epoch + 1,
                "step": self.counters["step"],
            }
            row |= {f"train_{name}": f"{value / self.steps:.6g}" for name, value in sums.items()}
            row |= {f"val_{name}": f"{value:.6g}" for name, value in validation.items()}
            row |= {"lr": f"{self.optimizer.param_groups[0]['lr']:.4g}", "seconds": f"{seconds:.1f}"}
            self.folder.log(row)
            self._checkpoint(validation["total"])
            if self.trainer.tracker is not None:
                curves = {f"{self.stage.name}/val_{name}": value for name, value in validation.items()}
                self.trainer.tracker.log(curves, step=epoch + 1)
            say(
                f"{self.stage.name} epoch {epoch + 1}/{self.settings.epochs}: "
                + ", ".join(f"{k} {v:.4g}" for k, v in validation.items())
            )
        self.counters["sums"] = {}
        self._save()

    @torch.no_grad()
    def _validate(self, epoch: int) -> dict[str, float]:
        self.network.eval()
        sums: dict[str, float] = {}
        batches = self.trainer.held_out_batches(self.settings.batch)
        for number, (infrared, visible) in enumerate(batches):
            with self.accelerator.autocast():
                values, out = self.stage.validate(self.network, infrared, visible)
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(infrared)
            if number == 0:
                sheet = sample_sheet(infrared, visible, out)
                write_image(self.folder.samples / f"{self.stage.name}-{epoch + 1:03d}.png", sheet)
        if not all(math.isfinite(value) for value in sums.values()):
            raise Fuse2TaskError(
                f"{self.stage.name}: validation after epoch {epoch + 1} is not finite ({sums}); look at the held-out "
                f"pairs {', '.join(pair.id for pair in self.trainer.held_out)}, or lower the rate"
            )
        return {name: value / len(self.trainer.held_out) for name, value in sums.items()}

    def _checkpoint(self, loss: float) -> None:
        network = self.network
        if not isinstance(network, AnyCrossFuse):
            return
        recipe = self.trainer.recipe.model_dump(mode="json")
        save_crossfuse(self.folder.last, network, recipe)
        if self.stage.keeps_last or loss < self.counters["best"]:
            self.counters["best"] = loss
            save_crossfuse(self.folder.best, network, recipe)

    def _restore(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        found = peek_counters(self.folder.resume)
        if found is None or found["stage"] != self.stage.name:
            rows = [row for row in self.folder.rows() if row["stage"] != self.stage.name]
            self.folder.keep_rows(len(rows))
            return {"stage": self.stage.name, "step": 0, "sums": {}, "best": 1e300, "rows": len(rows)}
        counters = load_state(self.folder.resume, {"network": self.network}, optimizer)
        assert counters is not None
        self.folder.keep_rows(counters["rows"])
        say(f"{self.stage.name}: resuming from step {counters['step']}")
        return counters

    def _save(self) -> None:
        self.saved_at = time.monotonic()
        if self.trainer.is_main:
            self.counters["rows"] = len(self.folder.rows())
            save_state(self.folder.resume, {"network": self.network}, self.optimizer, self.counters)


def _hash(pairs: list[Pair]) -> str:
    return lines_hash(f"{pair.id}\t{pair.size[0]}x{pair.size[1]}" for pair in pairs)


def _drawn(recipe: FusionRecipe, pairs: int) -> dict[str, int]:
    stages = {name: getattr(recipe, name) for name in ("stage1", "stage2", "task")}
    return {
        name: stage.epochs * ((stage.samples or pairs) // stage.batch) * stage.batch
        for name, stage in stages.items()
        if stage
    }
