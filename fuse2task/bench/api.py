"""A benchmark from Python: run a recipe, compare, report; what `fuse2task bench` calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from fuse2task.bench.jobs import PREDICTED, Job, Rows
from fuse2task.bench.printing import print_openings, print_plan, print_published, print_results
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.bench.scheduler import Engine, make_jobs, make_plan, part_of, prepare, run_jobs, shared_when_ready
from fuse2task.bench.workspace import Workspace, record_openings
from fuse2task.config.recipes import load_recipe
from fuse2task.results.schema import COMPARISONS, BenchFolder
from fuse2task.results.tables import read_frame
from fuse2task.runtime.compute import gpu_drivers
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import file_digest, refuse_links, value_hash
from fuse2task.runtime.progress import say
from fuse2task.runtime.records import NOT_DONE, Record
from fusion.dataset_writer import Shard


@dataclass(frozen=True)
class Resources:
    """Where jobs are done. engine: local or ray; address, cpus and gpus (of a job) are for ray."""

    engine: str = "local"
    device: str = "auto"
    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0


class Compare(Job):
    """Everything that follows from the rows: comparisons, rankings and the like. Not of one dataset; done last."""

    kind = "compare"

    def record(self, bench: Workspace) -> Record:
        """Of the folder's files, and of what cards of weights say; by the folder's own recipe it needs no data."""
        from fusion.weights import detectors

        root, undecisive = bench.folder, {"datasets": {"__all__": {"root"}}}
        through = {method.name: list(detectors(method.name, method.checkpoint)) for method in bench.recipe.methods}
        found = {path.relative_to(root).as_posix(): file_digest(path) for path in _behind_rows(root)}
        made_of = {
            "recipe": value_hash(bench.recipe.model_dump(mode="json", exclude=undecisive)),
            "results.csv": bench.table.path, "truths.json": bench.at.entries("truths"),
            "predictions": value_hash(found), "weights trained through": through, "versions": bench.versions_hash,
        }  # fmt: skip
        return Record(bench.at.entries("compared"), made_of)

    def do(self, bench: Workspace) -> Rows:
        """Write comparisons.csv and the other tables and lists of `analysis.summarise`."""
        from fuse2task.bench.analysis import summarise

        record = self.record(bench)
        record.remove()
        record.write(summarise(bench.folder, bench.recipe))
        return []


def _behind_rows(root: Path) -> list[Path]:
    """The files that comparisons are computed from, beside results.csv and truths.json."""
    found = [path for pattern in ("*.npz", PREDICTED) for path in root.glob(f"predictions/*/*/*/{pattern}")]
    return sorted([*found, *root.glob("fused/*/*/manifest.json"), *root.glob("scores/*/*.csv")])


def run_bench(
    recipe: BenchRecipe, folder: Path, shard: Shard | None = None, resources: Resources | None = None,
    dry_run: bool = False,
) -> bool:  # fmt: skip
    """Do what `folder` does not hold yet of the recipe, compare, print; returns whether everything is done.

    With shards False means that another process still has work to do, and will compare.

    Raises:
        RequestError: wrong recipe, data, methods or judges, found before any work; a folder of other work.
        Fuse2TaskError: a job failed; the same call resumes.
    """
    refuse_links(folder)
    shard, resources = shard or Shard(), resources or Resources()
    devices = local_devices(resources.device)
    # Where other processes do the work, judges and methods are only looked at here.
    in_process = resources.engine == "local" and len(devices) == 1
    bench = Workspace(recipe, folder, devices[0] if in_process else "cpu")
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
    bench.identities.save()
    if not finished:
        say(f"{folder}: part {shard.index}/{shard.count} is done; the last part to finish will compare")
        return False
    compared = Compare("")
    if not compared.is_done(bench):
        compared.do(bench)
    print_results(folder, [method.name for method in recipe.methods], recipe.baseline)
    print_published(folder)
    print_openings(record_openings(bench))
    return True


def report_bench(folder: Path) -> Path:
    """Compare again what `folder` holds by its recipe, and write the report; returns its page. Needs no data.

    RequestError: not a bench folder.
    """
    from fuse2task.report import write_report

    refuse_links(folder)
    Compare("").do(Workspace(_kept_recipe(folder), folder))
    return write_report(folder)


def _kept_recipe(folder: Path) -> BenchRecipe:
    kept = BenchFolder(Path(folder)).recipe
    if not kept.is_file():
        lacking = "not a bench folder (no recipe.yaml)"
        raise RequestError(f"{folder}: {lacking}; run `fuse2task bench run RECIPE -o {folder}`")
    return load_recipe(BenchRecipe, str(kept))


@dataclass(frozen=True)
class JobState:
    """What a bench folder holds of one job. state: fresh, missing or stale; why: the inputs that are others now, and
    files that are gone or altered."""

    job: Job
    state: Literal["fresh", "missing", "stale"]
    why: tuple[str, ...] = ()


def job_states(folder: Path, device: str = "auto") -> list[JobState]:
    """Every job of the recipe that a bench folder was made by, comparisons last; reads inputs, and writes nothing.

    What served other jobs alone and is not needed any more, such as the images of a degraded copy, is fresh.

    Raises:
        RequestError: not a bench folder, or what its recipe names is not there.
    """
    refuse_links(folder)
    bench = Workspace(_kept_recipe(folder), folder, local_devices(device)[0])
    jobs = make_jobs(bench)
    wanted = {step.job.id for step in make_plan(bench, jobs) if not step.done}
    found = []
    for job in [*jobs, Compare("")]:
        why = job.lacking(bench) if job.id in wanted or job.kind == Compare.kind else []
        state: Literal["missing", "stale"] = "missing" if why == [NOT_DONE] else "stale"
        found.append(JobState(job, state, tuple(why)) if why else JobState(job, "fresh"))
    return found


def compare(
    recipe: str | Path, folder: str | Path, overrides: Sequence[str] = (), device: str = "auto"
) -> pd.DataFrame:
    """Every method of a recipe against the baseline and the single cameras: `fuse2task bench run` from Python.

    What `folder` holds already is not done again.

    Args:
        recipe: a YAML file, or the name of a shipped recipe such as `bench/synthetic`.
        folder: the bench folder; results.csv, fused images and predictions go there.
        overrides: `key.sub=value` texts, as on the command line.
        device: auto, cpu, cuda:1 ...

    Returns:
        The rows of comparisons.csv: methods a and b, what was measured on what, difference (a minus b, fractions),
        ci_low, ci_high, p_value, p_holm, smallest_detectable (NaN where it cannot be computed).

    Raises:
        RequestError: wrong recipe, data, methods or judges.
        Fuse2TaskError: a job failed; the same call resumes.
    """
    run_bench(load_recipe(BenchRecipe, str(recipe), overrides), Path(folder), resources=Resources(device=device))
    return comparisons(Path(folder))


def comparisons(folder: Path) -> pd.DataFrame:
    """The rows of a bench folder's comparisons.csv, numbers as float, everything else as text.

    RequestError: the file is not what a benchmark writes.
    """
    refuse_links(folder)
    return read_frame(BenchFolder(folder).table("comparisons"), COMPARISONS)


def plan_rows(recipe: BenchRecipe, folder: Path, device: str = "auto") -> list[dict[str, Any]]:
    """The jobs of a recipe as `bench run --dry-run` lists them: what, done or not, expected seconds.

    RequestError: wrong recipe, data, methods or judges.
    """
    refuse_links(folder)
    bench = Workspace(recipe, folder, local_devices(device)[0])
    return [
        {"job": step.job.kind, **{name: getattr(step.job, name) for name in ("dataset", "method", "judge", "seed")},
         "done": step.done, "seconds": step.seconds, "measured": step.measured}
        for step in make_plan(bench, make_jobs(bench))
    ]  # fmt: skip


def _engine(bench: Workspace, resources: Resources, devices: list[str]) -> Engine:
    if resources.engine != "ray" and len(devices) == 1:
        return Engine(bench)
    from fuse2task.bench.engines import OnDevices, OnRay

    if resources.engine == "ray":
        return OnRay(bench, devices[0], resources.address, resources.cpus, resources.gpus)
    return OnDevices(bench, devices)


def local_devices(device: str) -> list[str]:
    """The devices behind `--device`: with auto every GPU, else the one named; several with commas."""
    if device == "auto" and gpu_drivers():
        import torch

        if torch.cuda.device_count() > 1:
            return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return [name.strip() for name in device.split(",") if name.strip()] or ["auto"]
