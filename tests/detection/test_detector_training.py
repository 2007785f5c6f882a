"""YOLO training on toy datasets of a few 64-pixel images."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open

from detection import training
from detection.average_precision import evaluate
from detection.judge import load_judge, predict
from detection.recipe import DetectionRecipe
from detection.training import train
from fuse2task.config.recipes import load_recipe, shipped_recipes
from fuse2task.data.fused import open_fused
from fuse2task.data.images import read_visible
from fuse2task.runtime.checkpoints import load_checkpoint
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.files import value_hash
from fuse2task.runtime.packages import quiet_ultralytics


def recipe(data: Path, **values) -> DetectionRecipe:
    quick = {
        "image_size": 64,
        "epochs": 2,
        "batch": 4,
        "device": "cpu",
        "warmup_epochs": 0,
        "close_mosaic": 0,
    }
    return DetectionRecipe(data=str(data), **{**quick, **values})


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_run_folder(toy_fused: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, run = toy_fused(train=6, val=3), tmp_path / "run"
    before = files(data)
    card = train(recipe(data, seed=7), run)
    assert files(data) == before  # no label cache, nothing else left in the data
    assert sorted(path.name for path in run.iterdir()) == [
        *("best.pt", "best.safetensors", "card.json", "last.pt", "last.safetensors"),
        *("log.csv", "recipe.yaml", "resume", "samples"),
    ]
    assert list((run / "resume").iterdir()) == []
    assert DetectionRecipe(**yaml.safe_load((run / "recipe.yaml").read_text())) == recipe(data, seed=7)
    rows = (run / "log.csv").read_text().splitlines()
    assert len(rows) == 3
    assert rows[0].startswith("epoch,time,train/box_loss")
    assert card == json.loads((run / "card.json").read_text())
    assert (card["seed"], card["epochs"], card["selection"]) == (7, 2, training.BEST_ON_VAL)
    assert card["data"]["manifest_hash"] == value_hash(open_fused(data).manifest)
    assert card["data"]["train_boxes"] == 9
    assert {"definition", "mAP50", "mAP50-95", "per_class"} <= card["native"].keys()
    assert card["parameters"] == sum(p.numel() for p in load_judge_parameters(run / "best.pt"))
    with safe_open(run / "best.safetensors", "pt") as handle:
        assert handle.metadata()["tensor_hash"] == card["tensor_hash"]["best"]

    samples = sorted((run / "samples").iterdir())
    assert [path.name for path in samples] == ["val00.png", "val01.png", "val02.png"]
    drawn = read_visible(samples[0])
    assert not np.array_equal(drawn, read_visible(data / "images" / "val" / "val00.png"))

    image = np.ascontiguousarray(read_visible(data / "images" / "val" / "val00.png")[..., ::-1])
    by_pickle, by_ours = (load_judge(run / f"best{kind}", "cpu") for kind in (".pt", ".safetensors"))
    assert by_ours.names == ("bar", "pole")
    assert by_ours.image_size == by_pickle.image_size == 64
    np.testing.assert_array_equal(by_pickle.predict(image, [0, 1]), by_ours.predict(image, [0, 1]))

    capsys.readouterr()
    times = {path: path.stat().st_mtime_ns for path in run.iterdir()}
    assert train(recipe(data, seed=7, workers=1), run) == card
    assert "already trained" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == times
    with pytest.raises(RequestError, match="different: epochs"):
        train(recipe(data, seed=7, epochs=3), run)
    manifest = json.loads((data / "manifest.json").read_text())
    (data / "manifest.json").write_text(json.dumps({**manifest, "method": {"name": "average", "hash": ""}}))
    with pytest.raises(RequestError, match="holds a training run of another dataset"):
        train(recipe(data, seed=7), run)


def load_judge_parameters(path: Path):
    return torch.load(path, weights_only=False)["model"].parameters()


@pytest.mark.slow
def test_interrupted_run_starts_again_to_the_same_weights(
    toy_fused: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = toy_fused(train=6, val=2)
    undisturbed = train(recipe(data, mosaic=0.5), tmp_path / "a")
    log = training.RunFolder.log

    def killed(self, row) -> None:
        log(self, row)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training.RunFolder, "log", killed)
        with pytest.raises(KeyboardInterrupt):
            train(recipe(data, mosaic=0.5), tmp_path / "b")
    assert not (tmp_path / "b" / "card.json").exists()
    assert any((tmp_path / "b" / "resume").iterdir())
    card = train(recipe(data, mosaic=0.5), tmp_path / "b")
    assert card["tensor_hash"] == undisturbed["tensor_hash"]
    assert len((tmp_path / "b" / "log.csv").read_text().splitlines()) == 3
    other = train(recipe(data, mosaic=0.5, seed=1), tmp_path / "c")
    assert other["tensor_hash"] != undisturbed["tensor_hash"]


@pytest.mark.slow
def test_without_val_the_last_epoch_counts_and_test_stays_shut(toy_fused: Callable[..., Path], tmp_path: Path) -> None:
    data = toy_fused(train=4, test=2)
    for path in (data / "images" / "test").iterdir():
        path.write_bytes(b"not to be opened")
    card = train(recipe(data), tmp_path / "run")
    assert card["selection"] == training.LAST_EPOCH
    assert card["native"] is None
    assert card["tensor_hash"]["best"] == card["tensor_hash"]["last"]
    assert "metrics" not in (tmp_path / "run" / "log.csv").read_text()
    assert {path.stem[:5] for path in (tmp_path / "run" / "samples").iterdir()} == {"train"}


@pytest.mark.slow
def test_a_val_without_boxes_selects_nothing(write_fused: Callable[..., Path], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 60, (64, 64, 3), dtype=np.uint8)
    drawn = {f"train{k}": (pixels, [("bar", 4, 4 + 9 * k, 24, 12)]) for k in range(4)}
    splits = {"train": drawn, "valid": {"valid0": (pixels, [])}}
    card = train(recipe(write_fused(tmp_path / "fused", ("bar", "pole"), splits)), tmp_path / "run")
    assert (card["selection"], card["native"]) == (training.NO_OBJECTS, None)
    assert card["tensor_hash"]["best"] == card["tensor_hash"]["last"]
    assert "metrics" not in (tmp_path / "run" / "log.csv").read_text()


@pytest.mark.slow
def test_starts_from_given_weights(toy_fused: Callable[..., Path], tmp_path: Path) -> None:
    data = toy_fused(train=4, val=1)
    first = train(recipe(data, epochs=1), tmp_path / "first")
    still = {"lr0": 1e-12, "epochs": 1, "batch": 4, "warmup_bias_lr": 0}
    weights = str(tmp_path / "first" / "last.safetensors")
    second = train(recipe(data, weights=weights, **still), tmp_path / "second")
    tensors = [
        load_checkpoint(tmp_path / name / "last.safetensors", "fuse2task.yolo")[0] for name in ("first", "second")
    ]
    moved = max(float((tensors[1][name].float() - value.float()).abs().max())
                for name, value in tensors[0].items() if name.endswith(("conv.weight", "bias")))  # fmt: skip
    assert first["tensor_hash"] != second["tensor_hash"]  # the running statistics moved on
    assert moved == 0
    with pytest.raises(RequestError, match="architecture is not that of model yolov8s"):
        train(recipe(data, weights=weights, model="yolov8s.yaml"), tmp_path / "third")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights": "yolov8n.pt"}, r"yolov8n\.pt: no such weights file; nothing is downloaded"),
        ({"model": "yolov99n.yaml"}, "not a detector's model file"),
        ({"model": "yolov8n-seg.yaml"}, "not a detector's model file"),
        ({"model": "https://example.org/yolov8n.yaml"}, "not a detector's model file"),
        ({"amp": True}, "amp=true needs a GPU"),
        ({"device": "cuda:77"}, "cannot be used here"),
    ],
)
def test_wrong_recipes(toy_fused: Callable[..., Path], tmp_path: Path, values: dict, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        train(recipe(toy_fused(train=2, val=1), **values), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_wrong_data(
    toy_fused: Callable[..., Path], reseal: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RequestError, match="no train split"):
        train(recipe(toy_fused(test=1)), tmp_path / "run")
    data = toy_fused(train=3, val=1)
    extra = data / "images" / "train" / "extra.png"
    extra.write_bytes((data / "images" / "train" / "train00.png").read_bytes())
    label = data / "labels" / "train" / "train00.txt"
    text = label.read_text()
    with pytest.raises(RequestError, match=r"extra\.png: manifest\.json does not name it"):
        train(recipe(data), tmp_path / "run")
    with monkeypatch.context() as unverified:  # what Ultralytics itself finds is held to the manifest as well
        for name in ("verify_images", "verify_truth"):
            unverified.setattr(training, name, lambda *_: None)
        with pytest.raises(RequestError, match="1 label files missing"):
            train(recipe(data), tmp_path / "run")
        (data / "labels" / "train" / "extra.txt").write_text("")
        with pytest.raises(RequestError, match=r"do not correspond to the manifest(?s:.)*extra"):
            train(recipe(data), tmp_path / "run")
    extra.unlink()
    with pytest.raises(RequestError, match=r"extra\.txt: manifest\.json does not name it"):
        train(recipe(data), tmp_path / "run")
    (data / "labels" / "train" / "extra.txt").unlink()
    label.write_text("0 1.5 0.5 0.1 0.1\n")
    with pytest.raises(RequestError, match=r"train00\.txt: altered"):
        train(recipe(data), tmp_path / "run")
    reseal(data)
    with pytest.raises(RequestError, match="1 images or label files unusable"):
        train(recipe(data), tmp_path / "run")
    label.write_text(text)
    truth = data / "annotations" / "train.json"
    truth.write_text(json.dumps({**json.loads(truth.read_text()), "annotations": []}))
    reseal(data)
    with pytest.raises(RequestError, match="no boxes in the train split"):
        train(recipe(data), tmp_path / "other")


def test_a_changed_batch_or_a_loss_that_is_not_finite_stops() -> None:
    from detection.trainer import StrictTrainer

    def state(batch: int, loss: float) -> SimpleNamespace:
        return SimpleNamespace(batch_size=batch, epoch=4, tloss={"box_loss": torch.tensor(loss)})

    StrictTrainer.refuse_changes(state(16, 1.0), 16)
    with pytest.raises(Fuse2TaskError, match="batch 16 does not fit"):
        StrictTrainer.refuse_changes(state(8, 1.0), 16)
    with pytest.raises(Fuse2TaskError, match=r"epoch 5: the loss is not finite \(box_loss\)"):
        StrictTrainer.refuse_changes(state(16, float("nan")), 16)


def test_no_hidden_augmentation(toy_fused: Callable[..., Path], tmp_path: Path) -> None:
    """Albumentations is installed, and Ultralytics would use it unasked."""
    quiet_ultralytics()
    from ultralytics.cfg import get_cfg
    from ultralytics.data.augment import Albumentations
    from ultralytics.data.build import build_yolo_dataset

    data = toy_fused(train=2)
    overrides = training._overrides(recipe(data))
    content = {"names": {0: "bar", 1: "pole"}, "channels": 3}

    def hidden(**values) -> list:
        dataset = build_yolo_dataset(get_cfg(overrides=values), str(data / "images" / "train"), 2, content)
        found = [step for step in flattened(dataset.transforms) if isinstance(step, Albumentations)]
        return [step.transform for step in found if step.transform is not None and step.transform.transforms]

    assert hidden(**{key: value for key, value in overrides.items() if key != "augmentations"})
    assert not hidden(**overrides)


def test_caching_images_writes_nothing_into_a_log(
    toy_fused: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    quiet_ultralytics()
    from ultralytics.cfg import get_cfg

    from detection.trainer import StrictDataset

    data = toy_fused(train=2)
    content = {"names": {0: "bar", 1: "pole"}, "channels": 3}
    capfd.readouterr()
    dataset = StrictDataset(
        str(data / "images" / "train"), imgsz=64, cache="ram", hyp=get_cfg(), data=content, task="detect"
    )
    assert all(image is not None for image in dataset.ims)
    assert capfd.readouterr() == ("", "")


def flattened(step):
    inner = getattr(step, "transforms", None)
    return [part for item in inner for part in flattened(item)] if isinstance(inner, list) else [step]


def test_data_yaml_is_usable_as_it_is(
    toy_fused: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`yolo detect train data=OUT/data.yaml`, from any folder and with a relative path."""
    quiet_ultralytics()
    from ultralytics.data.utils import check_det_dataset

    data = toy_fused(train=1, test=1)
    for folder, reference in ((Path("/"), data / "data.yaml"), (tmp_path, Path("fused/data.yaml"))):
        monkeypatch.chdir(folder)
        found = check_det_dataset(str(reference))
        assert Path(found["train"]) == data / "images" / "train"
        assert Path(found["val"]) == Path(found["test"]) == data / "images" / "test"
        assert found["names"] == {0: "bar", 1: "pole"}


