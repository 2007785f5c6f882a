"""Training a detector on a fused dataset, offline, into a run folder: by Ultralytics or by torchvision."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml

from detection.coco import read_truth
from detection.judge import load_judge, predict_image
from detection.recipe import DetectionRecipe
from detection.weights import TORCHVISION_FORMAT, load_network, save_network
from fuse2task.data.class_maps import match_classes
from fuse2task.data.dataset import validation_split
from fuse2task.data.fused import FusedDataset, open_fused, verify_images, verify_truth
from fuse2task.data.images import as_rgb, read_visible, write_image
from fuse2task.runtime.checkpoints import load_checkpoint
from fuse2task.runtime.compute import pick_device
from fuse2task.runtime.errors import Fuse2TaskError, RequestError, write_failure
from fuse2task.runtime.files import refuse_overlap, value_hash, write_bytes
from fuse2task.runtime.locks import removed
from fuse2task.runtime.packages import quiet_ultralytics, versions
from fuse2task.runtime.progress import Meter, say
from fuse2task.runtime.reading import read_csv
from fuse2task.runtime.records import training_inputs
from fuse2task.training.run_folder import RunFolder

SAMPLES, SHOWN = 4, 0.25  # pictures of a run, and the score from which a prediction is drawn in them
TRUTH, PREDICTION = (0, 200, 0), (255, 140, 0)  # RGB
BEST_ON_VAL = "best epoch on val by Ultralytics' fitness"
LAST_EPOCH = "last epoch, since the dataset has no val split"
NO_OBJECTS = "last epoch, since the val split has no boxes"


def train(recipe: DetectionRecipe, folder: Path) -> dict[str, Any]:
    """Train by `recipe` into `folder` and return the run's card.

    The folder gets recipe.yaml, log.csv (a row an epoch), samples/, best and last as .safetensors (ours, no
    pickle) and of YOLO as .pt (Ultralytics'), card.json. `best` is the best epoch on val, of YOLO by Ultralytics'
    fitness, of torchvision's networks by COCO AP; a dataset without val, or without boxes in it, has no selection,
    since the test split must not decide: best is the last epoch.
    A finished run is not trained again; an interrupted one starts over from its seed, or, of torchvision's networks,
    resumes after its last epoch: either ends in the same weights.

    RequestError: no train split or no boxes in it, unknown model, missing or unlike weights, a folder of another recipe
    or dataset, amp without a GPU that has bfloat16. Fuse2TaskError: out of memory, or a loss that is not finite.
    """
    dataset = open_fused(Path(recipe.data))
    data_hash, selects = value_hash(dataset.manifest), _selecting_split(dataset)
    refuse_overlap(folder, *dataset.parts)
    if "train" not in dataset.splits:
        there = ", ".join(dataset.splits)
        raise RequestError(f"{dataset.root}: no train split (it has {there}); fuse one with a --split that has it")
    boxes = _count_boxes(dataset, "train")
    if not boxes:
        path = dataset.annotations("train")
        raise RequestError(f"{path}: no boxes in the train split; there is nothing to learn")
    used = [split for split in ("train", selects) if split in dataset.splits]
    verify_images(dataset, used)
    verify_truth(dataset, used)
    about = {
        "format": "fuse2task.detection-run", "version": 1, "seed": recipe.seed, "classes": list(dataset.classes),
        "data": {
            "manifest_hash": data_hash, "train_images": len(dataset.ids("train")), "train_boxes": boxes,
            **{key: dataset.manifest.get(key) for key in ("method", "truth", "split", "color")},
        },
    }  # fmt: skip
    without = NO_OBJECTS if validation_split(dataset.splits) else LAST_EPOCH
    if recipe.is_torchvision:
        return _train_torchvision(recipe, dataset, folder, about, without)
    overrides = _overrides(recipe)
    initial = load_network(Path(recipe.weights)).module if recipe.weights else None
    run = RunFolder(folder, recipe.model_dump(mode="json"))
    sources = training_inputs(recipe.model_dump(mode="json"), data_hash)
    if run.is_trained(sources):
        return run.card()
    with run.held():
        run.keep_rows(0)
        work = run.resume / "ultralytics"
        if work.exists():
            say(f"{run.root}: interrupted before; training starts again from seed {recipe.seed}")
            shutil.rmtree(work)
        trainer = _run_trainer(recipe, dataset, overrides, initial, run)
        hashes = {}
        for name, source, target in (("best", trainer.best, run.best), ("last", trainer.last, run.last)):
            hashes[name] = save_network(target, source, recipe.image_size, recipe.model_dump(mode="json"))
            write_bytes(target.with_suffix(".pt"), source.read_bytes())
        _write_samples(run.best, run.samples, dataset, selects or "train")
        card = {
            **about, "made_of": sources, "selection": BEST_ON_VAL if selects else without,
            "epochs": len(run.rows()), "tensor_hash": hashes, "native": _native(trainer) if selects else None,
            "parameters": sum(tensor.numel() for tensor in load_network(run.best).module.parameters()),
            "versions": versions(),
        }  # fmt: skip
        shutil.rmtree(work)
        run.finish(card)
    return card


def _train_torchvision(
    recipe: DetectionRecipe, dataset: FusedDataset, folder: Path, about: dict[str, Any], without: str
) -> dict[str, Any]:
    from detection.torchvision_training import BEST_ON_VAL as BY_AP
    from detection.torchvision_training import TorchvisionStage
    from fuse2task.training.loop import TrainingRun

    selects, training = _selecting_split(dataset), TrainingRun(recipe, folder, recipe.workers)
    run = training.folder

    def draw() -> None:
        _write_samples(run.best, run.samples, dataset, selects or "train")

    def card(counters: Mapping[str, Any]) -> dict[str, Any]:
        hashes = {name: load_checkpoint(path, TORCHVISION_FORMAT)[1]["tensor_hash"]
                  for name, path in (("best", run.best), ("last", run.last))}  # fmt: skip
        return {
            **about, "selection": BY_AP if selects else without, "best_epoch": counters["best_epoch"],
            "val_AP": -counters["best"] if selects else None, "epochs": len(run.rows()), "tensor_hash": hashes,
            "native": None, "parameters": stage.parameters,
        }  # fmt: skip

    stage = TorchvisionStage(recipe, dataset, selects, draw)
    # Gradients of untrained layers are often too small for a normal float, and such numbers slow a CPU tenfold.
    torch.set_flush_denormal(True)
    try:
        training.train(lambda: [stage], card, about["data"]["manifest_hash"])
    finally:
        torch.set_flush_denormal(False)
    return run.card()


def _selecting_split(dataset: FusedDataset) -> str | None:
    """The validation split, where it has boxes: without any, each epoch scores 0 and the first would be the best."""
    split = validation_split(dataset.splits)
    return split if split and _count_boxes(dataset, split) else None


def _count_boxes(dataset: FusedDataset, split: str) -> int:
    return sum(not item["iscrowd"] for item in read_truth(dataset.annotations(split))["annotations"])


def _run_trainer(
    recipe: DetectionRecipe, dataset: FusedDataset, overrides: dict[str, Any], initial: torch.nn.Module | None,
    run: RunFolder,
) -> Any:  # fmt: skip
    """Train with Ultralytics in `run.resume`/ultralytics, logging every epoch; returns its finished trainer."""
    from detection.trainer import StrictRTDETRTrainer, StrictTrainer

    kind = StrictRTDETRTrainer if _head(recipe.model) == "RTDETRDecoder" else StrictTrainer
    work, root, selects = run.resume / "ultralytics", dataset.root.resolve(), _selecting_split(dataset)
    validation = selects or "train"
    work.mkdir(parents=True)
    data_file = work / "data.yaml"
    content = {"path": str(root), "train": "images/train", "val": f"images/{validation}"}
    data_file.write_text(yaml.safe_dump({**content, "names": dict(enumerate(dataset.classes))}), "utf-8")
    folders = {"data": str(data_file), "project": str(run.resume.resolve()), "name": work.name}
    expected = {root / "images" / split: dataset.ids(split) for split in {"train", validation}}

    def epoch_done(trainer: StrictTrainer) -> None:
        trainer.refuse_changes(recipe.batch)
        # The newest row of Ultralytics' results.csv; its validation columns say nothing without a val split.
        row = read_csv(trainer.csv)[1][-1]
        row = {key: value for key, value in row.items() if selects or not key.startswith(("metrics/", "val/"))}
        if len(run.rows()) < int(row["epoch"]):  # also called once after the last epoch
            run.log(row)
            meter.advance(note=f"mAP50-95 {row['metrics/mAP50-95(B)']} (native)" if selects else "")

    threads = torch.get_num_threads()
    with Meter(f"train {recipe.model}", recipe.epochs, "epochs") as meter:
        try:
            trainer = kind({**overrides, **folders, "val": selects is not None}, expected, initial)
            torch.set_num_threads(threads)  # on a CPU Ultralytics leaves one core idle: half of two
            trainer.add_callback("on_train_epoch_start", lambda trainer: trainer.refuse_changes(recipe.batch))
            trainer.add_callback("on_fit_epoch_end", epoch_done)
            try:
                trainer.train()
            except Exception as error:
                failure = _failure(error, run)
                if failure is None:
                    raise
                raise failure from error
        finally:
            torch.set_num_threads(threads)
    return trainer


def _failure(error: Exception, run: RunFolder) -> Fuse2TaskError | None:
    """The readable failure, by the run's folder, where Ultralytics cannot write or finds its own gone."""
    if run.is_begun:
        return write_failure(error, run.resume, run.resume)
    # Ultralytics makes folders again; what it put there would look like no run.
    shutil.rmtree(run.resume, ignore_errors=True)
    with suppress(OSError):
        run.root.rmdir()
    return removed(run.root)


def _head(model: str) -> str | None:
    """The last layer of a model file of Ultralytics', None where it is no such file."""
    quiet_ultralytics()
    from ultralytics.nn.tasks import yaml_model_load

    try:
        return yaml_model_load(model)["head"][-1][2] if "://" not in model else None
    except (FileNotFoundError, KeyError, IndexError, TypeError):
        return None


def _overrides(recipe: DetectionRecipe) -> dict[str, Any]:
    device = pick_device(recipe.device)
    if recipe.amp and (device.type != "cuda" or not torch.cuda.is_bf16_supported()):
        raise RequestError(f"amp=true needs a GPU with bfloat16, the device is {device}; give amp=false")
    if _head(recipe.model) not in ("Detect", "v10Detect", "RTDETRDecoder"):
        known = "neither here nor among Ultralytics' (yolov8n.yaml, say)"
        raise RequestError(f"model {recipe.model}: not a detector's model file, {known}")
    ours = {"data", "model", "weights", "image_size", "amp", "device", "cache"}
    return {
        **recipe.model_dump(exclude=ours),
        "task": "detect", "mode": "train", "model": recipe.model, "imgsz": recipe.image_size,
        "device": str(device), "amp": "bf16" if recipe.amp else False,
        "cache": "ram" if recipe.cache else False,
        # Empty, not absent: else the mere presence of albumentations adds blur, grey and CLAHE.
        "augmentations": [],
        "pretrained": False, "deterministic": True, "plots": False, "save": True, "exist_ok": True,
        "verbose": False, "max_det": 300,
    }  # fmt: skip


def _native(trainer: Any) -> dict[str, Any]:
    # Ultralytics' AP is not COCO's: another interpolation, rectangular batches, several labels a box.
    metrics = trainer.validator.metrics
    means = {key.removesuffix("(B)"): float(value) for key, value in trainer.metrics.items()}
    mean = {key.removeprefix("metrics/"): value for key, value in means.items() if key.startswith("metrics/")}
    per_class = {
        metrics.names[int(index)]: {"mAP50": float(metrics.box.ap50[row]), "mAP50-95": float(metrics.box.ap[row])}
        for row, index in enumerate(metrics.ap_class_index)
    }
    definition = "Ultralytics' own validator on val, fractions; not comparable with COCO AP"
    return {"definition": definition, **mean, "per_class": per_class}


def _write_samples(best: Path, folder: Path, dataset: FusedDataset, split: str) -> None:
    """Draw the first images of `split` that have boxes into `folder`: truth green, predictions of the weights `best`
    orange with their score."""
    truth = read_truth(dataset.annotations(split))
    names = {item["id"]: item["name"] for item in truth["categories"]}
    judge = load_judge(best, "cpu")
    matching = match_classes(judge.names, {name: number for number, name in names.items()})
    image_ids = {Path(image["file_name"]).stem: image["id"] for image in truth["images"]}
    boxes: dict[Any, list[dict[str, Any]]] = {}
    for item in (item for item in truth["annotations"] if not item["iscrowd"]):
        boxes.setdefault(item["image_id"], []).append(item)
    for path in [path for path in dataset.images(split) if image_ids[path.stem] in boxes][:SAMPLES]:
        pixels, image_id = np.ascontiguousarray(as_rgb(read_visible(path))), image_ids[path.stem]
        found = [item for item in predict_image(judge, matching, path, image_id) if item["score"] >= SHOWN]
        for item in [*boxes[image_id], *found]:
            x, y, width, height = item["bbox"]
            left, top, colour = round(x), round(y), PREDICTION if "score" in item else TRUTH
            text = names[item["category_id"]] + (f" {item['score']:.2f}" if "score" in item else "")
            cv2.rectangle(pixels, (left, top), (round(x + width), round(y + height)), colour, 1)
            cv2.putText(pixels, text, (left, max(top - 2, 8)), cv2.FONT_HERSHEY_SIMPLEX, 0.35, colour, 1)
        write_image(folder / path.name, pixels)
