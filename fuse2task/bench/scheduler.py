"""Scheduler: the jobs of a recipe and their cost; does those that are missing, beside others and after interruption."""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fuse2task.bench.datasets import TRAIN
from fuse2task.bench.jobs import Cost, Degrade, Evaluate, Fuse, Job, ScoreImages, Train
from fuse2task.bench.workspace import Workspace, record_openings, record_truths, training_recipe
from fuse2task.data.dataset import Pair
from fuse2task.results.schema import TIMINGS, BenchFolder, source_of
from fuse2task.results.tables import read_table, write_table
from fuse2task.runtime.files import refuse_overlap, remove_halves, write_text
from fuse2task.runtime.locks import Lock
from fuse2task.runtime.progress import say
from fuse2task.runtime.records import NOT_DONE
from fuse2task.tasks import find_task
from fusion.methods.registry import CROSSFUSE

Result = tuple[list[dict[str, Any]], float]
"""What a job gives back: rows of the results table, and the seconds it took."""
POLL = 2.0  # seconds between looks at work that another process does
# Guesses of seconds a unit, see `Job`.
FUSE, CROSSFUSE_FUSE, OTHERS = 0.05, 0.5, {"degrade": 0.3, "cost": 2.0, "score": 0.5, "evaluate": 0.3}
START_TRAINING = 5.0  # seconds, whatever the size: the network is made, its data read, its weights written


@dataclass(frozen=True)
class Step:
    """A job of a plan: whether it is done, the seconds it will take, and whether that rests on a measurement."""

    job: Job
    done: bool
    seconds: float
    measured: bool


def record_time(folder: BenchFolder, job: Job, seconds: float) -> None:
    """Add a finished job to timings.csv: seconds and units of work, by kind of job and by method or judge."""
    path, row = folder.table("timings"), {"kind": job.kind, "what": job.what, "units": f"{job.units:g}"}
    with folder.lock("timings"):
        write_table(path, TIMINGS, [*read_table(path, TIMINGS), row | {"seconds": f"{seconds:.1f}"}])


def rate(finished: Iterable[dict[str, str]], job: Job) -> tuple[float, bool]:
    """Seconds a unit, and whether that was measured: for the same method or judge, else for the kind."""
    rows = [row for row in finished if row["kind"] == job.kind]
    for chosen in ([row for row in rows if row["what"] == job.what], rows if job.kind == "evaluate" else []):
        units = sum(float(row["units"]) for row in chosen)
        if units > 0:
            return sum(float(row["seconds"]) for row in chosen) / units, True
    return job.guess, False


def make_jobs(bench: Workspace) -> list[Job]:
    """All jobs of the recipe in an order in which they can be done.

    RequestError: anything that is wrong with datasets, methods and judges.
    """
    jobs: dict[str, Job] = {}

    def add(job: Job) -> str:
        jobs.setdefault(job.id, job)
        return job.id

    @cache
    def pairs_of(dataset: str) -> float:
        return full_images(bench.dataset(dataset).dataset.pairs)

    def fuse(dataset: str, method: str) -> str:
        bench.method_hash(dataset, method)
        pairs = pairs_of(dataset)
        network = method in CROSSFUSE or recipe.method(method).checkpoint
        needs: tuple[str, ...] = ()
        if dataset in recipe.degraded:
            needs = (add(Degrade(dataset, units=pairs, guess=OTHERS["degrade"])),)
        return add(Fuse(dataset, method, needs=needs, units=pairs, guess=CROSSFUSE_FUSE if network else FUSE))

    recipe, first = bench.recipe, next(iter(bench.recipe.datasets))
    for dataset in bench.datasets:
        methods = recipe.methods_on(dataset)
        images = full_images(bench.dataset(dataset).evaluated)
        judges = bench.judges_of(dataset)
        for name in judges:
            bench.judge(dataset, name)
        fused = []
        for method in methods:
            fused.append(fuse(dataset, method))
            if recipe.costs and dataset == first:
                add(Cost(dataset, method, guess=OTHERS["cost"]))
            for name in judges:
                section = recipe.judges[name]
                for seed in bench.seeds_of(name):
                    needs = [fused[-1]]
                    if section.is_trained:
                        source, on = source_of(dataset), section.trained_on or method
                        task, trained = find_task(section.task), training_recipe(section, Path("data"), 0, "auto")
                        trained_images = len(bench.dataset(source).dataset.part(TRAIN))
                        units = trained_images * trained.epochs * task.training_size(trained)
                        units += START_TRAINING / task.training_seconds
                        train = Train(source, on, name, seed, (fuse(source, on),), units, task.training_seconds)
                        needs.append(add(train))
                    add(Evaluate(dataset, method, name, seed, tuple(needs), images, OTHERS["evaluate"]))
        if recipe.scores is not None:
            bench.score_sources(dataset)
            add(ScoreImages(dataset, needs=tuple(fused), units=images * len(methods), guess=OTHERS["score"]))
    return list(jobs.values())


