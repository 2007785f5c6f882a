"""Every reader of fuse2task as a function of one bad file, and bad dataset trees."""

import contextlib
import functools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
import valid_files as formats
import yaml
from damage import put

from fuse2task.data.dataset import Pair

PAIRS = tuple(Pair(f"p{n}", "test", Path(f"ir/p{n}.png"), Path(f"vi/p{n}.png"), (40, 32)) for n in (1, 2))


@dataclass(frozen=True)
class Reader:
    """format: what its file is. read: (file, output folder) -> reads it and does with it what commands do."""

    name: str
    format: str
    read: Callable[[Path, Path], Any]
    file: str = ""


def readers() -> dict[str, Reader]:
    """By name; imports are done when a reader is called first."""
    found = [
        Reader("VOC", "VOC", _voc, "p1.xml"), Reader("YOLO", "YOLO", _yolo, "p1.txt"),
        Reader("COCO annotations", "COCO truth", _coco), Reader("COCO truth", "COCO truth", _truth),
        Reader("COCO results", "COCO results", _results), Reader("mask", "PNG", _mask),
        Reader("infrared PNG", "PNG", _infrared), Reader("visible JPEG", "JPEG", _visible),
        Reader("split list", "split list", _split), Reader("class list", "class list", _class_list),
        Reader("class list (masks)", "class list", _mask_classes), Reader("scenes", "scenes", _scenes),
        Reader("class map", "class map", _class_map), Reader("manifest", "manifest", _manifest, "manifest.json"),
        Reader("fusion recipe", "fusion recipe", _recipe("fusion.recipe", "FusionRecipe")),
        Reader("detection recipe", "detection recipe", _recipe("detection.recipe", "DetectionRecipe")),
        Reader("segmentation recipe", "segmentation recipe", _recipe("segmentation.recipe", "SegmentationRecipe")),
        Reader("bench recipe", "bench recipe", _recipe("fuse2task.bench.recipe", "BenchRecipe")),
        Reader("checkpoint", "safetensors", _checkpoint), Reader("training state", "safetensors", _state),
        Reader("YOLO safetensors", "YOLO weights", _judge), Reader("YOLO pt", "foreign weights", _judge, "a.pt"),
        Reader("ONNX judge", "ONNX", _judge), Reader("encoder weights", "foreign weights", _encoder, "a.pth"),
        Reader("release import", "foreign weights", _release), Reader("journal", "COCO results", _journal),
    ]  # fmt: skip
    return {reader.name: reader for reader in found}


def _voc(path: Path, _: Path) -> None:
    from fuse2task.data.truth.boxes import read_voc

    read_voc(path, PAIRS[:1])
    _raise(read_voc(path.parent, PAIRS[:1], ("person", "car"))[1])


def _yolo(path: Path, _: Path) -> None:
    from fuse2task.data.truth.boxes import format_yolo, read_yolo

    (path.parent / "classes.txt").write_text("person\ncar\n")
    truth, findings = read_yolo(path.parent, PAIRS[:1])
    _raise(findings)
    assert truth is not None
    format_yolo(truth.boxes["p1"], truth.classes, (40, 32))


def _coco(path: Path, _: Path) -> None:
    from fuse2task.data.truth.coco import coco_truth, count_coco, is_coco, read_coco
    from fuse2task.runtime.files import value_hash

    is_coco(path)
    truth, findings = read_coco(path, PAIRS)
    count_coco(path)
    _raise(findings)
    value_hash(coco_truth(PAIRS, truth))


def _truth(path: Path, _: Path) -> None:
    from detection.average_precision import evaluate

    found = path.with_name("found.json")
    found.write_text(json.dumps(formats.RESULTS))
    evaluate(path, found)


def _results(path: Path, _: Path) -> None:
    from detection.average_precision import evaluate
    from fuse2task.runtime.files import value_hash

    value_hash(evaluate(formats.COCO, path))


def _mask(path: Path, _: Path) -> None:
    from fuse2task.data.truth.masks import pixel_counts, read_masks

    pixel_counts(path)
    read_masks([path.parent], [Pair(path.stem, "test", path, path, (40, 32))], ("a", "b"))


def _infrared(path: Path, out: Path) -> None:
    from fuse2task.data.images import image_size, read_infrared, write_image

    image_size(path)
    write_image(out / "a.png", read_infrared(path))


def _visible(path: Path, _: Path) -> None:
    from fuse2task.data.images import image_size, read_visible

    image_size(path)
    read_visible(path)


def _split(path: Path, out: Path) -> None:
    from fuse2task.data.splits import read_split, resolve, write_split

    write_split(out / "again.txt", read_split(resolve(path) if path.exists() else path))


def _class_list(path: Path, _: Path) -> None:
    from fuse2task.data.classes import read_class_list

    read_class_list(path)


def _mask_classes(path: Path, _: Path) -> None:
    from segmentation.evaluation import class_names

    class_names(str(path))


def _scenes(path: Path, _: Path) -> None:
    from fuse2task.data.dataset import read_scenes

    read_scenes.cache_clear()
    read_scenes(path)


def _class_map(path: Path, _: Path) -> None:
    from fuse2task.data.class_maps import load_class_map, match_classes

    match_classes(("person", "auto", "dog"), {"person": 1, "car": 2}, load_class_map(str(path)), str(path))


