"""`fuse2task data degrade`: a copy of a dataset under bad conditions."""

from pathlib import Path
from typing import Annotated

import typer


def degrade(
    root: Annotated[Path, typer.Argument(help="Folder that the layout begins at.", show_default=False)],
    layout: Annotated[str, typer.Option(help="m3fd, msrs, roadscene, tno, llvip, kaist, fmb, awmm or folder.")],
    kind: Annotated[str, typer.Option(help="rain, snow, haze, night, noise, blur, misalign, hotpixel or jpeg.")],
    level: Annotated[int, typer.Option(help="1 (slight) to 5 (worst); 0 copies as it is.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write; new, or to be continued.")],
    seed: Annotated[int, typer.Option(help="Another seed, other streaks and noise.")] = 0,
    split: Annotated[str | None, typer.Option(help="Copy only the pairs of this split list.")] = None,
    boxes: Annotated[Path | None, typer.Option(help="YOLO folder, if it must move with misalign.")] = None,
    annotations: Annotated[Path | None, typer.Option(help="COCO or VOC, likewise.")] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder of class masks, likewise.")] = None,
    move: Annotated[str | None, typer.Option(help="misalign: infrared or visible moves. [default: infrared]")] = None,
    truth_on: Annotated[
        str | None, typer.Option(help="misalign: image that the truth was drawn on. [default: visible]")
    ] = None,
) -> None:
    """Write a degraded copy of a dataset, in the same layout, with its truth.

    docs/conditions.md tells what each kind and level means.
    """
    from fuse2task.data.degradation.writing import MANIFEST, degrade_dataset
    from fuse2task.runtime.files import read_json

    done = degrade_dataset(
        root, layout, kind, level, output, seed=seed, split=split, boxes=boxes, annotations=annotations,
        masks=masks, move=move, truth_on=truth_on,
    )  # fmt: skip
    manifest = read_json(output / MANIFEST, "manifest")
    changed = " and ".join(manifest["changed"]) or "nothing"
    typer.echo(f"{output}: {kind} {level} ({manifest['meaning']}), {manifest['pairs']} pairs, changed: {changed}")
    moved = {name: path for name, path in done.truth.items() if path.is_relative_to(output)}
    for name, path in moved.items():
        typer.echo(f"truth moved with the image: use --{name} {path}")