def full_images(pairs: Sequence[Pair]) -> float:
    """How many images of 640x480 have as many pixels as these."""
    return sum(pair.size[0] * pair.size[1] for pair in pairs) / (640 * 480)


def make_plan(bench: Workspace, jobs: Sequence[Job]) -> list[Step]:
    """The jobs with their state and cost; a job whose result nothing needs any more counts as done."""
    finished = read_table(bench.at.table("timings"), TIMINGS)
    done = {job.id for job in jobs if job.is_done(bench)}
    wanted = with_needs({job.id for job in jobs if not job.serves}, jobs, done)
    rates = [rate(finished, job) for job in jobs]
    return [Step(job, job.id not in wanted, seconds * job.units, measured)
            for job, (seconds, measured) in zip(jobs, rates, strict=True)]  # fmt: skip


def with_needs(ids: Iterable[str], jobs: Sequence[Job], done: set[str]) -> set[str]:
    """Those of the jobs `ids`, and of what they need, that are not done. What a finished job needed is not needed."""
    by_id = {job.id: job for job in jobs}
    wanted, waiting = set(), set(ids) - done
    while waiting:
        wanted |= waiting
        waiting = {need for name in waiting for need in by_id[name].needs} - wanted - done
    return wanted


def part_of(bench: Workspace, jobs: Sequence[Job], index: int, count: int) -> set[str]:
    """Ids of the jobs of shard `index` (from 1) of `count`: those of every `count`-th method.

    Image scores are for all methods at once: every shard takes them up at the end, and does them if it is the
    last to finish (see `shared_when_ready`).
    """
    methods = [method.name for method in bench.recipe.methods][index - 1 :: count]
    return {job.id for job in jobs if job.method in methods and job.kind != "train"}


def shared_when_ready(bench: Workspace, jobs: Sequence[Job]) -> set[str]:
    """Ids of jobs for all methods (image scores) whose methods are all fused, by whichever process."""
    by_id = {job.id: job for job in jobs}
    return {job.id for job in jobs if job.kind == "score" and all(by_id[need].is_done(bench) for need in job.needs)}


def prepare(bench: Workspace) -> None:
    """Write what readers of the bench folder need beside the results: recipe.yaml, truths.json, further truths."""
    for name, section in bench.recipe.datasets.items():
        truths = (section.boxes, section.annotations, section.masks, *section.truths.values())
        refuse_overlap(bench.folder, *bench.dataset(name).dataset.folders, *truths)
    with bench.at.lock("recipe"):
        path = bench.at.recipe
        remove_halves(path)
        write_text(path, yaml.safe_dump(bench.recipe.model_dump(mode="json"), sort_keys=False))
    record_truths(bench, bench.datasets)


def do(bench: Workspace, job: Job) -> Result:
    """Do one job; its files go into the bench folder, its rows to whoever asked."""
    started = time.monotonic()
    return job.do(bench), time.monotonic() - started


class Engine:
    """Where jobs are done, `slots` at a time: in this process, one after the other (`engines` has others)."""

    slots = 1

    def __init__(self, bench: Workspace):
        self.bench = bench

    def submit(self, job: Job) -> Any:
        """Begin a job (here: nothing yet); returns a handle."""
        return job

    def wait(self, handles: list[Any]) -> tuple[Any, Result]:
        """The first of the handles that is finished, with its result; raises what the job raised."""
        return handles[0], do(self.bench, handles[0])

    def close(self) -> None:
        """End what is still running and give everything back."""


