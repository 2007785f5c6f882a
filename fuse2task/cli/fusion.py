"""`fuse2task fusion`: weights, train, import, export, apply, pairs, score."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

import fuse2task
from fuse2task.cli.json_output import JsonOption, print_json
from fuse2task.cli.score import score_command

app = typer.Typer(no_args_is_help=True, help="Train CrossFuse, fuse datasets and loose pairs, score images.")
app.command("score")(score_command)


class Color(StrEnum):
    """Colour mode of the fused files."""

    rgb = "rgb"
    gray = "gray"


class PrecisionName(StrEnum):
    """Arithmetic of the network."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class FormatName(StrEnum):
    """Kinds of file."""

    onnx = "onnx"
    torch_export = "torch-export"


MethodOption = Annotated[
    str,
    typer.Option(
        "--method",
        help="crossfuse (the paper's network; needs --checkpoint), crossfuse-plus or crossfuse-task (networks of "
        "ours, weights shipped), visible, infrared, average, maximum, laplacian, or NAME=DIR of fused images.",
    ),
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint", help="Weights for crossfuse or crossfuse-plus: a file, or a name of `fusion weights`."
    ),
]
ColorOption = Annotated[Color, typer.Option("--color", help="rgb: chroma of the visible image; gray: luma alone.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")]
PrecisionOption = Annotated[
    PrecisionName, typer.Option("--precision", help="auto: bf16 on a GPU or a CPU (AMX) made for it, else fp32.")
]


@app.command("weights")
def weights_command(as_json: JsonOption = False) -> None:
    """List the weights that come with the package."""
    from fusion.weights import shipped_weights

    rows: list[dict[str, Any]] = [
        {
            "name": weights.name, "file": weights.file, "bytes": weights.file.stat().st_size,
            **{key: weights.card[key] for key in ("summary", "sha256", "tensor_hash")},
        }
        for weights in shipped_weights()
    ]  # fmt: skip
    if as_json:
        print_json({"weights": rows})
        return
    for row in rows:
        typer.echo(f"{row['name']}  {row['bytes'] / 1e6:.1f} MB  {row['summary']}")


@app.command("train")
def train_command(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or a shipped recipe such as fusion/crossfuse-modern.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key.sub=value, for instance data.0.root=KAIST.")
    ] = None,
    run: Annotated[Path, typer.Option("-o", "--output", help="Run folder; an interrupted run resumes.")] = Path(
        "runs/crossfuse"
    ),
) -> None:
    """Train CrossFuse: an auto-encoder for each modality, then cross attention and fusion decoder."""
    from detection.differentiable import DetectionLoss
    from fuse2task.config import load_recipe
    from fusion.recipe import FusionRecipe
    from fusion.training.run import train

    train(load_recipe(FusionRecipe, recipe, overrides or []), run, DetectionLoss)


