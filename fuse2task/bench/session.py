"""One call of `bench run` or `bench report`: plan, work, comparisons, what is printed."""

from dataclasses import dataclass
from pathlib import Path

from fuse2task.bench.engine_local import Engine, local_devices, local_engine
from fuse2task.bench.openings import record_openings
from fuse2task.bench.plan import make_jobs, make_plan
from fuse2task.bench.printing import print_openings, print_plan, print_published, print_results
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.bench.run import part_of, prepare, run_jobs, shared_when_ready
from fuse2task.bench.summarise import summarise
from fuse2task.bench.workspace import Workspace
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.progress import say
from fusion.pair_writer import Shard


@dataclass(frozen=True)
class Resources:
    """Where jobs are done. engine: local or ray; address, cpus and gpus (of a job) are for ray."""

    engine: str = "local"
    device: str = "auto"
    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0


def run_bench(
    recipe: BenchRecipe, folder: Path, shard: Shard | None = None, resources: Resources | None = None,
    dry_run: bool = False,
) -> bool:  # fmt: skip
    """Do what `folder` does not hold yet of the recipe, compare, print; returns whether everything is done.

    With shards False means that another process still has work to do, and will compare.

    Raises:
        RequestError: wrong recipe, data, methods or judges, found before any work; a folder of other work.
        Fuse2TaskError: a job failed; the same call goes on.
    """
    shard, resources = shard or Shard(), resources or Resources()
    devices = local_devices(resources.device)
    bench = Workspace(recipe, folder, devices[0])
    jobs = make_jobs(bench)
    if dry_run:
        print_plan(make_plan(bench, jobs))
        return False
    prepare(bench)
    engine = _engine(bench, resources, devices)
    try:
        finished = run_jobs(bench, jobs, engine, part_of(bench, jobs, shard.index, shard.count))
        if shared := shared_when_ready(bench, jobs):
            finished = run_jobs(bench, jobs, engine, shared)
    finally:
        engine.close()
    if not finished:
        say(f"{folder}: part {shard.index}/{shard.count} is done; the last part to finish will compare")
        return False
    summarise(folder, recipe)
    print_results(folder, [method.name for method in recipe.methods], recipe.baseline)
    print_published(folder)
    print_openings(record_openings(bench))
    return True


def report_bench(folder: Path) -> Path:
    """Compare again what `folder` holds by its recipe, and write the report; returns its page. Needs no data.

    Raises:
        RequestError: not a bench folder.
    """
    from fuse2task.config.recipes import load_recipe
    from fuse2task.report import write_report

    kept = Path(folder) / "recipe.yaml"
    if not kept.is_file():
        raise RequestError(
            f"{folder}: not a bench folder (no recipe.yaml); run `fuse2task bench run RECIPE -o {folder}`"
        )
    summarise(folder, load_recipe(BenchRecipe, str(kept)))
    return write_report(folder)


def _engine(bench: Workspace, resources: Resources, devices: list[str]) -> Engine:
    if resources.engine == "ray":
        from fuse2task.bench.engine_ray import OnRay

        return OnRay(bench, resources.address, resources.cpus, resources.gpus)
    return local_engine(bench, devices)
