"""`--json`: what a command prints as a table, as JSON on standard output, with nothing else there."""

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]


def print_json(value: Any) -> None:
    """Print `value` as indented JSON; NaN becomes null, paths become texts."""
    typer.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


@contextlib.contextmanager
def tables_to_stderr(wanted: bool) -> Iterator[None]:
    """Where `wanted`, what the block prints for people goes to standard error."""
    with contextlib.redirect_stdout(sys.stderr) if wanted else contextlib.nullcontext():
        yield


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value != value:
        return None
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)
