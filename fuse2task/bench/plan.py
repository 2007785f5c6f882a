"""The grid of a recipe as jobs: what depends on what, what is done already, what the rest will cost."""

from dataclasses import dataclass
from typing import Any

from fuse2task.bench.datasets import TRAIN
from fuse2task.bench.judges import training_recipe
from fuse2task.bench.timings import Timings
from fuse2task.bench.workspace import Workspace
from fuse2task.results.schema import source_of
from fuse2task.results.tables import ResultsTable, identity
from fusion.methods.registry import CROSSFUSE


@dataclass(frozen=True)
class Job:
    """One piece of work. needs: ids of jobs that must be done before. units: its size (see `timings`).

    method, judge and seed are empty or None where the job is for all of them.
    """

    kind: str
    dataset: str
    method: str = ""
    judge: str = ""
    seed: int | None = None
    needs: tuple[str, ...] = ()
    units: float = 1.0
    default: str = ""

    @property
    def id(self) -> str:
        """Kind, dataset, method, judge and seed as one text."""
        seed = "" if self.seed is None else f"s{self.seed}"
        return " ".join(part for part in (self.kind, self.dataset, self.method, self.judge, seed) if part)

    @property
    def what(self) -> str:
        """What the job's speed depends on: judge, or method, on a dataset."""
        name = self.method if self.kind == "fuse" else self.judge
        return " ".join(part for part in (name, source_of(self.dataset)) if part)

    @property
    def serves(self) -> bool:
        """Whether it is done for other jobs alone, and can be spared when these are done.

        Fused images of the recipe's own datasets are a result by themselves; those of degraded copies may be removed.
        """
        return self.kind in ("degrade", "train") or (self.kind == "fuse" and self.dataset != source_of(self.dataset))


@dataclass(frozen=True)
class Step:
    """A job of a plan: whether it is done, the seconds it will take, and whether that rests on a measurement."""

    job: Job
    done: bool
    seconds: float
    measured: bool


def make_jobs(bench: Workspace) -> list[Job]:
    """All jobs of the recipe in an order in which they can be done.

    Raises:
        RequestError: anything that is wrong with datasets, methods and judges.
    """
    jobs: dict[str, Job] = {}

    def add(job: Job) -> str:
        jobs.setdefault(job.id, job)
        return job.id

    recipe, first = bench.recipe, next(iter(bench.recipe.datasets))
    methods = [method.name for method in recipe.methods]
    for dataset in bench.datasets:
        data, source = bench.dataset(dataset), source_of(dataset)
        images = len(data.ids)
        judges = {name: bench.judge(dataset, name) for name in bench.judges_of(dataset)}

        def fuse(method: str, dataset: str = dataset) -> str:
            bench.method_hash(dataset, method)
            pairs = len(bench.dataset(dataset).dataset.pairs)
            name = "crossfuse" if method in CROSSFUSE or recipe.method(method).checkpoint else ""
            made = (Job("degrade", dataset, units=pairs),) if dataset in recipe.degraded else ()
            return add(Job("fuse", dataset, method, needs=tuple(map(add, made)), units=pairs, default=name))

        fused = []
        for method in methods:
            fused.append(fuse(method))
            if recipe.costs and dataset == first:
                add(Job("cost", dataset, method))
            for name, judge in judges.items():
                for seed in bench.seeds_of(name):
                    needs = [fused[-1]]
                    if judge.section.is_trained:
                        on = judge.section.trained_on or method
                        units, default = _training_size(bench, source, name), judge.section.task
                        train = Job("train", source, on, name, seed, (fuse(on, source),), units, default)
                        needs.append(add(train))
                    add(Job("evaluate", dataset, method, name, seed, tuple(needs), images))
        if recipe.scores is not None:
            bench.score_sources(dataset)
            add(Job("score", dataset, needs=tuple(fused), units=images * len(methods)))
    return list(jobs.values())


def is_done(bench: Workspace, job: Job, known: set[tuple[str, ...]] | None = None) -> bool:
    """Whether the bench folder holds the job's result. known: `ResultsTable.identities`, read where not given."""
    from fuse2task.bench.costs import has_cost
    from fuse2task.bench.degraded import is_copied
    from fuse2task.bench.jobs.fuse import is_fused
    from fuse2task.bench.jobs.train import is_trained

    if job.kind == "degrade":
        degraded = bench.recipe.degraded[job.dataset]
        return is_copied(bench.folder, bench.dataset(degraded.source), degraded)
    if job.kind == "fuse":
        return is_fused(bench, job.dataset, job.method)
    if job.kind == "cost":
        return has_cost(bench.folder, job.method)
    if job.kind == "train":
        assert job.seed is not None
        return is_trained(bench, job.dataset, job.method, job.judge, job.seed)
    found = ResultsTable(bench.folder).identities() if known is None else known
    return all(identity(about) in found for about in _wanted(bench, job))


def make_plan(bench: Workspace, jobs: list[Job]) -> list[Step]:
    """The jobs with their state and cost; a job whose result nothing needs any more counts as done."""
    known, timings = ResultsTable(bench.folder).identities(), Timings(bench.folder)
    done = {job.id: is_done(bench, job, known) for job in jobs}
    wanted = _wanted_ids(jobs, done)
    steps = []
    for job in jobs:
        seconds, measured = timings.rate(job.kind, job.what, job.default)
        steps.append(Step(job, done[job.id] or job.id not in wanted, seconds * job.units, measured))
    return steps


def _wanted_ids(jobs: list[Job], done: dict[str, bool]) -> set[str]:
    """Jobs to be done: those that do not only serve others, and what these need."""
    by_id = {job.id: job for job in jobs}
    waiting = [job.id for job in jobs if not (done[job.id] or job.serves)]
    wanted: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in wanted and not done[name]:
            wanted.add(name)
            waiting += by_id[name].needs
    return wanted


def _wanted(bench: Workspace, job: Job) -> list[dict[str, Any]]:
    if job.kind == "score":
        return [bench.about_scores(job.dataset, method.name) for method in bench.recipe.methods]
    return [
        bench.about(job.dataset, job.method, job.judge, job.seed, truth.hash)
        for truth in bench.dataset(job.dataset).truths
    ]


def _training_size(bench: Workspace, dataset: str, judge: str) -> float:
    """Images times epochs, in images of 640x640 for a detector."""
    section, images = bench.recipe.judges[judge], len(bench.dataset(dataset).dataset.part(TRAIN))
    recipe = training_recipe(section, bench.fused(dataset, "visible"), 0, "auto")
    scale = (recipe.image_size / 640) ** 2 if section.task == "detection" else 1.0
    return images * recipe.epochs * scale
