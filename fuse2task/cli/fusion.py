"""`fuse2task fusion`: weights, train, import, export, apply, pairs, score."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer import Argument, Option

import fuse2task
from fuse2task.cli.options import (
    AnnotationsOption,
    BoxesOption,
    DeviceOption,
    IgnoreOption,
    JsonOption,
    LayoutOption,
    MasksOption,
    Output,
    PaletteOption,
    print_json,
    print_table,
)
from fuse2task.runtime.errors import RequestError

app = typer.Typer(no_args_is_help=True, help="Train CrossFuse, fuse datasets and loose pairs, score images.")
SOURCES = "--ir, --visible, --fused and -o are needed together (or --explain SCORE alone)"
DEFAULT = "crossfuse-plus, a network of ours; with --checkpoint the network in it"

MethodOption = Annotated[
    str,
    Option(
        help="crossfuse (the paper's network; needs --checkpoint), crossfuse-plus or crossfuse-task (networks of "
        "ours, weights shipped), visible, infrared, average, maximum, laplacian, rp, dwt, dtcwt, gff, adf, pca, gtf, "
        "hsv, or NAME=DIR of fused images."
    ),
]
CheckpointOption = Annotated[
    Path | None, Option(help="Weights for crossfuse or crossfuse-plus: a file, or a name of `fusion weights`.")
]
ColorOption = Annotated[Literal["rgb", "gray"], Option(help="rgb: chroma of the visible image; gray: luma alone.")]
PrecisionOption = Annotated[
    Literal["auto", "fp32", "bf16"], Option(help="auto: bf16 on a GPU or a CPU (AMX) made for it, else fp32.")
]
MemoryOption = Annotated[
    float | None,
    Option(
        min=0.75,
        show_default="2",
        help="GB within which crossfuse-plus fuses a large pair on a CPU: strips, equal bytes.",
    ),
]


@app.command("weights")
def weights_command(as_json: JsonOption = False) -> None:
    """List the weights that come with the package."""
    from fusion.weights import shipped_weights

    rows: list[dict[str, Any]] = []
    for weights in shipped_weights():
        rows.append({"name": weights.name, "file": weights.file, "bytes": weights.file.stat().st_size})
        rows[-1] |= {key: weights.card[key] for key in ("summary", "sha256", "tensor_hash")}
        if not as_json:
            typer.echo(f"{weights.name}  {rows[-1]['bytes'] / 1e6:.1f} MB  {weights.card['summary']}")
    if as_json:
        print_json({"weights": rows})


@app.command("train")
def train_command(
    recipe: Annotated[str, Argument(help="A YAML file, or a shipped recipe such as fusion/crossfuse-modern.")],
    overrides: Annotated[list[str] | None, Argument(help="key.sub=value, for instance data.0.root=KAIST.")] = None,
    run: Annotated[Path, Output(help="Run folder; an interrupted run resumes.")] = Path("runs/crossfuse"),
) -> None:
    """Train CrossFuse: an auto-encoder for each modality, then cross attention and fusion decoder."""
    from detection.differentiable import DetectionLoss
    from fuse2task.config import load_recipe
    from fusion.recipe import FusionRecipe
    from fusion.training.run import train

    train(load_recipe(FusionRecipe, recipe, overrides or []), run, DetectionLoss)


@app.command("import")
def import_command(
    ir: Annotated[Path, Option(help="The infrared auto-encoder's .model file.")],
    visible: Annotated[Path, Option(help="The visible auto-encoder's .model file.")],
    fusion: Annotated[Path, Option(help="The fusion network's .model file.")],
    out: Annotated[Path, Output(help="The safetensors file to write.")] = Path("crossfuse.safetensors"),
) -> None:
    """Convert the authors' three checkpoints (loaded without running pickled code)."""
    from fuse2task.runtime.files import refuse_overlap
    from fusion.checkpoint import save_crossfuse
    from fusion.release import import_release

    refuse_overlap(out, ir, visible, fusion)
    digest = save_crossfuse(out, import_release(ir, visible, fusion), {"imported": "public CrossFuse release"})
    typer.echo(f"{out}: {digest[:12]}")