def run_jobs(bench: Workspace, jobs: Sequence[Job], engine: Engine, mine: set[str]) -> bool:
    """Do the jobs whose ids are in `mine`, with what they need; returns whether all `jobs` are done now.

    A job that another process is doing is waited for if one of `mine` needs it or is it.

    Raises:
        Fuse2TaskError: what a job raised; all that is finished stays.
    """
    if Scheduler(bench, jobs, engine, mine).run():
        # What was made again may be another than what finished jobs were made of: fused images under other versions.
        Scheduler(bench, jobs, engine, mine).run()
    return all(job.is_done(bench) for job in jobs if job.gives_rows)


@dataclass
class Scheduler:
    """One process's part of the work."""

    bench: Workspace
    jobs: Sequence[Job]
    engine: Engine
    mine: set[str]
    done: set[str] = field(default_factory=set)
    running: list[tuple[Any, Job, Lock]] = field(default_factory=list)

    def run(self) -> bool:
        """Do what is missing; returns whether anything was."""
        plan = make_plan(self.bench, self.jobs)
        self.done = {step.job.id for step in plan if step.done}
        wanted = with_needs(self.mine, self.jobs, self.done)
        self.progress = Progress([step for step in plan if step.job.id in wanted])
        pending = [job for job in self.jobs if job.id in wanted]
        is_needed = bool(pending)
        try:
            while pending or self.running:
                pending = [job for job in pending if not self._begin(job)]
                if self.running:
                    self._finish_one()
                elif pending:
                    time.sleep(POLL)  # another process has them
        finally:
            for _, _, lock in self.running:
                lock.release()
        return is_needed

    def _begin(self, job: Job) -> bool:
        """Begin a job, if it can begin now; True where nothing is left to begin."""
        if len(self.running) >= self.engine.slots or not self.done.issuperset(job.needs):
            return False
        lock = self.bench.at.lock(job.id)
        if not lock.acquire(wait=False):
            return False
        lacking = job.lacking(self.bench)
        if not lacking:  # done by another process, since the plan was made
            lock.release()
            self._ended(job)
            return True
        say(f"bench: {job.id}" + ("" if lacking == [NOT_DONE] else f", again for: {', '.join(lacking)}"))
        self.running.append((self.engine.submit(job), job, lock))
        return True

    def _finish_one(self) -> None:
        finished, (rows, seconds) = self.engine.wait([handle for handle, _, _ in self.running])
        handle, job, lock = next(item for item in self.running if item[0] == finished)
        self.running.remove((handle, job, lock))
        self.bench.table.append(rows)
        lock.release()
        record_time(self.bench.at, job, seconds)
        if job.kind == "evaluate":
            record_openings(self.bench)
        self._ended(job, seconds)

    def _ended(self, job: Job, seconds: float | None = None) -> None:
        self.done.add(job.id)
        self.progress.ended(job, seconds, self.engine.slots)


class Progress:
    """One line after every job: how far the whole grid is, and the time that is left."""

    def __init__(self, steps: Sequence[Step]):
        self.left = {step.job.id: step for step in steps if not step.done}
        self.total, self.finished = len(steps), len(steps) - len(self.left)
        # Seconds expected and spent, of each kind of job, and of each method or judge in it.
        self.expected: dict[tuple[str, ...], float] = defaultdict(float)
        self.spent: dict[tuple[str, ...], float] = defaultdict(float)
        if self.left:
            say(f"bench: {self.finished}/{self.total} jobs are done, about {duration(self._seconds(1))} left")

    def ended(self, job: Job, seconds: float | None, slots: int) -> None:
        """Count a job; None seconds: another process did it."""
        step = self.left.pop(job.id, None)
        self.finished += 1
        if step is not None and seconds is not None:
            for key in ((job.kind,), (job.kind, job.what)):
                self.expected[key] += step.seconds
                self.spent[key] += seconds
        say(f"bench: {self.finished}/{self.total} jobs, about {duration(self._seconds(slots))} left")

    def _seconds(self, slots: int) -> float:
        return sum(step.seconds * self._factor(step.job) for step in self.left.values()) / slots

    def _factor(self, job: Job) -> float:
        # A guess is corrected by what such jobs have taken so far, if there was none by the others of its kind.
        for key in ((job.kind, job.what), (job.kind,)):
            if self.expected.get(key):
                return self.spent[key] / self.expected[key]
        return 1.0


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever says it best."""
    if seconds < 180:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
