"""`fuse2task segmentation`: train a segmenter, predict masks, evaluate by per-class IoU."""

from pathlib import Path
from typing import Annotated

import typer

from fuse2task.cli.json_output import JsonOption, print_json

app = typer.Typer(help="Train a segmenter on fused images, predict, evaluate by per-class IoU.", no_args_is_help=True)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="YAML file, or a shipped recipe: segmentation/unet-demo, say.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key.sub=value; data=OUT gives the fused dataset.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="RUN", help="Run folder (default: runs/segmentation/RECIPE-HASH)."),
    ] = None,
) -> None:
    """Train an SMP network on the train split of a fused dataset; again, to go on with a killed run."""
    from fuse2task.config.recipes import load_recipe
    from fuse2task.runtime.files import value_hash
    from segmentation.recipe import SegmentationRecipe

    loaded = load_recipe(SegmentationRecipe, recipe, overrides or [])

    from segmentation.training import train as train_segmenter

    name = f"{Path(recipe).stem}-{value_hash(loaded.model_dump(mode='json'))}"
    typer.echo(train_segmenter(loaded, output or Path("runs") / "segmentation" / name))


@app.command()
def predict(
    checkpoint: Annotated[Path, typer.Option(metavar="C", help="best.safetensors or last.safetensors of a run.")],
    data: Annotated[Path, typer.Option(metavar="OUT", help="Fused dataset (of `fusion apply`).")],
    split: Annotated[str, typer.Option(help="Its split: train, val or test.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where <id>.png go, 8-bit class indices.")
    ],
    overlays: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where sheets of image, truth and prediction go.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
) -> None:
    """Predict the masks of one split."""
    from fuse2task.data.fused import open_fused
    from fuse2task.runtime.compute import pick_device
    from segmentation.model import load_segmenter
    from segmentation.prediction import predict as predict_split

    dataset = open_fused(data)
    count = predict_split(load_segmenter(checkpoint, pick_device(device)), dataset, split, output, overlays)
    typer.echo(f"{output}: {count} masks")


@app.command("eval")
def evaluate(
    labels: Annotated[Path, typer.Option(metavar="DIR", help="True masks, <id>.png; 255 is ignored.")],
    predictions: Annotated[Path, typer.Option(metavar="DIR", help="Predicted masks of the same names.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="metrics.json", help="Metrics, fractions.")],
    classes: Annotated[str, typer.Option(help="msrs, fmb, or a text file with one name a line.")] = "msrs",
    as_json: JsonOption = False,
) -> None:
    """Per-class IoU from one confusion matrix over the set."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from fuse2task.runtime.files import sole_file, write_json
    from segmentation.evaluation import class_names
    from segmentation.evaluation import evaluate as evaluate_folders

    metrics = evaluate_folders(labels, predictions, class_names(classes))
    with sole_file(output):
        write_json(output, metrics, sort_keys=False)
    if as_json:
        print_json(metrics)
        return
    table = Table("class", "IoU", "accuracy", "pixels")
    for name, row in metrics["per_class"].items():
        table.add_row(escape(name), _shown(row["IoU"]), _shown(row["accuracy"]), str(row["pixels"]))
    Console().print(table)
    means = ", ".join(f"{name} {_shown(metrics[name])}" for name in ("mIoU", "mIoU_foreground", "mAcc", "aAcc"))
    typer.echo(f"{means}; {metrics['images']} images, {metrics['pixels']} pixels\n{metrics['definition']}")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