@app.command("export")
def export_command(
    checkpoint: Annotated[Path, Argument(help="CrossFuse weights: a file, or a name of `fusion weights`.")],
    output: Annotated[Path, Output(metavar="model.onnx", help="The file to write.")],
    kind: Annotated[
        Literal["onnx", "torch-export"], Option("--format", help="What torch.export.load or ONNX runtimes read.")
    ] = "onnx",
) -> None:
    """Write the network as one file that runs without fuse2task, for one pair of any size from 16x16 up.

    Inputs `infrared` and `visible`, output `fused`: luma, (1, 1, H, W) float32, 0 to 255.
    """
    from fuse2task.runtime.files import refuse_overlap
    from fusion.checkpoint import load_crossfuse
    from fusion.export import export_network
    from fusion.weights import find_checkpoint

    weights = find_checkpoint(checkpoint)
    refuse_overlap(output, weights)
    network, digest = load_crossfuse(weights)
    about = {"made_by": f"fuse2task {fuse2task.__version__}", "tensor_hash": digest}
    about["network"] = type(network).__name__.removesuffix("Network")
    export_network(network, output, kind, about)
    typer.echo(f"{output}: {kind}, {output.stat().st_size / 1e6:.0f} MB, weights {digest[:12]}")


@app.command("apply")
def apply_command(
    method: MethodOption,
    data: Annotated[Path, Option(help="Root of the source dataset.")],
    layout: LayoutOption,
    out: Annotated[Path, Output(help="The fused dataset; an interrupted one is continued.")],
    split: Annotated[str | None, Option(help="A split list, or the name of a shipped one.")] = None,
    boxes: BoxesOption = None,
    annotations: AnnotationsOption = None,
    masks: MasksOption = None,
    palette: PaletteOption = None,
    ignore: IgnoreOption = None,
    checkpoint: CheckpointOption = None,
    color: ColorOption = "rgb",
    shard: Annotated[str, Option(help="i/n: do part i (from 1) of n; the last to finish merges.")] = "1/1",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    memory: MemoryOption = None,
) -> None:
    """Fuse a dataset: images, labels or masks carried over, data.yaml, COCO truth, manifest."""
    from fuse2task.runtime.files import refuse_overlap
    from fusion.dataset_writer import Shard, write_fused
    from fusion.methods import make_method

    part, fuser = Shard.parse(shard), make_method(method, checkpoint, device, precision, memory)
    refuse_overlap(out, boxes, annotations, masks, *fuser.inputs)
    truth = {"boxes": boxes, "annotations": annotations, "masks": masks}
    dataset = _load(data, layout, split=split, palette=palette, ignore=ignore, **truth)
    finished = write_fused(dataset, fuser, out, color, part)
    typer.echo(f"{out}: {'finished' if finished else f'part {shard} written; other parts are still missing'}")


@app.command("pairs")
def pairs_command(
    ir: Annotated[Path, Option(help="Folder of infrared images.")],
    visible: Annotated[Path, Option(help="Folder of visible images of the same names.")],
    out: Annotated[Path, Output(help="Folder for the fused images.")],
    method: Annotated[str | None, Option(show_default=DEFAULT, help="As for `fusion apply`.")] = None,
    checkpoint: CheckpointOption = None,
    color: ColorOption = "rgb",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    memory: MemoryOption = None,
) -> None:
    """Fuse loose folders of images, without labels: writes OUT/<id>.png."""
    from fusion.dataset_writer import fuse_pairs
    from fusion.methods import make_method
    from fusion.methods.registry import OURS

    fuser = make_method(method, checkpoint, device, precision, memory)
    dataset = _load(ir.parent, "folder", infrared=ir, visible=visible)
    if method is None:
        typer.echo(f"method: {fuser.name}{OURS.get(fuser.name, '')}")
    count = fuse_pairs(dataset, fuser, out, color)
    typer.echo(f"{out}: {count} images fused by {fuser.name}")


def _load(root: Path, layout: str, **given: Any) -> Any:
    from fuse2task.data.dataset import say_notes
    from fuse2task.data.loading import load_dataset

    dataset = load_dataset(root, layout, **given)
    say_notes(dataset.notes)
    return dataset


