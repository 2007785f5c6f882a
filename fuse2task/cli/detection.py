"""`fuse2task detection`: train YOLO, predict with a judge, COCO average precision."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from fuse2task.cli.judges import JudgeOptions, Plugin, judge_source
from fuse2task.cli.options import (
    JsonOption,
    JudgeDevice,
    Output,
    TrustPickle,
    load_for_run,
    print_table,
    put_metrics,
)
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import refuse_overlap

if TYPE_CHECKING:
    from fuse2task.data.fused import FusedDataset
    from fuse2task.judges import JudgeSource

app = typer.Typer(help="Train YOLO on fused images, predict, evaluate by COCO AP.", no_args_is_help=True)

Data = Annotated[Path | None, Option(metavar="OUT", help="Fused dataset (of `fusion apply`).")]
Split = Annotated[str | None, Option(help="Its split: train, val or test.")]
Weights = Annotated[Path | None, Option(help="Judge: .onnx, .pt, or RUN/best.safetensors.")]
Map = Annotated[str | None, Option(help="YAML, `judge class: truth class`: a file, or a shipped map (m3fd-coco).")]


@app.command()
def train(
    recipe: Annotated[str, Argument(help="YAML file, or a shipped recipe: detection/yolo-n-m3fd, say.")],
    overrides: Annotated[list[str] | None, Argument(help="key=value; data=OUT gives the fused dataset.")] = None,
    output: Annotated[
        Path | None,
        Output(metavar="RUN", help="Run folder (default: runs/detection/RECIPE-HASH)."),
    ] = None,
    trust_pickle: TrustPickle = False,
) -> None:
    """Train YOLO, or a detector of torchvision, on the train split of a fused dataset, offline."""
    from detection.recipe import DetectionRecipe
    from detection.training import train as train_detector

    loaded, run = load_for_run(DetectionRecipe, "detection", recipe, overrides, output)
    card = train_detector(loaded, run)
    typer.echo(f"{run}/best.safetensors: {card['selection']}, {card['epochs']} epochs")
    if card.get("val_AP") is not None:
        typer.echo(f"val: COCO AP {card['val_AP']:.2%}")
    if card["native"]:
        typer.echo(f"val by Ultralytics' own validator (not COCO AP): mAP50-95 {card['native']['mAP50-95']:.2%}")


@app.command()
def predict(
    output: Annotated[Path, Output(metavar="dets.json", help="COCO results.")],
    weights: Weights = None,
    data: Data = None,
    split: Split = None,
    class_map: Map = None,
    plugin: Plugin = None,
    option: JudgeOptions = None,
    device: JudgeDevice = "auto",
    trust_pickle: TrustPickle = False,
) -> None:
    """Predict one split with a judge; writes COCO results."""
    from detection.coco import read_truth
    from detection.predictions import write_results

    dataset, results, left_out = _predicted(
        output, judge_source(plugin, weights, option), data, split, class_map, device
    )
    write_results(output, results, read_truth(dataset.annotations(str(split))))
    typer.echo(f"{output}: {len(results)} boxes")
    if left_out:
        typer.echo(f"the judge lacks {', '.join(left_out)}; give eval the same --class-map")


@app.command("eval")
def evaluate(
    output: Annotated[Path, Output(metavar="metrics.json", help="Metrics, fractions.")],
    truth: Annotated[Path | None, Option(metavar="gt.json", help="COCO ground truth.")] = None,
    predictions: Annotated[Path | None, Option(metavar="dets.json", help="COCO results.")] = None,
    weights: Weights = None,
    data: Data = None,
    split: Split = None,
    class_map: Map = None,
    plugin: Plugin = None,
    option: JudgeOptions = None,
    device: JudgeDevice = "auto",
    trust_pickle: TrustPickle = False,
    ignore: Annotated[
        str | None,
        Option(help="Flags of true boxes that do not count: as for `fusion apply`. [default: crowd,ignore]"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """COCO AP: --truth and --predictions, or a judge's (--weights or --plugin, --data, --split)."""
    from detection.average_precision import evaluate as evaluate_results
    from detection.coco import read_truth
    from fuse2task.data.class_maps import classes_left_out, load_class_map

    if any((truth, predictions)) == any((weights, plugin, data, split)):
        raise RequestError("give either --truth and --predictions, or --weights or --plugin, --data and --split")
    if ignore and not truth:
        raise RequestError("--ignore is for --truth; of a fused dataset `fusion apply --ignore` decides it")
    left_out: tuple[str, ...] = ()
    refuse_overlap(output, truth, predictions)
    if truth and predictions:
        if class_map:
            names = [item["name"] for item in read_truth(truth)["categories"]]
            left_out = classes_left_out(names, load_class_map(class_map), class_map)
        metrics = evaluate_results(truth, predictions, left_out=left_out, ignore=ignore)
    elif truth or predictions:
        raise RequestError("--truth and --predictions are needed together")
    else:
        dataset, results, left_out = _predicted(
            output, judge_source(plugin, weights, option), data, split, class_map, device
        )
        metrics = evaluate_results(dataset.annotations(str(split)), results, left_out=left_out)
    put_metrics(output, metrics, as_json, _show)


def _predicted(
    output: Path, source: "Path | JudgeSource", data: Path | None, split: str | None, class_map: str | None, device: str
) -> tuple["FusedDataset", list[dict[str, Any]], tuple[str, ...]]:
    from detection.judge import load_judge
    from detection.judge import predict as predict_split
    from fuse2task.data.class_maps import load_class_map
    from fuse2task.data.fused import open_fused
    from fuse2task.tasks import find_task

    if not (data and split):
        raise RequestError("--weights (or --plugin), --data and --split are needed together")
    dataset, mapping = open_fused(data), load_class_map(class_map) if class_map else None
    refuse_overlap(output, source if isinstance(source, Path) else None, *dataset.parts)
    judge = load_judge(source, device) if isinstance(source, Path) else find_task("detection").load(source, device)
    return dataset, *predict_split(dataset, split, judge, mapping, source=class_map or "the class map")


def _show(metrics: dict[str, Any]) -> None:
    columns, per_class = ("AP", "AP50", "AP75"), metrics["per_class"]

    def cells(name: str, row: dict[str, Any], instances: int) -> list[str]:
        return [name, *(_percent(row[column]) for column in columns), str(instances)]

    rows = [cells(name, row, row["instances"]) for name, row in per_class.items()]
    mean = cells("mean", metrics, sum(row["instances"] for row in per_class.values()))
    print_table(("class", *(f"{name} (%)" for name in columns), "instances"), [*rows, None, mean])
    sizes = ", ".join(f"{name} {_percent(metrics[name])} %" for name in ("AP_small", "AP_medium", "AP_large", "AR100"))
    typer.echo(f"{sizes} ({metrics['images']} images)\n{metrics['definition']}")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
