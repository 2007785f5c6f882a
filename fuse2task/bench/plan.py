"""The plan of a recipe: which jobs there are, what depends on what, what is done already, what the rest will cost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fuse2task.bench.datasets import TRAIN
from fuse2task.bench.jobs import Cost, Degrade, Evaluate, Fuse, Job, ScoreImages, Train
from fuse2task.bench.workspace import Workspace, training_recipe
from fuse2task.results.folder import BenchFolder
from fuse2task.results.schema import TIMINGS, source_of
from fuse2task.results.tables import read_table, write_table
from fuse2task.tasks import find_task
from fusion.methods.registry import CROSSFUSE

# Guesses of seconds a unit, see `Job`.
FUSE, CROSSFUSE_FUSE, OTHERS = 0.1, 0.5, {"degrade": 0.3, "cost": 10.0, "score": 1.0, "evaluate": 0.3}


@dataclass(frozen=True)
class Step:
    """A job of a plan: whether it is done, the seconds it will take, and whether that rests on a measurement."""

    job: Job
    done: bool
    seconds: float
    measured: bool


class Timings:
    """timings.csv: seconds per unit of work, by kind of job and by method or judge."""

    def __init__(self, folder: BenchFolder):
        self.folder, self.path = folder, folder.table("timings")

    def record(self, job: Job, seconds: float) -> None:
        """Add a finished job."""
        with self.folder.lock("timings"):
            row = {"kind": job.kind, "what": job.what, "units": f"{job.units:g}", "seconds": f"{seconds:.1f}"}
            write_table(self.path, TIMINGS, [*self.read(), row])

    def read(self) -> list[dict[str, str]]:
        """All finished jobs."""
        return read_table(self.path, TIMINGS)


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

    Raises:
        RequestError: anything that is wrong with datasets, methods and judges.
    """
    jobs: dict[str, Job] = {}

    def add(job: Job) -> str:
        jobs.setdefault(job.id, job)
        return job.id

    def fuse(dataset: str, method: str) -> str:
        bench.method_hash(dataset, method)
        pairs = len(bench.dataset(dataset).dataset.pairs)
        network = method in CROSSFUSE or recipe.method(method).checkpoint
        needs: tuple[str, ...] = ()
        if dataset in recipe.degraded:
            needs = (add(Degrade(dataset, units=pairs, guess=OTHERS["degrade"])),)
        return add(Fuse(dataset, method, needs=needs, units=pairs, guess=CROSSFUSE_FUSE if network else FUSE))

    recipe, first = bench.recipe, next(iter(bench.recipe.datasets))
    methods = [method.name for method in recipe.methods]
    for dataset in bench.datasets:
        images = len(bench.dataset(dataset).ids)
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
                        units, guess = _training(bench, source, name)
                        needs.append(add(Train(source, on, name, seed, (fuse(source, on),), units, guess)))
                    add(Evaluate(dataset, method, name, seed, tuple(needs), images, OTHERS["evaluate"]))
        if recipe.scores is not None:
            bench.score_sources(dataset)
            add(ScoreImages(dataset, needs=tuple(fused), units=images * len(methods), guess=OTHERS["score"]))
    return list(jobs.values())


def make_plan(bench: Workspace, jobs: Sequence[Job]) -> list[Step]:
    """The jobs with their state and cost; a job whose result nothing needs any more counts as done."""
    finished = Timings(bench.at).read()
    done = {job.id for job in jobs if job.is_done(bench)}
    wanted = with_needs({job.id for job in jobs if not job.serves}, jobs, done)
    steps = []
    for job in jobs:
        seconds, measured = rate(finished, job)
        steps.append(Step(job, job.id not in wanted, seconds * job.units, measured))
    return steps


def with_needs(ids: Iterable[str], jobs: Sequence[Job], done: set[str]) -> set[str]:
    """Those of the jobs `ids`, and of what they need, that are not done. What a finished job needed is not needed."""
    by_id = {job.id: job for job in jobs}
    wanted: set[str] = set()
    waiting = list(ids)
    while waiting:
        name = waiting.pop()
        if name not in wanted and name not in done:
            wanted.add(name)
            waiting += by_id[name].needs
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


def _training(bench: Workspace, dataset: str, judge: str) -> tuple[float, float]:
    """Units of a training, images times epochs, and the guess of seconds for one."""
    section, images = bench.recipe.judges[judge], len(bench.dataset(dataset).dataset.part(TRAIN))
    task, recipe = find_task(section.task), training_recipe(section, bench.at.fused(dataset, "visible"), 0, "auto")
    return images * recipe.epochs * task.training_size(recipe), task.training_seconds
