"""`fuse2task data`: import, check, split, convert, degrade and synthesize datasets."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer import Argument, Option

from fuse2task.cli.options import (
    AnnotationsOption,
    BoxesOption,
    IgnoreOption,
    JsonOption,
    LayoutOption,
    MasksOption,
    Output,
    PaletteOption,
    make_table,
    print_json,
)  # fmt: skip
from fuse2task.runtime.errors import RequestError

if TYPE_CHECKING:
    from fuse2task.data.check import Report

app = typer.Typer(
    help="Import recordings; look at datasets, split them, draw synthetic ones, degrade them.", no_args_is_help=True
)

FURTHEST = 3  # frames that `data import` names
SceneLayout = Literal["m3fd", "msrs"]
Root = Annotated[Path, Argument(help="Folder that the layout begins at.", show_default=False)]
Infrared = Annotated[Path | None, Option(help="Infrared folder, for layout folder.")]
Visible = Annotated[Path | None, Option(help="Visible folder, for layout folder.")]


@app.command()
def synth(
    root: Annotated[Path, Argument(help="Folder to write; new or empty.", show_default=False)],
    layout: Annotated[Literal["m3fd", "msrs"], Option(help="m3fd: boxes of 6 classes; msrs: masks of 9 classes.")],
    count: Annotated[int, Option(help="How many pairs, day and night in turn.")] = 100,
    size: Annotated[str, Option(help="Width x height in pixels.")] = "320x256",
    seed: Annotated[int, Option(help="The same seed gives the same files.")] = 0,
) -> None:
    """Write synthetic infrared-visible pairs with their truth.

    m3fd: 60 % train, 15 % val, 25 % test in ROOT/split.txt, for --split. msrs: 75 % train, 25 % test.
    """
    from fuse2task.data.synthetic.writing import write_m3fd, write_msrs

    width, _, height = size.lower().partition("x")
    if not all(side.isdecimal() and side.isascii() for side in (width, height)):
        raise RequestError(f"--size {size}: width x height expected, such as 320x256")
    pixels = int(width), int(height)
    if layout == "m3fd":
        write_m3fd(root, count, seed, pixels)
    else:
        test = max(round(count / 4), 1)
        write_msrs(root, count - test, test, seed, pixels)
    typer.echo(f"{root}: {count} pairs of {size}, layout {layout}, seed {seed}")


@app.command("import")
def import_command(
    recipe: Annotated[str, Argument(help="A YAML file, or a shipped recipe: rig/plain.")],
    output: Annotated[Path, Output(help="Folder to write; new, or to be continued.")],
    overrides: Annotated[list[str] | None, Argument(help="key.sub=value, for instance match.by=order.")] = None,
    infrared: Annotated[Path | None, Option(help="Folder of the infrared camera, instead of the recipe's.")] = None,
    visible: Annotated[Path | None, Option(help="Folder of the visible camera; may be the same.")] = None,
    match: Annotated[
        tuple[str, str] | None,
        Option(help="Forms of infrared and visible names: --match FLIR_{id}_PreviewData.jpeg FLIR_{id}_RGB.jpg."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make pairs that can be fused of what two cameras recorded: paired, 8 bits by one range, in one folder.

    docs/camera-rig.md explains the recipe; OUTPUT/import.json tells what was done.
    """
    import json

    from fuse2task.config import load_recipe
    from fuse2task.rig.importing import ImportRecipe, import_pairs

    given = {"infrared": infrared, "visible": visible}
    settings = [f"{key}={json.dumps(str(value))}" for key, value in given.items() if value is not None]
    if match is not None:
        settings += [f"match.{key}={json.dumps(form)}" for key, form in zip(given, match, strict=True)]
    manifest = import_pairs(load_recipe(ImportRecipe, recipe, [*(overrides or []), *settings]), output)
    if as_json:
        print_json(manifest)
        return
    sequences = len([name for name in manifest["sequences"] if name])
    typer.echo(f"{output}: {len(manifest['frames'])} pairs" + (f", sequences: {sequences}" if sequences else ""))
    if failed := sorted(manifest.get("failed", {})):
        typer.echo(f"{len(failed)} frames left out, their registration failed; {failed[0]} the first")
    for camera, names in manifest["dropped"].items():
        if names:
            typer.echo(f"{camera}: {len(names)} files without partner left out, {names[0]} the first")
        if others := manifest["unused"][camera]:
            typer.echo(f"{camera}: {others} images of other names not used")
    if tone := manifest["radiometry"]:
        kelvin = " ({:g} to {:g} K)".format(*tone["kelvin"]) if "kelvin" in tone else ""
        span = "each frame by its own range" if "counts" not in tone else "{:g} to {:g}".format(*tone["counts"])
        typer.echo(f"infrared: counts {span}{kelvin} by {tone['map']}")
    if manifest["bad_pixels"]:
        typer.echo(f"infrared: {len(manifest['bad_pixels'])} defective pixels repaired")
    for name, shift in manifest.get("residuals", {}).items():
        median, high = shift["median"], shift["p95"]
        bits = f"; mutual information {shift['bits']:g} bits" if "bits" in shift else ""
        typer.echo(f"edges apart {name} registration: median {median:g} px, 95 % below {high:g} px{bits}")
    apart = [(math.hypot(*pair[1]), row) for row in manifest["frames"] if (pair := row.get("residual")) and pair[1]]
    for after, row in sorted(apart, key=lambda one: -one[0])[:FURTHEST]:
        before = f" ({math.hypot(*row['residual'][0]):.1f} before)" if row["residual"][0] else ""
        typer.echo(f"  furthest: {row['id']}, {after:.1f} px{before}")
    typer.echo(
        f"look at {output / 'contact_sheet.png'} and {output / 'blink.gif'}: edges should go on from tile to tile"
    )
    truth = " --annotations " + str(output / "annotations.json") if "annotations.json" in manifest["files"] else ""
    truth = truth or (f" --masks {output / 'masks'}" if "mask" in manifest["frames"][0] else "")
    typer.echo(f"next: fuse2task data check {output} --layout folder{truth}")


