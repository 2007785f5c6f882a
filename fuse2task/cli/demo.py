"""`fuse2task demo`: the whole loop on synthetic scenes."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[
        Path, typer.Option("-o", "--output", help="Where everything goes; an interrupted demo goes on.")
    ] = Path("runs/demo"),
) -> None:
    """Whole loop on synthetic scenes: train CrossFuse, fuse, train judges, compare. Minutes on two CPU cores."""
    from fuse2task.demo import run_demo

    run_demo(out)
