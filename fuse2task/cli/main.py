"""The `fuse2task` command: groups of commands, one readable error, the exit codes of the contract."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

import fuse2task
from fuse2task.cli import bench, data, detection, doctor, fusion, segmentation
from fuse2task.cli.options import DeviceOption, Output
from fuse2task.runtime.errors import Fuse2TaskError, RequestError, explain
from fuse2task.runtime.progress import MESSAGE, Interrupted, interruptible

app = typer.Typer(
    help="What is an infrared-visible fusion method worth to the detector or segmenter that uses its images?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _group in (data, fusion, detection, segmentation, bench):
    app.add_typer(_group.app, name=_group.__name__.rpartition(".")[2])


def _version(value: bool) -> None:
    if value:
        typer.echo(f"fuse2task {fuse2task.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
    debug: bool = Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    """Options of every command."""


@app.command()
def demo(
    out: Annotated[Path, Output(help="Where everything goes; run again, an interrupted demo resumes.")] = Path(
        "runs/demo"
    ),
) -> None:
    """Whole loop on synthetic scenes: train CrossFuse, fuse, train judges, compare. Minutes on two CPU cores."""
    from fuse2task.demo import run_demo

    run_demo(out)


app.command("doctor")(doctor.doctor)


@app.command()
def serve(
    judge: Annotated[Path | None, Option(help="Detector whose boxes are shown: .onnx or .safetensors.")] = None,
    checkpoint: Annotated[Path | None, Option(help="CrossFuse weights: a file, or shipped ones by name.")] = None,
    port: Annotated[int, Option(min=0, max=65535, help="0 takes a free one.")] = 8750,
    host: Annotated[str, Option(help="Address to listen on.")] = "127.0.0.1",
    allow_remote: Annotated[
        bool, Option("--allow-remote", help="Let --host be one that other machines reach. No password!")
    ] = False,
    device: DeviceOption = "auto",
) -> None:
    """Open a page on this machine: drop an infrared and a visible image, see them fused, with boxes and scores.

    Nothing is stored and nothing leaves the machine.
    """
    try:
        from fuse2task.serve import server
        from fuse2task.serve.app import make_app
        from fuse2task.serve.fusing import load_fuser
    except ModuleNotFoundError as error:
        raise RequestError(f"{error.name} is not installed; `pip install 'fuse2task[serve]'` brings it") from None
    with server.bind(host, port, allow_remote) as bound:
        server.run(make_app(load_fuser(checkpoint, judge, device), server.host_rule(host)), bound, host)


def run(arguments: list[str] | None = None) -> None:
    """Entry point: run the command and leave with 0 (done), 1 (the work failed) or 2 (wrong request).

    Ctrl-C and termination are failed work too: 1, whatever a shell's convention for signals is. They are the usual
    end of `serve` alone: 0.
    """
    _share_cores()  # before anything imports torch: OpenMP reads its settings once
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        with interruptible():
            app(args=arguments, prog_name="fuse2task")
    except Exception as error:
        if debug:
            raise
        ours = error if isinstance(error, Fuse2TaskError) else Fuse2TaskError(explain(error))
        typer.echo(f"error: {ours}", err=True)
        sys.exit(ours.exit_code)
    except Interrupted:
        typer.echo(MESSAGE, err=True)
        sys.exit(1)


def _share_cores() -> None:
    """Threads that wait for one another spin for some microseconds and sleep then. OpenMP's default is to spin on, and
    beside other busy processes the one that is waited for gets no core; sleeping at once is slow on a calm machine. A
    process of low priority (`nice`) has one thread: two would both have to get a core at once. What is set stays."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    if hasattr(os, "nice") and os.nice(0) > 0:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