@app.command()
def frames(
    videos: Annotated[list[Path], Argument(help="Video files of one camera, a sequence each.", show_default=False)],
    output: Annotated[Path, Output(help="Folder to write; OUTPUT/NAME/ holds the frames of NAME.mkv.")],
    every: Annotated[int, Option(min=1, help="2 writes every second frame, and so on.")] = 1,
) -> None:
    """Write the frames of videos as PNG, named by their time in microseconds, for `data import`; needs PyAV.

    Infrared of 16 bits stays counts. docs/camera-rig.md shows the recipe that pairs two cameras' frames by time.
    """
    from fuse2task.rig.video import extract_frames

    for video in videos:
        found = extract_frames(video, output, every)
        typer.echo(f"{output / video.stem}: {len(found['frames'])} frames of {video}")


@app.command()
def degrade(
    root: Root,
    layout: LayoutOption,
    kind: Annotated[str, Option(help="rain, snow, haze, night, noise, blur, misalign, hotpixel or jpeg.")],
    level: Annotated[int, Option(help="1 (slight) to 5 (worst); 0 copies as it is.")],
    output: Annotated[Path, Output(help="Folder to write; new, or to be continued.")],
    seed: Annotated[int, Option(help="Another seed, other streaks and noise.")] = 0,
    split: Annotated[str | None, Option(help="Copy only the pairs of this split list.")] = None,
    boxes: BoxesOption = None,
    annotations: AnnotationsOption = None,
    masks: MasksOption = None,
    palette: PaletteOption = None,
    ignore: IgnoreOption = None,
    move: Annotated[str | None, Option(help="misalign: infrared or visible moves. [default: infrared]")] = None,
    truth_on: Annotated[
        str | None, Option(help="misalign: image that the truth was drawn on. [default: visible]")
    ] = None,
) -> None:
    """Write a degraded copy of a dataset, in the same layout, with its truth.

    Truth from elsewhere is given where it must move with misalign.
    docs/conditions.md tells what each kind and level means.
    """
    from fuse2task.data.degradation.writing import MANIFEST, degrade_dataset
    from fuse2task.runtime.files import read_json

    done = degrade_dataset(
        root, layout, kind, level, output, seed=seed, split=split, boxes=boxes, annotations=annotations,
        masks=masks, move=move, truth_on=truth_on, palette=palette, ignore=ignore,
    )  # fmt: skip
    manifest = read_json(output / MANIFEST, "manifest")
    changed = " and ".join(manifest["changed"]) or "nothing"
    typer.echo(f"{output}: {kind} {level} ({manifest['meaning']}), {manifest['pairs']} pairs, changed: {changed}")
    for name, path in done.truth.items():
        if path.is_relative_to(output):
            typer.echo(f"truth moved with the image: use --{name} {path}")


@app.command()
def convert(
    boxes: Annotated[Path, Argument(help="COCO file, folder of VOC files, or folder of YOLO files.")],
    images: Annotated[Path, Option(help="Folder of the images that the boxes are of.")],
    to: Annotated[Literal["coco", "voc", "yolo"], Option(help="coco: one .json; voc, yolo: a folder.")],
    output: Annotated[Path, Output(help="New file (coco) or folder to write.")],
    ignore: IgnoreOption = None,
) -> None:
    """Convert boxes from COCO, VOC or YOLO to another of them; what does not fit the images is listed instead."""
    from fuse2task.data.truth.conversion import convert_boxes

    truth = convert_boxes(boxes, images, to, output, ignore)
    count = sum(map(len, truth.boxes.values()))
    typer.echo(f"{output}: {count} boxes of {len(truth.boxes)} images, classes {', '.join(truth.classes)}")


