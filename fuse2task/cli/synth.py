"""`fuse2task data synth`: synthetic scenes in the layout of a real dataset."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fuse2task.runtime.errors import RequestError


class SyntheticLayout(StrEnum):
    """Layouts that synthetic scenes are written in."""

    m3fd = "m3fd"
    msrs = "msrs"


def synth(
    root: Annotated[Path, typer.Argument(help="Folder to write; new or empty.", show_default=False)],
    layout: Annotated[SyntheticLayout, typer.Option(help="m3fd: boxes of 6 classes; msrs: masks of 9 classes.")],
    count: Annotated[int, typer.Option(help="How many pairs, day and night in turn.")] = 100,
    size: Annotated[str, typer.Option(help="Width x height in pixels.")] = "320x256",
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
) -> None:
    """Write synthetic infrared-visible pairs with their truth.

    m3fd: 60 % train, 15 % val, 25 % test in ROOT/split.txt, for --split. msrs: 75 % train, 25 % test.
    """
    from fuse2task.data.synthetic.writing import write_m3fd, write_msrs

    pixels = _size(size)
    if layout is SyntheticLayout.m3fd:
        write_m3fd(root, count, seed, pixels)
    else:
        test = max(round(count / 4), 1)
        write_msrs(root, count - test, test, seed, pixels)
    typer.echo(f"{root}: {count} pairs of {size}, layout {layout.value}, seed {seed}")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and width.isascii() and height.isascii()):
        raise RequestError(f"--size {text}: width x height expected, such as 320x256")
    return int(width), int(height)
