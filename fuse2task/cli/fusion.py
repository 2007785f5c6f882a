"""`fuse2task fusion`: weights, train, import, export, apply, pairs, score."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import fuse2task
from fuse2task.cli.options import DeviceOption, JsonOption, LayoutOption, print_json
from fuse2task.cli.score import score_command

app = typer.Typer(no_args_is_help=True, help="Train CrossFuse, fuse datasets and loose pairs, score images.")
app.command("score")(score_command)

MethodOption = Annotated[
    str,
    typer.Option(
        help="crossfuse (the paper's network; needs --checkpoint), crossfuse-plus or crossfuse-task (networks of "
        "ours, weights shipped), visible, infrared, average, maximum, laplacian, or NAME=DIR of fused images."
    ),
]
CheckpointOption = Annotated[
    Path | None, typer.Option(help="Weights for crossfuse or crossfuse-plus: a file, or a name of `fusion weights`.")
]
ColorOption = Annotated[
    Literal["rgb", "gray"], typer.Option(help="rgb: chroma of the visible image; gray: luma alone.")
]
PrecisionOption = Annotated[
    Literal["auto", "fp32", "bf16"],
    typer.Option(help="auto: bf16 on a GPU or a CPU (AMX) made for it, else fp32."),
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
    ir: Annotated[Path, typer.Option(help="The infrared auto-encoder's .model file.")],
    visible: Annotated[Path, typer.Option(help="The visible auto-encoder's .model file.")],
    fusion: Annotated[Path, typer.Option(help="The fusion network's .model file.")],
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
    kind: Annotated[
        Literal["onnx", "torch-export"], typer.Option("--format", help="What torch.export.load or ONNX runtimes read.")
    ] = "onnx",
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
    export_network(network, output, kind, about)
    typer.echo(f"{output}: {kind}, {output.stat().st_size / 1e6:.0f} MB, weights {digest[:12]}")


@app.command("apply")
def apply_command(
    method: MethodOption,
    data: Annotated[Path, typer.Option(help="Root of the source dataset.")],
    layout: LayoutOption,
    out: Annotated[Path, typer.Option("-o", "--output", help="The fused dataset; an interrupted one is continued.")],
    split: Annotated[str | None, typer.Option(help="A split list, or the name of a shipped one.")] = None,
    boxes: Annotated[Path | None, typer.Option(help="Folder of YOLO txt with classes.txt in it or above it.")] = None,
    annotations: Annotated[Path | None, typer.Option(help="COCO json or VOC xml, a file or a folder.")] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder of index masks.")] = None,
    checkpoint: CheckpointOption = None,
    color: ColorOption = "rgb",
    shard: Annotated[str, typer.Option(help="i/n: do part i (from 1) of n; the last to finish merges.")] = "1/1",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Fuse a dataset: images, labels or masks carried over, data.yaml, COCO truth, manifest."""
    from fusion.dataset_writer import Shard, write_fused
    from fusion.methods import make_method

    part = Shard.parse(shard)
    fuser = make_method(method, checkpoint, device, precision)
    dataset = _load(data, layout, split=split, boxes=boxes, annotations=annotations, masks=masks)
    finished = write_fused(dataset, fuser, out, color, part)
    typer.echo(f"{out}: {'finished' if finished else f'part {shard} written; other parts are still missing'}")


@app.command("pairs")
def pairs_command(
    ir: Annotated[Path, typer.Option(help="Folder of infrared images.")],
    visible: Annotated[Path, typer.Option(help="Folder of visible images of the same names.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for the fused images.")],
    method: Annotated[
        str | None,
        typer.Option(
            show_default="crossfuse-plus, a network of ours; with --checkpoint the network in it",
            help="As for `fusion apply`.",
        ),
    ] = None,
    checkpoint: CheckpointOption = None,
    color: ColorOption = "rgb",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Fuse loose folders of images, without labels: writes OUT/<id>.png."""
    from fusion.dataset_writer import fuse_pairs
    from fusion.methods import make_method
    from fusion.methods.registry import OURS

    fuser = make_method(method, checkpoint, device, precision)
    dataset = _load(ir.parent, "folder", infrared=ir, visible=visible)
    if method is None:
        typer.echo(f"method: {fuser.name}{OURS.get(fuser.name, '')}")
    count = fuse_pairs(dataset, fuser, out, color)
    typer.echo(f"{out}: {count} images fused by {fuser.name}")


def _load(root: Path, layout: str, **given: Any) -> Any:
    from fuse2task.data.loading import load_dataset

    dataset = load_dataset(root, layout, **given)
    for note in dataset.notes:
        typer.echo(f"note: {note}", err=True)
    return dataset
