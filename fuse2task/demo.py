"""The whole loop on synthetic scenes: train CrossFuse, fuse, train judges on every method's images, compare."""

import csv
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fuse2task.data.images import read_visible, write_image
from fuse2task.runtime.files import read_json, write_json, write_text
from fuse2task.runtime.progress import say

METHODS = ("visible", "infrared", "average", "crossfuse")
SIZE, SEED = (320, 256), 0
M3FD_SCENES, MSRS_TRAIN, MSRS_TEST = 96, 48, 16


def run_demo(out: Path) -> None:
    """Run or continue the demo in `out`; prints the table and leaves summary.md, summary.csv and sheet.png there."""
    started = time.monotonic()
    out = Path(out)
    scenes = _draw_scenes(out / "scenes")
    weights = _train_crossfuse(out, scenes)
    rows = []
    for method in METHODS:
        boxes = _fuse(out, scenes, "m3fd", method, weights)
        masks = _fuse(out, scenes, "msrs", method, weights)
        rows.append({"method": method} | _detection(out, boxes, method) | _segmentation(out, masks, method))
    _write_summary(out, rows)
    _write_sheet(out)
    _print(rows)
    say(f"{out}/summary.md, summary.csv and sheet.png; {(time.monotonic() - started) / 60:.1f} minutes")


def _draw_scenes(folder: Path) -> dict[str, Path]:
    from fuse2task.data.synthetic.writing import write_m3fd, write_msrs

    say("1/4 synthetic scenes: by night people and engines show in infrared only, cones and lamps in visible only")
    roots = {"m3fd": folder / "m3fd", "msrs": folder / "msrs"}
    # The last files that each writer makes: a folder without them is what a killed run left.
    if not (roots["m3fd"] / "split.txt").is_file():
        _remove(roots["m3fd"])
        write_m3fd(roots["m3fd"], M3FD_SCENES, SEED, SIZE)
    if not (folder / "msrs-done").is_file():
        _remove(roots["msrs"])
        write_msrs(roots["msrs"], MSRS_TRAIN, MSRS_TEST, SEED, SIZE)
        write_text(folder / "msrs-done", "")
    return roots


def _remove(folder: Path) -> None:
    import shutil

    if folder.exists():
        shutil.rmtree(folder)


def _train_crossfuse(out: Path, scenes: dict[str, Path]) -> Path:
    from fuse2task.config import load_recipe
    from fusion.recipe import FusionRecipe
    from fusion.training.trainer import train

    say("2/4 CrossFuse: two auto-encoders, then cross attention and fusion decoder")
    overrides = [
        f"data.0.root={scenes['m3fd']}",
        f"data.0.split={scenes['m3fd'] / 'split.txt'}",
        f"data.1.root={scenes['msrs']}",
    ]
    return train(load_recipe(FusionRecipe, "fusion/crossfuse-demo", overrides), out / "crossfuse")


def _fuse(out: Path, scenes: dict[str, Path], layout: str, method: str, weights: Path) -> Path:
    from fuse2task.data.loading import load_dataset
    from fusion.dataset_writer import write_fused
    from fusion.methods import make_method

    say(f"3/4 {layout} scenes fused by {method}")
    split = str(scenes["m3fd"] / "split.txt") if layout == "m3fd" else None
    dataset = load_dataset(scenes[layout], layout, split=split)
    fused = out / "fused" / f"{layout}-{method}"
    write_fused(dataset, make_method(method, weights if method == "crossfuse" else None), fused)
    return fused


def _detection(out: Path, fused: Path, method: str) -> dict[str, Any]:
    from detection.evaluation import evaluate
    from detection.judge import load_judge
    from detection.prediction import predict
    from detection.recipe import DetectionRecipe
    from detection.training import train
    from fuse2task.config import load_recipe
    from fuse2task.data.fused import open_fused

    say(f"4/4 YOLO-n trained on {method}")
    run, metrics_file = out / "detection" / method, out / "detection" / f"{method}.json"
    train(load_recipe(DetectionRecipe, "detection/yolo-n-demo", [f"data={fused}"]), run)
    if not metrics_file.is_file():
        dataset = open_fused(fused)
        results, left_out = predict(dataset, "test", load_judge(run / "best.safetensors"), None)
        write_json(metrics_file, evaluate(dataset.annotations("test"), results, left_out=left_out), sort_keys=False)
    metrics = read_json(metrics_file, "metrics file")
    return {"AP50": metrics["AP50"], "AP": metrics["AP"]} | {
        f"AP50 {name}": row["AP50"] for name, row in metrics["per_class"].items()
    }


def _segmentation(out: Path, fused: Path, method: str) -> dict[str, Any]:
    from fuse2task.config import load_recipe
    from fuse2task.data.fused import open_fused
    from fuse2task.runtime.device import pick_device
    from segmentation.evaluation import evaluate
    from segmentation.model import load_segmenter
    from segmentation.prediction import predict
    from segmentation.recipe import SegmentationRecipe
    from segmentation.training import train

    say(f"4/4 U-Net trained on {method}")
    run, metrics_file = out / "segmentation" / method, out / "segmentation" / f"{method}.json"
    best = train(load_recipe(SegmentationRecipe, "segmentation/unet-demo", [f"data={fused}"]), run)
    if not metrics_file.is_file():
        dataset = open_fused(fused)
        masks = out / "segmentation" / f"{method}-masks"
        predict(load_segmenter(best, pick_device("auto")), dataset, "test", masks)
        write_json(metrics_file, evaluate(dataset.root / "masks" / "test", masks, dataset.classes), sort_keys=False)
    metrics = read_json(metrics_file, "metrics file")
    return {"mIoU": metrics["mIoU"]} | {f"IoU {name}": row["IoU"] for name, row in metrics["per_class"].items()}


def _write_summary(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(out / "summary.csv", text.getvalue())
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(_shown(value) for value in row.values()) + " |" for row in rows]
    note = "Synthetic scenes, one seed, minutes of training: a look at the loop, not a ranking of methods. Fractions."
    write_text(out / "summary.md", "\n".join([note, "", *lines, ""]))


def _write_sheet(out: Path, columns: int = 4) -> None:
    """One labelled row per method (both tasks), the same test scenes in each column, by day and by night in turn."""
    import cv2

    sheet = []
    for layout in ("m3fd", "msrs"):
        for method in METHODS:
            images = sorted((out / "fused" / f"{layout}-{method}" / "images" / "test").glob("*.png"))
            # Every other scene is by night.
            picked = [
                images[min(number * len(images) // columns // 2 * 2 + number % 2, len(images) - 1)]
                for number in range(columns)
            ]
            row = np.concatenate([read_visible(path) for path in picked], axis=1)
            cv2.putText(row, method, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 0), 1, cv2.LINE_AA)
            sheet.append(row)
    write_image(out / "sheet.png", np.concatenate(sheet, axis=0))


def _print(rows: Sequence[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for title, part in (("Detection, test scenes: COCO AP", "AP"), ("Segmentation, test scenes: IoU", "IoU")):
        table = Table("", *(row["method"] for row in rows), title=title)
        for key in (key for key in rows[0] if part in key):
            table.add_row(key, *(_shown(row[key]) for row in rows))
        console.print(table)


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
