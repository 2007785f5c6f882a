"""Options that several commands have; `--json`: JSON on standard output, in place of tables, and nothing else there."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

if TYPE_CHECKING:
    from rich.table import Table


def _trust(yes: bool) -> bool:
    from fuse2task.runtime.reading import trust_pickles

    return trust_pickles(yes)


Output = partial(Option, "-o", "--output")
Rows = Iterable[Sequence[str] | None]
JsonOption = Annotated[bool, Option("--json", help="Print JSON, and nothing else, on standard output.")]
TrustPickle = Annotated[
    bool, Option("--trust-pickle", callback=_trust, help="Read .pt weights, which are pickles; see SECURITY.md.")
]
DeviceOption = Annotated[str, Option(help="auto, cpu, cuda, cuda:1, mps.")]
JudgeDevice = Annotated[str, Option(help="auto, cpu, cuda, cuda:1, ...")]
# Truth of a dataset, of which one is given; the same words in every command.
BoxesOption = Annotated[Path | None, Option(help="Folder of YOLO txt, with classes.txt in it or above it.")]
AnnotationsOption = Annotated[Path | None, Option(help="COCO json or VOC xml, a file or a folder.")]
MasksOption = Annotated[Path | None, Option(help="Folder of class masks.")]
IgnoreOption = Annotated[
    str | None,
    Option(
        help="Flags of boxes that do not count: some of difficult,truncated,crowd,ignore, or none. [default: ignore]"
    ),
]
PaletteOption = Annotated[
    str | None,
    Option(
        help="Colours of the masks: msrs, mfnet, fmb, pst900, pst900-blue-first, cityscapes, voc; binary for 0 and 255."
    ),
]
LayoutOption = Annotated[
    str,
    Option(
        help="m3fd, msrs, roadscene, tno, llvip, kaist, fmb, flir, pst900, mfnet, dronevehicle, vedai, smod, awmm "
        "or folder."
    ),
]


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


def make_table(headings: Sequence[str], rows: Rows, right: bool = False, **style: Any) -> "Table":
    """A table for a terminal, None among the rows a line between them; right: numbers, after the first column."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(*headings, **style)
    for column in table.columns[1:] if right else ():
        column.justify = "right"
    for row in rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*map(escape, row))
    return table


def print_table(headings: Sequence[str], rows: Rows, **options: Any) -> None:
    """Print a table of `make_table`."""
    from rich.console import Console

    Console().print(make_table(headings, rows, **options))


def load_for_run(schema: Any, kind: str, recipe: str, overrides: list[str] | None, output: Path | None) -> Any:
    """The recipe of a training of `kind`, and its run folder: `output`, else runs/KIND/RECIPE-HASH."""
    from fuse2task.config.recipes import load_recipe
    from fuse2task.runtime.files import value_hash

    loaded = load_recipe(schema, recipe, overrides or [])
    name = f"{Path(recipe).stem}-{value_hash(loaded.model_dump(mode='json'))}"
    return loaded, output or Path("runs") / kind / name


def put_metrics(output: Path, metrics: dict[str, Any], as_json: bool, show: Callable[[dict[str, Any]], None]) -> None:
    """Write a metrics file, keys in their order, as its only writer; then print it as JSON, or `show` it."""
    from fuse2task.runtime.files import sole_file, write_json

    with sole_file(output):
        write_json(output, metrics, sort_keys=False)
    (print_json if as_json else show)(metrics)
