"""torchvision's detectors: recipe, samples, training, weights and judging, on toy datasets of 64-pixel images."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from pydantic import ValidationError

from detection import torchvision_training, training
from detection.judge import load_judge
from detection.recipe import TORCHVISION, DetectionRecipe
from detection.torchvision_networks import build, build_from, load_torchvision
from detection.torchvision_training import Samples, Wrapped, augment
from detection.training import train
from fuse2task.data.fused import open_fused
from fuse2task.data.images import read_visible
from fuse2task.runtime.errors import RequestError

SMALL = "ssdlite320_mobilenet_v3_large"
RCNN = "fasterrcnn_mobilenet_v3_large_320_fpn"


def recipe(data: Path | str, **values) -> DetectionRecipe:
    quick = {
        "model": SMALL,
        "image_size": 64,
        "epochs": 2,
        "batch": 2,
        "device": "cpu",
        "warmup_epochs": 0,
        "workers": 1,
    }
    return DetectionRecipe(data=str(data), **{**quick, **values})


@pytest.fixture
def with_empty(write_fused: Callable[..., Path], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Three training images of other sizes, one without objects, and one to validate on."""
    draw = np.random.default_rng(0)

    def image(height: int, width: int) -> np.ndarray:
        return draw.integers(0, 255, (height, width, 3), dtype=np.uint8)

    train = {
        "a": (image(48, 64), [("bar", 4, 6, 24, 12), ("pole", 40, 10, 12, 24)]),
        "empty": (image(64, 40), []),
        "z": (image(64, 64), [("pole", 3, 30, 12, 24)]),
    }
    splits = {"train": train, "val": {"v": (image(64, 64), [("bar", 8, 8, 24, 12)])}}
    return write_fused(tmp_path / "fused", ("bar", "pole"), splits)


def test_a_recipe_holds_the_keys_of_its_engine() -> None:
    ours = recipe("OUT")
    kept = ours.model_dump(mode="json")
    assert not kept.keys() & {"mosaic", "nbs", "patience"}
    assert kept["lr0"] == 0.01
    assert DetectionRecipe(**kept) == ours
    assert DetectionRecipe(data="OUT").model_dump()["mosaic"] == 1.0
    with pytest.raises(ValidationError, match=r"mosaic, nbs: of YOLO alone"):
        recipe("OUT", mosaic=0.0, nbs=8)
    with pytest.raises(ValidationError, match="model"):
        recipe("OUT", model="fasterrcnn_resnet999")


def test_samples_are_letterboxed_with_their_boxes(with_empty: Path) -> None:
    still = {"scale": 0, "translate": 0, "fliplr": 0, "hsv_h": 0, "hsv_s": 0, "hsv_v": 0}
    samples = Samples(open_fused(with_empty), recipe(with_empty, **still))
    image, boxes, labels, number = samples[0, 0]
    assert number == 0
    np.testing.assert_array_equal(boxes, [[4, 14, 28, 26], [40, 18, 52, 42]])  # eight rows of border above and below
    assert labels.tolist() == [1, 2]  # 0 is the background
    np.testing.assert_array_equal(image[:, :8], 114)
    pixels = read_visible(with_empty / "images" / "train" / "a.png")
    np.testing.assert_array_equal(image[:, 8:56], pixels.transpose(2, 0, 1))
    assert [samples[0, number][2].tolist() for number in (1, 2)] == [[0, 0], [2, 0]]


def test_augmentation_moves_boxes_with_the_pixels() -> None:
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[20:40, 10:50] = (200, 40, 40)
    table = np.array([[10, 20, 50, 40, 2], [0, 0, 0.5, 60, 1]], np.float32)  # the second has hardly any width
    moving = recipe("OUT", image_size=96, scale=0.3, translate=0.1, flipud=0.5, hsv_s=0.2, hsv_v=0.1)
    places = set()
    for number in range(12):
        image, found = augment(pixels, table, moving, np.random.default_rng(number))
        again, _ = augment(pixels, table, moving, np.random.default_rng(number))
        np.testing.assert_array_equal(image, again)
        ((*box, label),) = found
        assert label == 2
        rows, columns = np.nonzero((image.astype(int).max(axis=2) - image.min(axis=2)) > 60)
        drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(box, drawn, atol=1.5)
        places.add(tuple(box))
    assert len(places) == 12


@pytest.mark.slow
@pytest.mark.parametrize("model", TORCHVISION)
def test_every_network_trains_and_judges(model: str, with_empty: Path, tmp_path: Path) -> None:
    """One image a batch, one of them without objects."""
    card = train(recipe(with_empty, model=model, epochs=1, batch=1, image_size=64), tmp_path / "run")
    assert card == json.loads((tmp_path / "run" / "card.json").read_text())
    assert (card["format"], card["epochs"], card["classes"]) == ("fuse2task.detection-run", 1, ["bar", "pole"])
    assert card["selection"] == torchvision_training.BEST_ON_VAL
    assert (tmp_path / "run" / "samples" / "v.png").is_file()
    judge = load_judge(tmp_path / "run" / "best.safetensors", "cpu")
    assert (judge.names, judge.image_size) == (("bar", "pole"), 64)
    found = judge.predict(np.zeros((48, 64, 3), np.uint8), [1])
    assert found.shape[1] == 6
    assert set(found[:, 5]) <= {1.0}
    assert load_torchvision(tmp_path / "run" / "last.safetensors").model == model