@app.command()
def check(
    root: Root,
    layout: LayoutOption,
    split: Annotated[str | None, Option(help="Split list, or the name of a shipped one.")] = None,
    boxes: BoxesOption = None,
    annotations: AnnotationsOption = None,
    masks: MasksOption = None,
    palette: PaletteOption = None,
    ignore: IgnoreOption = None,
    infrared: Infrared = None,
    visible: Visible = None,
    max_misalignment: Annotated[
        float | None,
        Option(min=0, help="Pixels that edges may be apart in half of the pairs; 12 allows any. [default: 5]"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List everything that is wrong with a dataset, and count what is in it.

    Exit code 0: clean; 1: findings listed; 2: wrong request.
    """
    from fuse2task.data.check import MISALIGNED, check_dataset
    from fuse2task.data.loading import scan_dataset
    from fuse2task.data.truth.coco import count_coco, is_coco

    dataset, findings = scan_dataset(
        root, layout, split=split, boxes=boxes, annotations=annotations, masks=masks, palette=palette,
        ignore=ignore, infrared=infrared, visible=visible,
    )  # fmt: skip
    report = check_dataset(dataset, findings, MISALIGNED if max_misalignment is None else max_misalignment)
    files = {}
    if annotations is not None and is_coco(annotations):  # whole files may cover more images than are on disk
        counted = count_coco(annotations)
        files = {key: dict(getattr(counted, key)) for key in ("images", "classes", "scenes")}
    if as_json:
        print_json({**report.as_json(), **({"annotation_files": files} if files else {})})
    else:
        _show(report, files)
    raise typer.Exit(1 if report.findings else 0)


@app.command()
def split(
    root: Root,
    layout: LayoutOption,
    parts: Annotated[str, Option(help="Shares, such as train=0.8,val=0.1,test=0.1.")],
    output: Annotated[Path, Output(help="List to write.")],
    seed: Annotated[int, Option(help="Another seed, another split.")] = 0,
    blocks: Annotated[int, Option(min=1, help="Keep this many consecutive ids together.")] = 1,
    by_sequence: Annotated[
        bool,
        Option("--by-sequence", help="Keep the frames of a sequence (a folder) together; shares are of sequences."),
    ] = False,
    infrared: Infrared = None,
    visible: Visible = None,
) -> None:
    """Write a random split list of a dataset and print its hash."""
    from fuse2task.data.dataset import sequence_of
    from fuse2task.data.loading import load_pairs
    from fuse2task.data.splits import make_split, parse_parts, read_split, write_split

    shares = parse_parts(parts)
    if by_sequence and blocks > 1:
        raise RequestError("--by-sequence keeps whole sequences together; leave --blocks away")
    if output.exists():
        read_split(output)  # refuses what is no list: no other file is replaced by one
    pairs = load_pairs(root, layout, infrared=infrared, visible=visible)
    sequences = {pair.id: pair.sequence or sequence_of(pair.id) for pair in pairs}
    chosen = make_split(list(sequences), shares, seed, blocks, sequences if by_sequence else None)
    digest = write_split(output, chosen)
    sizes = ", ".join(f"{name} {list(chosen.values()).count(name)}" for name in shares)
    typer.echo(f"{output}: {sizes}; hash {digest}")


def _show(report: "Report", files: dict[str, dict[str, int]]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(soft_wrap=True, highlight=False)
    dataset, counts = report.dataset, report.counts
    title = f"{dataset.root}: layout {dataset.layout}, split {dataset.split_name} ({dataset.split_hash})"
    console.print(escape(title))

    def table(heading: str, numbers: dict[str, int]) -> None:
        rows = ((name, str(number)) for name, number in numbers.items())
        console.print(make_table((heading, "count"), rows, right=True))

    table("pairs", counts["pairs"])
    table("sizes", counts["sizes"])
    if boxes := counts.get("boxes"):
        by_class = {name: [boxes[split][name] for split in boxes] for name in next(iter(boxes.values()), {})}
        rows = ((name, *map(str, (*numbers, sum(numbers)))) for name, numbers in by_class.items())
        console.print(make_table(("boxes", *boxes, "all"), rows, right=True))
    for key, heading in (("pixels", "mask pixels"), ("conditions", "conditions")):
        if counts.get(key):
            table(heading, counts[key])
    for key, values in files.items():
        table(f"annotation files: {key}", values)
    for note in report.notes:
        console.print(escape(f"note: {note}"))
    for finding in report.findings:
        console.print(f"[red]{finding.kind}[/red]: {escape(finding.message)}")
    console.print(f"{len(report.findings)} findings" if report.findings else "no findings")
