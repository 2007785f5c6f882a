"""Scheduler: does missing jobs, beside other processes on the same folder and after any interruption."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from fuse2task.bench.engines import Engine
from fuse2task.bench.jobs import Job
from fuse2task.bench.plan import Step, Timings, make_plan, with_needs
from fuse2task.bench.records import record_openings, record_truths
from fuse2task.bench.workspace import Workspace
from fuse2task.runtime.files import remove_halves, write_text
from fuse2task.runtime.locks import Lock
from fuse2task.runtime.progress import say

POLL = 2.0  # seconds between looks at work that another process does


def prepare(bench: Workspace) -> None:
    """Write what readers of the bench folder need beside the results: recipe.yaml, truths.json, further truths."""
    with bench.at.lock("recipe"):
        path = bench.at.recipe
        remove_halves(path)
        write_text(path, yaml.safe_dump(bench.recipe.model_dump(mode="json"), sort_keys=False))
    record_truths(bench, bench.datasets)


def run_jobs(bench: Workspace, jobs: Sequence[Job], engine: Engine, mine: set[str]) -> bool:
    """Do the jobs whose ids are in `mine`, with what they need; returns whether all `jobs` are done now.

    A job that another process is doing is waited for if one of `mine` needs it or is it.

    Raises:
        Fuse2TaskError: what a job raised; all that is finished stays.
    """
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

    def run(self) -> None:
        """Do what is missing."""
        plan = make_plan(self.bench, self.jobs)
        self.done = {step.job.id for step in plan if step.done}
        wanted = with_needs(self.mine, self.jobs, self.done)
        self.progress = Progress([step for step in plan if step.job.id in wanted])
        pending = [job for job in self.jobs if job.id in wanted]
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

    def _begin(self, job: Job) -> bool:
        """Begin a job, if it can begin now; True where nothing is left to begin."""
        if len(self.running) >= self.engine.slots or not self.done.issuperset(job.needs):
            return False
        lock = self.bench.at.lock(job.id)
        if not lock.acquire(wait=False):
            return False
        if job.is_done(self.bench):  # by another process, since the plan was made
            lock.release()
            self._ended(job, None)
            return True
        say(f"bench: {job.id}")
        self.running.append((self.engine.submit(job), job, lock))
        return True

    def _finish_one(self) -> None:
        handle, result = self.engine.wait([handle for handle, _, _ in self.running])
        job, lock = next((job, lock) for other, job, lock in self.running if other == handle)
        self.running = [item for item in self.running if item[0] != handle]
        self.bench.table.append(result.rows)
        lock.release()
        Timings(self.bench.at).record(job, result.seconds)
        if job.kind == "evaluate":
            record_openings(self.bench)
        self._ended(job, result.seconds)

    def _ended(self, job: Job, seconds: float | None) -> None:
        self.done.add(job.id)
        self.progress.ended(job, seconds, self.engine.slots)


class Progress:
    """One line after every job: how far the whole grid is, and the time that is left."""

    def __init__(self, steps: Sequence[Step]):
        self.left = {step.job.id: step for step in steps if not step.done}
        self.total, self.finished = len(steps), len(steps) - len(self.left)
        self.expected: dict[str, float] = {}
        self.spent: dict[str, float] = {}
        if self.left:
            say(f"bench: {self.finished}/{self.total} jobs are done, about {duration(self._seconds(1))} left")

    def ended(self, job: Job, seconds: float | None, slots: int) -> None:
        """Count a job; None seconds: another process did it."""
        step = self.left.pop(job.id, None)
        self.finished += 1
        if step is not None and seconds is not None:
            # A guess is corrected by what jobs of its kind have taken so far.
            self.expected[job.kind] = self.expected.get(job.kind, 0.0) + step.seconds
            self.spent[job.kind] = self.spent.get(job.kind, 0.0) + seconds
        say(f"bench: {self.finished}/{self.total} jobs, about {duration(self._seconds(slots))} left")

    def _seconds(self, slots: int) -> float:
        total = 0.0
        for step in self.left.values():
            expected = self.expected.get(step.job.kind, 0.0)
            total += step.seconds * (self.spent[step.job.kind] / expected if expected > 0 else 1.0)
        return total / slots


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever says it best."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
