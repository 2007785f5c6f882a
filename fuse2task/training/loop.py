"""The training loop: any network, device and number of processes; a killed run resumes to the same weights."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.tracking import GeneralTracker
from torch import Tensor, nn

from fuse2task.config.recipes import Recipe
from fuse2task.runtime.compute import Precision, generator, keep_freed_memory, seed_everything
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.files import value_hash
from fuse2task.runtime.overlap import SPARE, Stopwatch, ahead, threads
from fuse2task.runtime.packages import versions
from fuse2task.runtime.progress import Meter, say
from fuse2task.runtime.records import training_inputs
from fuse2task.training.acceleration import make_accelerator, mean_losses, open_tracker
from fuse2task.training.run_folder import RunFolder, load_state, peek_counters, save_state

Batch = tuple[Tensor, ...]


class TrainingStage(ABC):
    """A network's way from one set of weights to the next: samples, losses, validation, checkpoints.

    name: in log and messages. seed: of weights and random layers. count: samples an epoch. batch: samples a step, over
    all processes. clip: largest gradient norm.
    samples: what `draws` are drawn from, by any thread, set by `build` at the latest: `samples[draw]` is arrays, of the
    same shapes for every draw, then the number of the item. held_out: ids of what `validate` looks at.
    """

    name: str
    seed: int
    epochs: int
    count: int
    batch: int
    samples: Any
    clip: float | None = None
    held_out: Sequence[str] = ()

    @property
    def steps(self) -> int:
        """Steps an epoch; samples that fill no batch are left out."""
        return self.count // self.batch

    @abstractmethod
    def build(self) -> nn.Module:
        """A fresh network; only what is trained requires a gradient."""

    @abstractmethod
    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        """An optimiser; a group's `factor` (1 by default) multiplies the rate."""

    @abstractmethod
    def rate(self, step: int) -> float:
        """Learning rate of the step-th update (from 0)."""

    @abstractmethod
    def draws(self, epoch: int) -> Sequence[Any]:
        """What is drawn from `samples` in an epoch, in order; at least `steps * batch`."""

    @abstractmethod
    def ids(self, numbers: Sequence[int]) -> list[str]:
        """Names of the items with these numbers, for messages."""

    def frozen(self, network: nn.Module, numbers: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        """What frozen parts of the network make of a batch, appended to what `losses` gets; nothing by default. Without
        a graph; the network is on its device. numbers: (B,), of the batch's items."""
        return ()

    @abstractmethod
    def losses(self, network: nn.Module, *parts: Tensor) -> dict[str, Tensor]:
        """Scalar losses of a batch on the network's device, uint8 parts as floats; the first one is minimised."""

    @abstractmethod
    def validate(self, network: nn.Module, epoch: int, sheets: Path) -> dict[str, float]:
        """Scores of held-out samples, on the main process; pictures for the eye go into the folder `sheets`."""

    def cost(self, found: Mapping[str, float]) -> float | None:
        """What the best checkpoint has the least of, by what `validate` found; None: the latest is the best."""
        return None

    @abstractmethod
    def save(self, network: nn.Module, path: Path) -> None:
        """Write a checkpoint, where this stage's network is one of the run's results."""

    def row(self, epoch: int, step: int, losses: Mapping[str, float], found: Mapping[str, float]) -> dict[str, Any]:
        """The epoch's row of log.csv, without rate and seconds. losses: means over the epoch."""
        row = {"stage": self.name, "epoch": epoch, "step": step}
        row |= {f"train_{name}": f"{value:.6g}" for name, value in losses.items()}
        return row | {f"val_{name}": f"{value:.6g}" for name, value in found.items()}

    def is_done(self) -> bool:
        """Whether the stage's weights are there already."""
        return False

    def finish(self, network: nn.Module) -> None:  # noqa: B027 - most stages have nothing to add
        """Write the finished weights."""


class TrainingRun:
    """A run folder with its processes, and the stages that are trained in it.

    recipe: with device, seed, and precision or amp (bf16). workers: threads that make samples, 0 or None one a core.
    save_every: seconds between states saved within an epoch; None for networks with dropout, whose random numbers
    restart with each epoch. tracker: tensorboard, wandb or mlflow. RequestError: no such device, or `root` holds
    another run.
    """

    def __init__(
        self, recipe: Recipe, root: Path, workers: int | None, save_every: float | None = None,
        tracker: str | None = None,
    ):  # fmt: skip
        self.recipe = recipe.model_dump(mode="json")
        precision: Precision = self.recipe.get("precision") or ("bf16" if self.recipe["amp"] else "fp32")
        self.accelerator = make_accelerator(self.recipe["device"], precision)
        self.is_main = self.accelerator.is_main_process
        self.threads, self.save_every, self._tracker = workers or threads(), save_every or math.inf, tracker
        self.tracker: GeneralTracker | None = None
        with self.accelerator.main_process_first():
            self.folder = RunFolder(Path(root), self.recipe)

    def train(
        self, stages: Callable[[], Sequence[TrainingStage]], card: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        data: Any,
    ) -> Path:  # fmt: skip
        """Train what is not finished; returns the path of the best checkpoint of the last stage.

        stages: makes them, called where something is left to train. card: the run's card, without what every run has,
        from the last stage's counters (`best`, `best_epoch`). data: what identifies the data by content, as JSON; a
        finished run on other data is refused. RequestError: a batch cannot be filled or split, or the
        data has changed since the run began. Fuse2TaskError: a loss is not finite; the items of the batch are named.
        """
        self.made_of = training_inputs(self.recipe, data)
        if self.folder.is_trained(self.made_of):
            return self.folder.best
        planned, processes = stages(), self.accelerator.num_processes
        for stage in planned:
            name, batch = stage.name, stage.batch
            if not stage.steps:
                raise RequestError(f"{name}: {stage.count} samples an epoch do not fill a batch of {batch}")
            if (left := stage.count % batch) and self.is_main:
                say(f"{name}: {left} of {stage.count} samples are left out of every epoch; its batches are full")
            if batch % processes:
                raise RequestError(f"{name}: batch={batch} cannot be split over {processes} processes")
        with self.folder.held(self.is_main):
            self.accelerator.wait_for_everyone()
            started = time.monotonic()
            keep_freed_memory()
            if self.is_main:
                precision = str(self.accelerator.mixed_precision).replace("no", "fp32")
                where = f"{self.accelerator.device.type}, precision {precision}"
                say(f"{self.folder.root}: {', '.join(stage.name for stage in planned)} on {where}")
                if self._tracker:
                    self.tracker = open_tracker(self._tracker, self.folder.root / "curves", self.recipe)
            counters: Mapping[str, Any] = {}
            for stage in planned:
                if not stage.is_done():
                    counters = StageRun(self, stage).run()
            if self.is_main:
                common = {
                    "format": "fuse2task.run", "recipe_hash": value_hash(self.recipe), "seed": self.recipe["seed"],
                    "seconds_of_last_start": round(time.monotonic() - started, 1), "versions": versions(),
                    "device": self.accelerator.device.type, "precision": str(self.accelerator.mixed_precision),
                }  # fmt: skip
                self.folder.finish({**common, "made_of": self.made_of, **card(counters)})
                if self.tracker is not None:
                    self.tracker.finish()
                say(f"trained: {self.folder.best}")
            self.accelerator.wait_for_everyone()
        return self.folder.best


class StageRun:
    """One stage of a run."""

    def __init__(self, run: TrainingRun, stage: TrainingStage):
        self.training, self.stage = run, stage
        self.accelerator, self.folder = run.accelerator, run.folder
        seed_everything(stage.seed)
        network = stage.build()
        if self.accelerator.num_processes > 1 and self.accelerator.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        self.network = network.to(self.accelerator.device)
        optimizer = stage.optimizer(self.network)
        self.counters = self._restore(optimizer)
        self.wrapped, self.optimizer = self.accelerator.prepare(self.network, optimizer)
        self.saved_at = time.monotonic()
        self.stopwatch = Stopwatch()
        self._unread: tuple[tuple[str, ...], Tensor, Tensor, int] | None = None  # names, losses, items, step

    def run(self) -> Mapping[str, Any]:
        """Train from the restored step to the end, write the weights; returns the counters."""
        stage, counters = self.stage, self.counters
        total, done = stage.epochs * stage.steps, counters["step"] * stage.batch
        with Meter(stage.name, total * stage.batch, "samples", done) as meter:
            while counters["step"] < total:
                self._epoch(counters["step"] // stage.steps, meter)
        if self.training.is_main:
            say(f"{stage.name}: {self.stopwatch.summary(meter.done - done, 'samples')}")
            stage.finish(self.network)
        self.accelerator.wait_for_everyone()
        return counters

    def _epoch(self, epoch: int, meter: Meter) -> None:
        started = time.monotonic()
        # For dropout and stochastic depth; the second line draws what a torch DataLoader drew in former versions.
        torch.manual_seed(int(generator(self.stage.seed, "epoch", epoch).integers(2**63)))
        torch.empty((), dtype=torch.int64).random_()
        self.wrapped.train()
        for batch in self.stopwatch.over(self._batches(epoch), "waiting for data"):
            with self.stopwatch.timing("steps"):
                losses = self._step(batch)
            meter.advance(self.stage.batch, f"loss {next(iter(losses.values())):.4g}" if losses else "")
            unfinished = self.counters["step"] % self.stage.steps
            if unfinished and time.monotonic() - self.saved_at > self.training.save_every:
                self._read()
                self._save()
        self._read()
        with self.stopwatch.timing("validation and saving"):
            self._end_of_epoch(epoch, time.monotonic() - started)

    def _batches(self, epoch: int) -> Iterator[Batch]:
        # This process's share of each batch that is left of the epoch.
        whole, steps = self.stage.batch, self.stage.steps
        start = (self.counters["step"] - epoch * steps) * whole
        left = self.stage.draws(epoch)[start : steps * whole]
        process, processes = self.accelerator.process_index, self.accelerator.num_processes
        draws, share = share_of(left, whole, process, processes), whole // processes
        pinned = self.accelerator.device.type == "cuda"
        return batches(self.stage.samples, draws, share, self.training.threads, pinned)

    def _step(self, batch: Batch) -> dict[str, float]:
        """Train on `batch`; returns the losses of the step before, which a GPU has finished by now."""
        *parts, numbers = (*map(self._on_device, batch[:-1]), batch[-1])
        rate = self.stage.rate(self.counters["step"])
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)
        with self.accelerator.autocast():
            frozen = self.stage.frozen(self.network, numbers, *parts)
        losses = self.stage.losses(self.wrapped, *parts, *frozen)
        means = mean_losses(losses, self.accelerator)
        self.accelerator.backward(next(iter(losses.values())))
        if self.stage.clip is not None:
            self.accelerator.clip_grad_norm_(self.wrapped.parameters(), self.stage.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        read = self._read()
        self._unread = tuple(losses), means, numbers, self.counters["step"]
        self.counters["step"] += 1
        return read

    def _read(self) -> dict[str, float]:
        """The losses of the last step, once; nothing is saved before they are known to be finite."""
        if self._unread is None:
            return {}
        (names, means, numbers, step), self._unread = self._unread, None
        values = dict(zip(names, means.tolist(), strict=True))
        if not _finite(values.values()):
            raise Fuse2TaskError(
                f"{self.stage.name}: the loss is not finite at step {step} ({values}) for the pairs "
                f"{', '.join(self.stage.ids(numbers.tolist()))}; look at these images, lower the rate, or set "
                "precision: fp32"
            )
        for name, value in values.items():
            self.counters["sums"][name] = self.counters["sums"].get(name, 0.0) + value
        return values

    def _on_device(self, part: Tensor) -> Tensor:
        # Pixels travel as uint8 and become floats in [0, 255] there.
        part = part.to(self.accelerator.device, non_blocking=True)
        return part.float() if part.dtype == torch.uint8 else part

    def _end_of_epoch(self, epoch: int, seconds: float) -> None:
        stage, counters = self.stage, self.counters
        if self.training.is_main:
            found = self._validate(epoch)
            means = {name: value / stage.steps for name, value in counters["sums"].items()}
            row = stage.row(epoch + 1, counters["step"], means, found)
            rate = self.optimizer.param_groups[0]["lr"]
            self.folder.log(row | {"lr": f"{rate:.4g}", "seconds": f"{seconds:.1f}"})
            stage.save(self.network, self.folder.last)
            cost = stage.cost(found)
            if cost is None or cost < counters["best"]:
                counters |= {"best_epoch": epoch + 1} | ({} if cost is None else {"best": cost})
                stage.save(self.network, self.folder.best)
            if self.training.tracker is not None:
                curves = {f"{stage.name}/val_{name}": value for name, value in found.items()}
                self.training.tracker.log(curves, step=epoch + 1)
            shown = ", ".join(f"{name} {value:.4g}" for name, value in (found or means).items())
            say(f"{stage.name} epoch {epoch + 1}/{stage.epochs}: {shown}")
        counters["sums"] = {}
        self._save()
        self.accelerator.wait_for_everyone()

    @torch.no_grad()
    def _validate(self, epoch: int) -> dict[str, float]:
        self.network.eval()
        with self.accelerator.autocast():
            found = self.stage.validate(self.network, epoch, self.folder.samples)
        if not _finite(found.values()):
            raise Fuse2TaskError(
                f"{self.stage.name}: validation after epoch {epoch + 1} is not finite ({found}); look at the held-out "
                f"pairs {', '.join(self.stage.held_out)}, or lower the rate"
            )
        return found

    def _restore(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        stage = self.stage
        found = peek_counters(self.folder.resume)
        if found is not None and "stage" not in found:
            reason = "begun by a former version, which saved its state otherwise; remove the folder to train again"
            raise RequestError(f"{self.folder.root}: {reason}")
        if found is not None:
            self.folder.refuse_resuming(found.get("made_of"), self.training.made_of)
        if found is None or found["stage"] != stage.name:
            rows = [row for row in self.folder.rows() if row.get("stage", stage.name) != stage.name]
            self.folder.keep_rows(len(rows))
            fresh = {"stage": stage.name, "step": 0, "sums": {}, "best": 1e300, "best_epoch": 0}
            return fresh | {"rows": len(rows), "made_of": self.training.made_of}
        load_state(self.folder.resume, {"network": self.network}, optimizer)
        self.folder.keep_rows(found["rows"])
        say(f"{stage.name}: resumes at step {found['step']}")
        return found

    def _save(self) -> None:
        self.saved_at = time.monotonic()
        if self.training.is_main:
            self.counters["rows"] = len(self.folder.rows())
            save_state(self.folder.resume, {"network": self.network}, self.optimizer, self.counters)


def share_of(draws: Sequence[Any], batch: int, process: int, processes: int) -> list[Any]:
    """One process's share of every batch of `draws`: a batch divides evenly among the processes."""
    share = batch // processes
    mine = range(share * process, share * (process + 1))
    return [draw for place, draw in enumerate(draws) if place % batch in mine]


def batches(samples: Any, draws: Sequence[Any], batch: int, threads: int, pinned: bool) -> Iterator[tuple[Tensor, ...]]:
    """The samples of `draws`, `batch` at a time, in order: for each part of a sample one tensor, its dtype kept.

    Threads, because decoding and cutting release the interpreter's lock, and what is decoded once is kept for all of
    them: beside steps of 10 ms on two busy cores, a DataLoader with two processes took 1.6 times as long for fusion's
    samples, and no less for segmentation's. At most `threads + SPARE` batches are ready or being made. What a sample
    raises is raised when its batch is due. pinned: in memory that a GPU can copy from by itself.
    """

    def make(start: int) -> Batch:
        drawn = [samples[draw] for draw in draws[start : start + batch]]
        made = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
        return tuple(part.pin_memory() if pinned else part for part in made)

    pool = ThreadPoolExecutor(threads, "samples")
    try:
        yield from ahead(range(0, len(draws), batch), make, pool, threads + SPARE)
    finally:
        pool.shutdown(cancel_futures=True)


def _finite(values: Iterable[float]) -> bool:
    return all(math.isfinite(value) for value in values)