def test_shipped_recipes() -> None:
    names = shipped_recipes("detection")
    yolo = ["detection/yolo-n-demo", "detection/yolo-n-m3fd", "detection/yolo-n-msrs"]
    assert names == ["detection/frcnn-msrs", *yolo]
    for name in names:
        model = "yolov8n.yaml" if name in yolo else "fasterrcnn_mobilenet_v2_fpn"
        assert load_recipe(DetectionRecipe, name, ["data=OUT"]).model == model
        with pytest.raises(RequestError, match="data: Field required"):
            load_recipe(DetectionRecipe, name)
    for wrong in ("image_size=100", "optimizer=auto", "colour=1", "mosaic=2"):
        with pytest.raises(RequestError, match=wrong.partition("=")[0]):
            load_recipe(DetectionRecipe, yolo[0], ["data=OUT", wrong])


@pytest.mark.slow
def test_it_learns(toy_fused: Callable[..., Path], tmp_path: Path) -> None:
    data = toy_fused(train=32, val=4, test=12)
    settings = {
        "epochs": 32,
        "batch": 4,
        "nbs": 4,
        "optimizer": "AdamW",
        "lr0": 0.002,
        "mosaic": 0,
        "scale": 0.1,
    }
    train(recipe(data, **settings), tmp_path / "run")
    dataset = open_fused(data)
    results, _ = predict(dataset, "test", load_judge(tmp_path / "run" / "best.safetensors", "cpu"))
    assert evaluate(dataset.annotations("test"), results)["AP50"] > 0.5
