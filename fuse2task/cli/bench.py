"""`fuse2task bench`: methods x datasets x judges x seeds from one recipe, and the report."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

from fuse2task.cli.options import JsonOption, Output, TrustPickle, print_json, tables_to_stderr

app = typer.Typer(no_args_is_help=True, help="Which fusion method helps, by how much, how sure: a whole comparison.")


@app.command("run")
def run_command(
    recipe: Annotated[str, Argument(help="YAML file, or a shipped recipe: bench/msrs-frozen, say.")],
    overrides: Annotated[
        list[str] | None, Argument(help="key.sub=value, for instance datasets.msrs.root=MSRS.")
    ] = None,
    folder: Annotated[Path, Output(metavar="DIR", help="Bench folder; what is there is used.")] = Path("runs/bench"),
    dry_run: Annotated[bool, Option("--dry-run", help="Print jobs and estimated cost; touch nothing.")] = False,
    engine: Annotated[Literal["local", "ray"], Option(help="This machine, or a Ray cluster.")] = "local",
    shard: Annotated[str, Option(help="i/n: every n-th method from the i-th on; the last to finish compares.")] = "1/1",
    device: Annotated[str, Option(help="auto, cpu, cuda; cuda:0,cuda:1 for a process each.")] = "auto",
    address: Annotated[
        str | None, Option(help="Ray: an existing cluster (auto, HOST:PORT); none: start one here.")
    ] = None,
    cpus: Annotated[float, Option(min=0, help="Ray: CPUs of a job.")] = 1.0,
    gpus: Annotated[float, Option(min=0, help="Ray: GPUs of a job; .5 puts two on one, 0 hides them.")] = 0.0,
    trust_pickle: TrustPickle = False,
    as_json: JsonOption = False,
) -> None:
    """Run what results.csv does not hold yet, then compare; the same command resumes after any interruption."""
    from fuse2task.bench.api import Resources, plan_rows, run_bench
    from fuse2task.bench.recipe import BenchRecipe
    from fuse2task.config.recipes import load_recipe
    from fusion.dataset_writer import Shard

    loaded = load_recipe(BenchRecipe, recipe, overrides or [])
    resources = Resources(engine, device, address, cpus, gpus)
    if as_json and dry_run:
        print_json({"jobs": plan_rows(loaded, folder, device)})
        return
    with tables_to_stderr(as_json):
        finished = run_bench(loaded, folder, Shard.parse(shard), resources, dry_run)
    if as_json:
        _print_rows(folder, finished)


@app.command("report")
def report_command(
    folder: Annotated[Path, Argument(metavar="DIR", help="The bench folder.")], as_json: JsonOption = False
) -> None:
    """Compare again what the folder holds, and write DIR/report: HTML, Markdown, CSV, LaTeX."""
    from fuse2task.bench.api import report_bench

    with tables_to_stderr(as_json):
        page = report_bench(folder)
    if as_json:
        _print_rows(folder, finished=True, report=page)
    else:
        typer.echo(page)


@app.command("submit")
def submit_command(
    folder: Annotated[Path, Argument(metavar="DIR", help="The bench folder.")],
    output: Annotated[Path, Output(metavar="SUBMISSION", help="Folder for tables, recipe and hashes.")],
) -> None:
    """Pack the results of a bench folder for others: rows, recipe, hashes; no images and no absolute paths."""
    from fuse2task.bench.submission import submit

    typer.echo(submit(folder, output))


@app.command("merge")
def merge_command(
    submissions: Annotated[list[Path], Argument(metavar="SUBMISSION...", help="Folders of `bench submit`.")],
    output: Annotated[Path, Output(metavar="DIR", help="Folder for the tables of all.")],
    as_json: JsonOption = False,
) -> None:
    """Verify submissions by their hashes, and make one table of all; a file that does not fit is named."""
    from fuse2task.bench.printing import print_results
    from fuse2task.bench.submission import merge
    from fuse2task.results.tables import ResultsTable

    with tables_to_stderr(as_json):
        merge(submissions, output)
        print_results(output, list(ResultsTable(output).read()["method"].unique()), "average")
    if as_json:
        _print_rows(output, finished=True)


@app.command("status")
def status_command(
    folder: Annotated[Path, Argument(metavar="DIR", help="The bench folder.")],
    device: Annotated[str, Option(help="auto, cpu, cuda, cuda:1 ...; as for run.")] = "auto",
    trust_pickle: TrustPickle = False,
    as_json: JsonOption = False,
) -> None:
    """List what the folder holds by its recipe: fresh, missing, or stale and why; writes nothing.

    Exit code 0 where all is fresh, 1 where something is not.
    """
    from fuse2task.bench.api import job_states
    from fuse2task.bench.printing import print_states

    with tables_to_stderr(as_json):
        states = job_states(folder, device)
    counts = {state: sum(one.state == state for one in states) for state in ("fresh", "missing", "stale")}
    if as_json:
        jobs = [{"job": one.job.id, "state": one.state, "why": list(one.why)} for one in states]
        print_json({"folder": folder, **counts, "jobs": jobs})
    else:
        print_states([(one.job.id, one.state, ", ".join(one.why)) for one in states], counts)
    if counts["fresh"] < len(states):
        raise typer.Exit(1)


def _print_rows(folder: Path, finished: bool, **more: Path) -> None:
    from fuse2task.bench.api import comparisons
    from fuse2task.results.tables import ResultsTable

    compared = comparisons(folder).to_dict("records") if finished else []
    results = ResultsTable(folder).read().to_dict("records")
    print_json({"folder": folder, "finished": finished, **more, "results": results, "comparisons": compared})