def _manifest(path: Path, out: Path) -> None:
    from fuse2task.data.fused import open_fused, verify_images, verify_truth
    from fuse2task.runtime.errors import RequestError

    if path.name != "manifest.json":
        raise RequestError(f"{path.parent}: the reader chooses the name")
    dataset = open_fused(path.parent)
    for split in dataset.splits:
        for image in dataset.images(split):
            assert image.resolve().is_relative_to(path.parent.resolve()), image
            (out / image.name).write_bytes(b"")  # as predictions are named
    for check in (verify_images, verify_truth):
        check(dataset, dataset.splits)


def _recipe(module: str, name: str) -> Callable[[Path, Path], None]:
    def read(path: Path, _: Path) -> None:
        import importlib

        from fuse2task.config.recipes import load_recipe
        from fuse2task.runtime.files import value_hash

        recipe = load_recipe(
            getattr(importlib.import_module(module), name), str(path), ["seed=3"] if "seed" in name else []
        )
        values = recipe.model_dump(mode="json")
        value_hash(values)
        yaml.safe_dump(values)

    return read


def _checkpoint(path: Path, _: Path) -> None:
    from fuse2task.runtime.checkpoints import load_checkpoint, load_into

    tensors, _about = load_checkpoint(path, "fuse2task.toy")
    load_into(torch.nn.Linear(4, 3), tensors, path)


def _state(path: Path, _: Path) -> None:
    from fuse2task.training.run_folder import STATE, load_state, peek_counters, save_state

    module = torch.nn.Linear(4, 3)
    optimizer = torch.optim.Adam(module.parameters())
    save_state(path.parent, {"network": module}, optimizer, {"epoch": 1})
    if os.path.lexists(path):  # else a sound state is read
        path.with_name(STATE).unlink()
        path.rename(path.with_name(STATE))
    peek_counters(path.parent)
    load_state(path.parent, {"network": module}, optimizer)


def _judge(path: Path, _: Path) -> None:
    import numpy as np

    from detection.judge import load_judge
    from fuse2task.runtime.reading import trust_pickles

    trust_pickles()
    load_judge(path, "cpu").predict(np.zeros((32, 40, 3), np.uint8), [0])


def _encoder(path: Path, _: Path) -> None:
    from segmentation.encoder_weights import load_encoder_weights

    load_encoder_weights(torch.nn.Linear(4, 3), "resnet18", str(path))


def _release(path: Path, _: Path) -> None:
    from fusion.release import AUTOENCODER, read_model_file, rename

    rename(read_model_file(path), AUTOENCODER, path)


def _journal(path: Path, out: Path) -> None:
    from fuse2task.runtime.errors import RequestError
    from fuse2task.runtime.files import JournalWriter, journal_rows

    if path.is_file():
        rows = [{"id": f"p{n}", "image": "0" * 64} for n in range(3)]
        with JournalWriter(out / "journal-1-of-1.jsonl") as journal:
            for row in rows:
                journal.append(row)
        with (out / "journal-1-of-1.jsonl").open("ab") as handle, contextlib.suppress(OSError):
            handle.write(path.read_bytes()[: 10**6])  # damage behind sound rows
        assert journal_rows(out / "journal-1-of-1.jsonl") == rows
        with JournalWriter(out / "journal-1-of-1.jsonl") as journal:
            journal.append(rows[0])
    if journal_rows(path):
        raise RequestError(f"{path}: rows without their checksums were read")


def tree(folder: Path, rng: Random) -> None:
    """A small dataset of layout folder in which some files and names are not as they should be."""
    from fuse2task.data.images import write_image

    names = [
        "p1",
        "p2",
        "p 3",
        "é",
        "P1",
        "new\nline",
        "\x1b[2J",
        "\udcff",
        "a__b",
        ".hidden",
        "..",
        "-x",
        "x" * 240,
        "[b]",
    ]
    chosen = rng.sample(names, rng.randint(1, 4))
    for side in ("ir", "vi", "boxes"):
        (folder / side).mkdir(parents=True)
    for name in chosen:
        for side in ("ir", "vi"):
            if rng.random() < 0.93:
                write_image(folder / side / f"{name}.png", _pixels(side))
        (folder / "boxes" / f"{name}.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    (folder / "boxes" / "classes.txt").write_text("person\n")
    for _ in range(rng.randrange(3)):
        spot = folder / rng.choice(("ir", "vi", "boxes")) / rng.choice(("q.png", "q.txt", "q", "classes.txt"))
        if not os.path.lexists(spot):
            put(spot, b"0 0.5 0.5 0.25 0.25\n", rng)
    if rng.random() < 0.3:
        (folder / "ir" / "again").symlink_to(folder)
    if rng.random() < 0.3:
        (folder / "self").symlink_to("self")


def read_tree(folder: Path, out: Path) -> None:
    """Load the dataset strictly, and fuse it where it is sound."""
    from fuse2task.data.check import check_dataset
    from fuse2task.data.loading import load_dataset, scan_dataset
    from fusion.dataset_writer import write_fused
    from fusion.methods import make_method

    check_dataset(*scan_dataset(folder, "folder", boxes=folder / "boxes")).as_json()
    write_fused(load_dataset(folder, "folder", boxes=folder / "boxes"), make_method("average"), out / "fused")


@functools.cache
def _pixels(side: str) -> Any:
    import numpy as np

    rows, columns = np.mgrid[0:32, 0:40]
    plane = (rows * 7 + columns * 3).astype(np.uint8)
    return plane if side == "ir" else np.stack([plane, plane[::-1], plane[:, ::-1]], axis=-1)


def _raise(findings: Any) -> None:
    from fuse2task.runtime.errors import RequestError, listing

    if findings:
        raise RequestError(listing(finding.message for finding in findings))
