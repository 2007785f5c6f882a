"""`fuse2task data`: check a dataset, write a split list, draw synthetic scenes, degrade a dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fuse2task.cli.convert import convert
from fuse2task.cli.degrade import degrade
from fuse2task.cli.json_output import JsonOption, print_json
from fuse2task.cli.synth import synth

if TYPE_CHECKING:
    from rich.table import Table

    from fuse2task.data.check import Report

app = typer.Typer(help="Look at datasets, split them, draw synthetic ones, degrade them.", no_args_is_help=True)
app.command("synth")(synth)
app.command("degrade")(degrade)
app.command("convert")(convert)

Root = Annotated[Path, typer.Argument(help="Folder that the layout begins at.")]
LayoutName = Annotated[str, typer.Option(help="m3fd, msrs, roadscene, tno, llvip, kaist, fmb, awmm or folder.")]
Infrared = Annotated[Path | None, typer.Option(help="Infrared folder, for layout folder.")]
Visible = Annotated[Path | None, typer.Option(help="Visible folder, for layout folder.")]


@app.command()
def check(
    root: Root,
    layout: LayoutName,
    split: Annotated[str | None, typer.Option(help="Split list, or the name of a shipped one.")] = None,
    boxes: Annotated[Path | None, typer.Option(help="Folder of YOLO txt, with classes.txt.")] = None,
    annotations: Annotated[Path | None, typer.Option(help="COCO file or folder, or folder of VOC.")] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder of class masks.")] = None,
    infrared: Infrared = None,
    visible: Visible = None,
    as_json: JsonOption = False,
) -> None:
    """List everything that is wrong with a dataset, and count what is in it.

    Exit code 0: clean; 1: findings listed; 2: wrong request.
    """
    from fuse2task.data.check import check_dataset
    from fuse2task.data.loading import scan_dataset

    dataset, findings = scan_dataset(
        root, layout, split=split, boxes=boxes, annotations=annotations, masks=masks,
        infrared=infrared, visible=visible,
    )  # fmt: skip
    report = check_dataset(dataset, findings)
    files = _annotation_counts(annotations)
    if as_json:
        print_json({**report.as_json(), **({"annotation_files": files} if files else {})})
    else:
        _show(report, files)
    raise typer.Exit(1 if report.findings else 0)


@app.command()
def split(
    root: Root,
    layout: LayoutName,
    parts: Annotated[str, typer.Option(help="Shares, such as train=0.8,val=0.1,test=0.1.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="List to write.")],
    seed: Annotated[int, typer.Option(help="Another seed, another split.")] = 0,
    blocks: Annotated[int, typer.Option(min=1, help="Keep this many consecutive ids together.")] = 1,
    infrared: Infrared = None,
    visible: Visible = None,
) -> None:
    """Write a random split list of a dataset and print its hash."""
    from fuse2task.data.loading import load_pairs
    from fuse2task.data.splits import make_split, parse_parts, write_split

    shares = parse_parts(parts)
    pairs = load_pairs(root, layout, infrared=infrared, visible=visible)
    chosen = make_split([pair.id for pair in pairs], shares, seed, blocks)
    digest = write_split(output, chosen)
    sizes = ", ".join(f"{name} {list(chosen.values()).count(name)}" for name in shares)
    typer.echo(f"{output}: {sizes}; hash {digest}")


def _annotation_counts(annotations: Path | None) -> dict[str, dict[str, int]]:
    """Counts of whole COCO files, which may cover more images than are on disk."""
    from fuse2task.data.truth.coco import count_coco, is_coco

    if annotations is None or not is_coco(annotations):
        return {}
    counted = count_coco(annotations)
    return {"images": dict(counted.images), "classes": dict(counted.classes), "scenes": dict(counted.scenes)}


def _show(report: "Report", files: dict[str, dict[str, int]]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(soft_wrap=True, highlight=False)
    dataset, counts = report.dataset, report.counts
    title = f"{dataset.root}: layout {dataset.layout}, split {dataset.split_name} ({dataset.split_hash})"
    console.print(escape(title))
    console.print(_table("pairs", counts["pairs"]), _table("sizes", counts["sizes"]))
    if "boxes" in counts:
        console.print(_box_table(counts["boxes"]))
    for key, heading in (("pixels", "mask pixels"), ("conditions", "conditions")):
        if counts.get(key):
            console.print(_table(heading, counts[key]))
    for key, values in files.items():
        console.print(_table(f"annotation files: {key}", values))
    for note in report.notes:
        console.print(escape(f"note: {note}"))
    for finding in report.findings:
        console.print(f"[red]{finding.kind}[/red]: {escape(finding.message)}")
    console.print(f"{len(report.findings)} findings" if report.findings else "no findings")


def _table(title: str, counts: dict[str, int]) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(title, "count")
    table.columns[1].justify = "right"
    for name, number in counts.items():
        table.add_row(escape(name), str(number))
    return table


def _box_table(boxes: dict[str, dict[str, int]]) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table("boxes", *boxes, "all")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in next(iter(boxes.values()), {}):
        numbers = [boxes[split][name] for split in boxes]
        table.add_row(escape(name), *(str(number) for number in (*numbers, sum(numbers))))
    return table
