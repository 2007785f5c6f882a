"""The `fuse2task` command: groups of commands, one readable error, the exit codes of the contract."""

import sys

import typer

import fuse2task
from fuse2task.cli import bench, data, demo, detection, doctor, fusion, segmentation, serve
from fuse2task.runtime.errors import Fuse2TaskError, explain
from fuse2task.runtime.interruption import MESSAGE, Interrupted, interruptible

app = typer.Typer(
    help="What is an infrared-visible fusion method worth to the detector or segmenter that uses its images?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data.app, name="data")
app.add_typer(fusion.app, name="fusion")
app.add_typer(detection.app, name="detection")
app.add_typer(segmentation.app, name="segmentation")
app.add_typer(bench.app, name="bench")
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("serve")(serve.serve)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"fuse2task {fuse2task.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    """Options of every command."""


def run(arguments: list[str] | None = None) -> None:
    """Entry point: run the command and leave with 0 (done), 1 (the work failed) or 2 (wrong request).

    Ctrl-C and termination are failed work too: 1, whatever a shell's convention for signals is. They are the usual
    end of `serve` alone: 0.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        with interruptible():
            app(args=arguments, prog_name="fuse2task")
    except Exception as error:
        if debug:
            raise
        text = str(error) if isinstance(error, Fuse2TaskError) else explain(error)
        typer.echo(f"error: {text}", err=True)
        sys.exit(error.exit_code if isinstance(error, Fuse2TaskError) else 1)
    except Interrupted:
        typer.echo(MESSAGE, err=True)
        sys.exit(1)
