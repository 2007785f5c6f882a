"""A benchmark from Python: run a recipe, get its comparisons as a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fuse2task.bench.engine_local import local_devices
from fuse2task.bench.plan import make_jobs, make_plan
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.bench.session import Resources, run_bench
from fuse2task.bench.workspace import Workspace
from fuse2task.config.recipes import load_recipe
from fuse2task.results.schema import COMPARISONS
from fuse2task.results.tables import read_frame


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
        Fuse2TaskError: a job failed; the same call goes on.
    """
    run_bench(load_recipe(BenchRecipe, str(recipe), overrides), Path(folder), resources=Resources(device=device))
    return comparisons(Path(folder))


def comparisons(folder: Path) -> pd.DataFrame:
    """The rows of a bench folder's comparisons.csv, numbers as float, everything else as text.

    Raises:
        RequestError: the file is not what a benchmark writes.
    """
    return read_frame(folder / "comparisons.csv", COMPARISONS)


def plan_rows(recipe: BenchRecipe, folder: Path, device: str = "auto") -> list[dict[str, Any]]:
    """The jobs of a recipe as `bench run --dry-run` lists them: what, done or not, expected seconds.

    Raises:
        RequestError: wrong recipe, data, methods or judges.
    """
    bench = Workspace(recipe, folder, local_devices(device)[0])
    return [
        {
            "job": step.job.kind, "dataset": step.job.dataset, "method": step.job.method, "judge": step.job.judge,
            "seed": step.job.seed, "done": step.done, "seconds": step.seconds, "measured": step.measured,
        }
        for step in make_plan(bench, make_jobs(bench))
    ]  # fmt: skip