@app.command("score")
def score_command(
    ir: Annotated[Path | None, Option(help="Folder of infrared images.")] = None,
    visible: Annotated[Path | None, Option(help="Folder of visible images of the same names.")] = None,
    fused: Annotated[
        list[str] | None,
        Option(metavar="[NAME=]DIR", help="Folder of fused images of the same names; repeat it."),
    ] = None,
    output: Annotated[Path | None, Output(metavar="scores.csv", help="The table; scores.json lies beside it.")] = None,
    profile: Annotated[str | None, Option(help="standard (default), vifb, tang, cddfuse, ivif_zoo or liu.")] = None,
    scores: Annotated[str | None, Option(help="Some of its scores: EN,MI,VIF. Default: all.")] = None,
    explain: Annotated[str | None, Option(metavar="SCORE", help="Print how a score is defined, and stop.")] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Image-quality scores by a named set of definitions: one row per image, means and standard errors printed."""
    if explain is not None:
        _explain(explain, profile, as_json)
        return
    if ir is None or visible is None or not fused or output is None:
        raise RequestError(SOURCES)
    from fusion.quality.scorer import score_folders

    folders = _named(fused)
    pairs = _load(ir.parent, "folder", infrared=ir, visible=visible).pairs
    names = [name.strip() for name in scores.split(",")] if scores else None
    summary = score_folders(pairs, folders, profile or "standard", output, names, device)
    if as_json:
        print_json(summary)
        return
    _show(summary)
    typer.echo(f"{output}: profile {summary['profile']}, {summary['images']} images, {len(folders)} methods")


def _named(references: list[str]) -> dict[str, Path]:
    from fuse2task.data.dataset import named_folder

    folders: dict[str, Path] = {}
    for reference in references:
        name, path = named_folder(reference)
        if not name or name in folders:
            raise RequestError(f"--fused {reference}: give each folder a name of its own, NAME=DIR")
        folders[name] = path
    return folders


def _explain(name: str, profile: str | None, as_json: bool) -> None:
    from fusion.quality.definitions import definition
    from fusion.quality.profiles import PROFILES, find_profile
    from fusion.quality.temporal import DEFINITION

    style: dict[str, Any] = {"title_justify": "left", "min_width": 60, "show_header": False}
    profiles = [find_profile(profile)] if profile else list(PROFILES.values())
    by_name = {each.lower(): each for found in PROFILES.values() for each in found.names} | {"flicker": "flicker"}
    exact = by_name.get(name.lower())
    if exact is None:
        raise RequestError(f"no score {name!r}; there are {', '.join(dict.fromkeys(by_name.values()))}")
    if exact == "flicker":
        defined = {found.name: DEFINITION for found in profiles}
    else:
        defined = {
            found.name: definition(found, found.chosen([exact])[0]) for found in profiles if exact in found.names
        }
    if as_json:
        print_json({exact: defined})
        return
    if exact == "flicker":
        print_table((), DEFINITION.items(), title="flicker of sequences, in every profile", **style)
        return
    for found in profiles:
        if exact not in found.names:
            typer.echo(f"{exact}: not defined in profile {found.name}")
            continue
        print_table((), defined[found.name].items(), title=f"{exact} in profile {found.name}", **style)


def _show(summary: dict[str, Any]) -> None:
    methods, rows = summary["methods"], []
    for name, definition in summary["definitions"].items():
        arrow = "↑" if definition["better"] == "higher" else "↓"
        rows.append((f"{name} {arrow}", *(_cell(methods[method][name]) for method in methods)))
    if film := summary.get("flicker"):
        label = f"flicker ↓ ({film['sequences']} sequences)"
        rows.append((label, *(_cell(film["methods"][method]) for method in methods)))
    title = f"profile {summary['profile']}: mean ± standard error over {summary['images']} images"
    print_table(("score", *methods), rows, title=title)


def _cell(value: dict[str, Any]) -> str:
    if value["mean"] is None:
        return "not defined"
    error = "" if value["standard_error"] is None else f" ± {value['standard_error']:.2g}"
    missing = f" ({value['undefined']} not defined)" if value["undefined"] else ""
    return f"{value['mean']:.4g}{error}{missing}"