def test_the_judge_gives_what_torchvision_gives(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = build(SMALL, ("bar", "pole"), 64)
    network.module.eval()
    network.save(tmp_path / "w.safetensors", {})
    judge, image = load_judge(tmp_path / "w.safetensors", "cpu"), np.random.default_rng(0).integers(
        0, 255, (64, 64, 3), dtype=np.uint8
    )  # fmt: skip
    found = judge.predict(np.ascontiguousarray(image[..., ::-1]), [0, 1])
    with torch.inference_mode():
        (expected,) = network.module([torch.from_numpy(image.transpose(2, 0, 1)).float() / 255])
    assert 0 < len(found) <= 300
    np.testing.assert_allclose(found[:, :4], expected["boxes"], atol=1e-4)
    np.testing.assert_allclose(found[:, 4], expected["scores"], atol=1e-6)
    np.testing.assert_array_equal(found[:, 5], expected["labels"] - 1)
    assert (np.diff(found[:, 4]) <= 0).all()


@pytest.mark.slow
def test_an_interrupted_run_resumes_to_the_same_weights(
    with_empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = train(recipe(with_empty, model=RCNN), tmp_path / "a")
    save = torchvision_training.TorchvisionStage.draws

    def killed(self, epoch: int):
        if epoch:
            raise KeyboardInterrupt
        return save(self, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(torchvision_training.TorchvisionStage, "draws", killed)
        with pytest.raises(KeyboardInterrupt):
            train(recipe(with_empty, model=RCNN), tmp_path / "b")
    assert not (tmp_path / "b" / "card.json").exists()
    assert train(recipe(with_empty, model=RCNN), tmp_path / "b")["tensor_hash"] == undisturbed["tensor_hash"]


@pytest.mark.slow
def test_validation_ap_chooses_the_checkpoint(
    with_empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = iter([0.1, 0.5, 0.2])
    monkeypatch.setattr(torchvision_training, "evaluate", lambda *_: {"AP": next(given), "AP50": 0.0})
    card = train(recipe(with_empty, epochs=3), tmp_path / "run")
    assert (card["best_epoch"], card["val_AP"]) == (2, 0.5)
    assert card["tensor_hash"]["best"] != card["tensor_hash"]["last"]
    assert train(recipe(with_empty, epochs=3), tmp_path / "run") == card  # already trained


@pytest.mark.slow
def test_without_val_the_last_epoch_counts(toy_fused: Callable[..., Path], tmp_path: Path) -> None:
    card = train(recipe(toy_fused(train=3, test=1), epochs=1), tmp_path / "run")
    assert (card["selection"], card["val_AP"]) == (training.LAST_EPOCH, None)
    assert card["tensor_hash"]["best"] == card["tensor_hash"]["last"]


def test_starts_from_local_weights(tmp_path: Path) -> None:
    backbone = torchvision.models.mobilenet_v3_large(weights=None)
    torch.save(backbone.state_dict(), tmp_path / "imagenet.pth")
    found = build_from(RCNN, ("bar", "pole"), 64, tmp_path / "imagenet.pth").module
    own, given = found.state_dict(), backbone.state_dict()
    for name in ("4.block.0.0.weight", "16.1.running_var"):
        torch.testing.assert_close(own[f"backbone.body.{name}"], given[f"features.{name}"])
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in found.modules())  # frozen, as torchvision does

    coco = build(RCNN, [str(number) for number in range(90)], 64)
    coco.save(tmp_path / "coco.safetensors", {})
    found = build_from(RCNN, ("bar", "pole"), 64, tmp_path / "coco.safetensors").module
    torch.testing.assert_close(found.rpn.head.cls_logits.weight, coco.module.rpn.head.cls_logits.weight)
    assert found.roi_heads.box_predictor.cls_score.out_features == 3
    with pytest.raises(RequestError, match="not weights of fcos_resnet50_fpn"):
        build_from("fcos_resnet50_fpn", ("bar",), 64, tmp_path / "coco.safetensors")
    with pytest.raises(RequestError, match=r"resnet\.pth: no such weights file; nothing is downloaded"):
        build_from("fcos_resnet50_fpn", ("bar",), 64, tmp_path / "resnet.pth")


def test_an_image_without_objects_has_losses() -> None:
    network = Wrapped(build(SMALL, ("bar", "pole"), 64).module)
    losses = network(torch.zeros(1, 3, 64, 64), torch.zeros(1, 2, 4), torch.zeros(1, 2, dtype=torch.int64))
    assert all(torch.isfinite(value) for value in losses.values())


def test_damaged_weights(tmp_path: Path) -> None:
    network = build(SMALL, ("bar",), 64)
    network.save(tmp_path / "w.safetensors", {})
    from fuse2task.runtime.checkpoints import save_checkpoint

    about = {"model": "resnet18", "names": ["bar"], "image_size": 64, "frozen_norms": False}
    save_checkpoint(tmp_path / "other.safetensors", network.module.state_dict(), "fuse2task.torchvision", **about)
    with pytest.raises(RequestError, match="not readable as a detector of torchvision"):
        load_judge(tmp_path / "other.safetensors")
    about |= {"model": SMALL, "names": ["bar", "pole"]}
    save_checkpoint(tmp_path / "more.safetensors", network.module.state_dict(), "fuse2task.torchvision", **about)
    with pytest.raises(RequestError, match="weights of another network"):
        load_judge(tmp_path / "more.safetensors")
