"""What a judge is known by: resolved recipe, hashes and input size, before any work is done."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuse2task.bench.datasets import BenchDataset
from fuse2task.bench.recipe import JudgeSection
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import file_digest, value_hash
from fuse2task.training.run_folder import NOT_DECISIVE

# Not part of a judge's hash: which images, which repetition, which machine.
NOT_HASHED = ("data", "seed", *NOT_DECISIVE)


@dataclass(frozen=True)
class Judge:
    """A judge on one dataset.

    hash: first 12 hex digits of the sha256 of frozen weights; hash of the recipe of a trained judge, the same
    for all methods (with that of the images it was trained on, where it is trained on one method and frozen).
    recipe_hash: of all that was decided about training and prediction. image_size: side of the square input in
    pixels (detection), or size of the images (segmentation predicts whole images).
    """

    name: str
    section: JudgeSection
    hash: str
    recipe_hash: str
    image_size: str


def identify(name: str, section: JudgeSection, data: BenchDataset, trained_on: Mapping[str, Any]) -> Judge:
    """The judge called `name` on a dataset. trained_on: hashes of what a frozen judge is trained on, if it is.

    Raises:
        RequestError: no such weights, recipe or class map, or classes that do not match the truth.
    """
    find = _detection if section.task == "detection" else _segmentation
    return find(name, section, data, trained_on)


def training_recipe(section: JudgeSection, fused: Path, seed: int, device: str) -> Any:
    """The checked recipe of a judge's training on the fused dataset in `fused`.

    Raises:
        RequestError: as `load_recipe`.
    """
    from fuse2task.config import load_recipe

    assert section.recipe is not None
    decided = {"data": str(fused), "seed": seed, "device": device}
    clash = sorted({key.split(".")[0] for key in section.overrides} & decided.keys())
    if clash:
        raise RequestError(f"judge recipe {section.recipe}: the benchmark sets {', '.join(clash)}; take that out of "
                           "overrides")  # fmt: skip
    overrides = [f"{key}={json.dumps(value)}" for key, value in {**section.overrides, **decided}.items()]
    if section.task == "detection":
        from detection.recipe import DetectionRecipe

        return load_recipe(DetectionRecipe, section.recipe, overrides)
    from segmentation.recipe import SegmentationRecipe

    return load_recipe(SegmentationRecipe, section.recipe, overrides)


def on_device(weights: Path, device: str) -> str:
    """The device for judge weights: ONNX runs on the CPU wherever the rest runs."""
    return "cpu" if weights.suffix == ".onnx" else device


def _detection(name: str, section: JudgeSection, data: BenchDataset, trained_on: Mapping[str, Any]) -> Judge:
    from detection.classes import load_class_map, match_classes
    from detection.judge import CONFIDENCE, MAX_BOXES, NMS_IOU

    class_map = load_class_map(section.class_map) if section.class_map else None
    decided = {"class_map": class_map, "confidence": CONFIDENCE, "nms": NMS_IOU, "boxes": MAX_BOXES}
    classes = data.truths[0].classes
    if section.weights is not None:
        from detection.judge import load_judge

        loaded = load_judge(section.weights, "cpu")
        match_classes(loaded.names, _numbered(classes), class_map, section.class_map or "the class map")
        return Judge(name, section, loaded.hash, value_hash(decided), str(loaded.image_size))
    recipe = training_recipe(section, Path("data"), 0, "auto")
    match_classes(classes, _numbered(classes), class_map, section.class_map or "the class map")
    decided |= {"recipe": _hashable(recipe)}
    return Judge(name, section, _trained_hash(recipe, trained_on), value_hash(decided), str(recipe.image_size))


def _segmentation(name: str, section: JudgeSection, data: BenchDataset, trained_on: Mapping[str, Any]) -> Judge:
    if section.weights is not None:
        import torch

        from segmentation.model import load_segmenter

        known = load_segmenter(section.weights, torch.device("cpu")).classes
        if known != data.truths[0].classes:
            raise RequestError(
                f"{section.weights}: knows the classes {', '.join(known)}; the truth of {data.name} has "
                f"{', '.join(data.truths[0].classes)}"
            )
        return Judge(name, section, file_digest(section.weights)[:12], value_hash({"whole_images": True}), data.size)
    recipe = training_recipe(section, Path("data"), 0, "auto")
    decided = {"whole_images": True, "recipe": _hashable(recipe)}
    return Judge(name, section, _trained_hash(recipe, trained_on), value_hash(decided), data.size)


def _numbered(classes: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(classes, 1)}


def _trained_hash(recipe: Any, trained_on: Mapping[str, Any]) -> str:
    return value_hash({"recipe": _hashable(recipe), **trained_on})


def _hashable(recipe: Any) -> dict[str, Any]:
    """The recipe without what is not decisive; files of first weights by content, not by path."""
    values = {key: value for key, value in recipe.model_dump(mode="json").items() if key not in NOT_HASHED}
    for key in ("weights", "encoder_weights"):
        if values.get(key) and Path(values[key]).is_file():
            values[key] = file_digest(Path(values[key]))
    return values