@app.command("import")
def import_command(
    ir: Annotated[Path, typer.Option("--ir", help="The infrared auto-encoder's .model file.")],
    visible: Annotated[Path, typer.Option("--visible", help="The visible auto-encoder's .model file.")],
    fusion: Annotated[Path, typer.Option("--fusion", help="The fusion network's .model file.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="The safetensors file to write.")] = Path(
        "crossfuse.safetensors"
    ),
) -> None:
    """Convert the authors' three checkpoints (loaded without running pickled code)."""
    from fusion.checkpoint import save_crossfuse
    from fusion.release import import_release

    digest = save_crossfuse(out, import_release(ir, visible, fusion), {"imported": "public CrossFuse release"})
    typer.echo(f"{out}: {digest[:12]}")


@app.command("export")
def export_command(
    checkpoint: Annotated[Path, typer.Argument(help="CrossFuse weights: a file, or a name of `fusion weights`.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="model.onnx", help="The file to write.")],
    kind: Annotated[FormatName, typer.Option("--format", help="What torch.export.load or ONNX runtimes read.")] = (
        FormatName.onnx
    ),
) -> None:
    """Write the network as one file that runs without fuse2task, for one pair of any size from 16x16 up.

    Inputs `infrared` and `visible`, output `fused`: luma, (1, 1, H, W) float32, 0 to 255.
    """
    from fusion.checkpoint import load_crossfuse
    from fusion.export import export_network
    from fusion.weights import find_checkpoint

    network, digest = load_crossfuse(find_checkpoint(checkpoint))
    about = {
        "made_by": f"fuse2task {fuse2task.__version__}",
        "network": type(network).__name__.removesuffix("Network"),
        "tensor_hash": digest,
    }
    export_network(network, output, kind.value, about)
    typer.echo(f"{output}: {kind.value}, {output.stat().st_size / 1e6:.0f} MB, weights {digest[:12]}")


@app.command("apply")
def apply_command(
    method: MethodOption,
    data: Annotated[Path, typer.Option("--data", help="Root of the source dataset.")],
    layout: Annotated[
        str, typer.Option("--layout", help="m3fd, msrs, roadscene, tno, llvip, kaist, fmb, awmm or folder.")
    ],
    out: Annotated[Path, typer.Option("-o", "--output", help="The fused dataset; an interrupted one is continued.")],
    split: Annotated[str | None, typer.Option("--split", help="A split list, or the name of a shipped one.")] = None,
    boxes: Annotated[
        Path | None, typer.Option("--boxes", help="Folder of YOLO txt with classes.txt in it or above it.")
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option("--annotations", help="COCO json or VOC xml, a file or a folder.")
    ] = None,
    masks: Annotated[Path | None, typer.Option("--masks", help="Folder of index masks.")] = None,
    checkpoint: CheckpointOption = None,
    color: ColorOption = Color.rgb,
    shard: Annotated[
        str, typer.Option("--shard", help="i/n: do part i (from 1) of n; the last to finish merges.")
    ] = "1/1",
    device: DeviceOption = "auto",
    precision: PrecisionOption = PrecisionName.auto,
) -> None:
    """Fuse a dataset: images, labels or masks carried over, data.yaml, COCO truth, manifest."""
    from fuse2task.data.loading import load_dataset
    from fusion.dataset_writer import write_fused
    from fusion.methods import make_method
    from fusion.pair_writer import Shard

    part = Shard.parse(shard)
    fuser = make_method(method, checkpoint, device, precision.value)
    dataset = load_dataset(data, layout, split=split, boxes=boxes, annotations=annotations, masks=masks)
    for note in dataset.notes:
        typer.echo(f"note: {note}", err=True)
    finished = write_fused(dataset, fuser, out, color.value, part)
    typer.echo(f"{out}: {'finished' if finished else f'part {shard} written; other parts are still missing'}")


@app.command("pairs")
def pairs_command(
    ir: Annotated[Path, typer.Option("--ir", help="Folder of infrared images.")],
    visible: Annotated[Path, typer.Option("--visible", help="Folder of visible images of the same names.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for the fused images.")],
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            show_default="crossfuse-plus, a network of ours; with --checkpoint the network in it",
            help="As for `fusion apply`.",
        ),
    ] = None,
    checkpoint: CheckpointOption = None,
    color: ColorOption = Color.rgb,
    device: DeviceOption = "auto",
    precision: PrecisionOption = PrecisionName.auto,
) -> None:
    """Fuse loose folders of images, without labels: writes OUT/<id>.png."""
    from fuse2task.data.loading import load_dataset
    from fusion.methods import make_method
    from fusion.methods.registry import OURS
    from fusion.pair_writer import fuse_pairs

    fuser = make_method(method, checkpoint, device, precision.value)
    dataset = load_dataset(ir.parent, "folder", infrared=ir, visible=visible)
    for note in dataset.notes:
        typer.echo(f"note: {note}", err=True)
    if method is None:
        typer.echo(f"method: {fuser.name}{OURS.get(fuser.name, '')}")
    count = fuse_pairs(dataset, fuser, out, color.value)
    typer.echo(f"{out}: {count} images fused by {fuser.name}")
