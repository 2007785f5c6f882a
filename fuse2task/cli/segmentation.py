"""`fuse2task segmentation`: train a segmenter, predict masks, evaluate by per-class IoU."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from fuse2task.cli.judges import JudgeOptions, Plugin, judge_source
from fuse2task.cli.options import (
    JsonOption,
    JudgeDevice,
    Output,
    PaletteOption,
    load_for_run,
    print_table,
    put_metrics,
)  # fmt: skip

app = typer.Typer(help="Train a segmenter on fused images, predict, evaluate by per-class IoU.", no_args_is_help=True)


@app.command()
def train(
    recipe: Annotated[str, Argument(help="YAML file, or a shipped recipe: segmentation/unet-demo, say.")],
    overrides: Annotated[list[str] | None, Argument(help="key.sub=value; data=OUT gives the fused dataset.")] = None,
    output: Annotated[
        Path | None,
        Output(metavar="RUN", help="Run folder (default: runs/segmentation/RECIPE-HASH)."),
    ] = None,
) -> None:
    """Train an SMP network on the train split of a fused dataset; again, to go on with a killed run."""
    from segmentation.recipe import SegmentationRecipe

    loaded, run = load_for_run(SegmentationRecipe, "segmentation", recipe, overrides, output)

    from segmentation.training import train as train_segmenter

    typer.echo(train_segmenter(loaded, run))


@app.command()
def predict(
    data: Annotated[Path, Option(metavar="OUT", help="Fused dataset (of `fusion apply`).")],
    split: Annotated[str, Option(help="Its split: train, val or test.")],
    output: Annotated[Path, Output(metavar="DIR", help="Where <id>.png go, 8-bit class indices.")],
    checkpoint: Annotated[
        Path | None, Option(metavar="C", help="best.safetensors or last.safetensors of a run; or for --plugin.")
    ] = None,
    overlays: Annotated[
        Path | None, Option(metavar="DIR", help="Where sheets of image, truth and prediction go.")
    ] = None,
    class_map: Annotated[
        str | None, Option(help="YAML, `judge class: truth class`: a file, or a shipped map (msrs-cityscapes).")
    ] = None,
    plugin: Plugin = None,
    option: JudgeOptions = None,
    device: JudgeDevice = "auto",
) -> None:
    """Predict the masks of one split, by a checkpoint of a run or a judge of another package."""
    from fuse2task.data.class_maps import load_class_map
    from fuse2task.data.fused import open_fused
    from fuse2task.tasks import find_task
    from segmentation.frozen import MappedSegmenter, match_masks
    from segmentation.prediction import predict as predict_split

    dataset, source = open_fused(data), judge_source(plugin, checkpoint, option)
    judge, _ = find_task("segmentation").load(source, device)
    if plugin or class_map:
        classes, mapping = dataset.classes or judge.classes, load_class_map(class_map) if class_map else None
        matching = match_masks(judge.classes, classes, mapping, class_map or "--class-map")
        judge = MappedSegmenter(judge, classes, *matching)
    count = predict_split(judge, dataset, split, output, overlays)
    typer.echo(f"{output}: {count} masks")


@app.command("eval")
def evaluate(
    labels: Annotated[Path, Option(metavar="DIR", help="True masks, <id>.png; 255 is ignored.")],
    predictions: Annotated[Path, Option(metavar="DIR", help="Predicted masks of the same names.")],
    output: Annotated[Path, Output(metavar="metrics.json", help="Metrics, fractions.")],
    classes: Annotated[
        str | None,
        Option(
            help="msrs, fmb, pst900, cityscapes, voc, ade20k, or a text file with one name a line. Default: "
            "the fused dataset's, classes.txt with the true masks or above, the palette's, else 0, 1, 2 ..."
        ),
    ] = None,
    palette: PaletteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Per-class IoU from one confusion matrix over the set."""
    from fuse2task.runtime.files import refuse_overlap
    from segmentation.evaluation import class_names
    from segmentation.evaluation import evaluate as evaluate_folders

    refuse_overlap(output, labels, predictions)
    metrics = evaluate_folders(labels, predictions, class_names(classes) if classes else None, palette)
    put_metrics(output, metrics, as_json, _show)


def _show(metrics: dict[str, Any]) -> None:
    per_class = metrics["per_class"].items()
    rows = [(name, _shown(row["IoU"]), _shown(row["accuracy"]), str(row["pixels"])) for name, row in per_class]
    print_table(("class", "IoU", "accuracy", "pixels"), rows)
    means = ", ".join(f"{name} {_shown(metrics[name])}" for name in ("mIoU", "mIoU_foreground", "mAcc", "aAcc"))
    typer.echo(f"{means}; {metrics['images']} images, {metrics['pixels']} pixels\n{metrics['definition']}")
    if "class_names" in metrics:
        typer.echo(f"class names: {metrics['class_names']}")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
