import csv
import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fuse2task.data.fused import open_fused
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.training import loop
from fuse2task.training.run_folder import RunFolder, save_state
from segmentation import training
from segmentation.evaluation import evaluate
from segmentation.model import load_segmenter
from segmentation.prediction import predict
from segmentation.training import learning_rate, train


def log_of(run):
    with (run / "log.csv").open() as handle:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(handle)]


@pytest.mark.slow
def test_a_run_folder_is_complete_and_best_has_the_highest_val_miou(make_fused, make_recipe, tmp_path):
    data, run = make_fused(train=5, val=2, test=1), tmp_path / "run"
    best = train(make_recipe(data, epochs=3, class_weights="median_frequency", workers=1), run)
    card, rows = json.loads((run / "card.json").read_text()), log_of(run)
    assert best == run / "best.safetensors"
    values = [float(row["val_mIoU"]) for row in rows]
    assert (card["best_epoch"], card["val_mIoU"]) == (1 + int(np.argmax(values)), max(values))
    assert card["images"] == {"train": 5, "val": 2}
    names = {path.name for path in run.iterdir()}
    assert names >= {"recipe.yaml", "log.csv", "samples", "best.safetensors", "last.safetensors", "resume"}
    assert sorted(path.suffix for path in (run / "resume").iterdir()) == [".safetensors"]
    assert "epoch-001-val000.png" in {path.name for path in (run / "samples").iterdir()}
    # the logged score is what predicting and evaluating the folder gives
    predict(load_segmenter(best, torch.device("cpu")), open_fused(data), "val", tmp_path / "p")
    scored = evaluate(data / "masks" / "val", tmp_path / "p", ("background", "car", "person"))
    assert scored["mIoU"] == pytest.approx(card["val_mIoU"], abs=1e-12)
    before = best.stat().st_mtime_ns
    train(make_recipe(data, epochs=3, class_weights="median_frequency", workers=0), run)
    assert best.stat().st_mtime_ns == before


@pytest.mark.slow
def test_killed_run_ends_with_the_same_weights(make_fused, make_recipe, tmp_path, monkeypatch):
    # DeepLabV3+ has dropout: its random numbers have to resume as well as the data's.
    recipe = make_recipe(make_fused(train=6, val=2), architecture="deeplabv3plus", epochs=3)
    train(recipe, tmp_path / "whole")

    def killed_at(module, name, call):
        real, calls = getattr(module, name), []

        def dies(*arguments):
            calls.append(1)
            if len(calls) == call:
                raise KeyboardInterrupt
            return real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(module, name, dies)
            with pytest.raises(KeyboardInterrupt):
                train(recipe, tmp_path / "killed")

    killed_at(training, "learning_rate", 5)  # in the second epoch
    killed_at(loop, "save_state", 1)  # at its end, after the row was logged
    train(recipe, tmp_path / "killed")
    for name in ("best", "last"):
        whole, killed = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("whole", "killed"))
        assert whole.keys() == killed.keys()
        assert all(torch.equal(whole[key], killed[key]) for key in whole), name
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "killed")


def test_a_run_begun_by_a_former_version_is_refused_in_one_line(make_fused, make_recipe, tmp_path):
    recipe = make_recipe(make_fused(train=2))
    network = torch.nn.Linear(1, 1)
    folder = RunFolder(tmp_path / "run", recipe.model_dump(mode="json"))
    with folder.held():
        save_state(
            folder.resume, {"network": network}, torch.optim.SGD(network.parameters()), {"epoch": 1, "best": 0.5}
        )
    with pytest.raises(RequestError, match=r"begun by a former version.*remove the folder") as caught:
        train(recipe, tmp_path / "run")
    assert len(str(caught.value).splitlines()) == 1


def test_without_val_the_last_epoch_is_best_and_test_is_not_touched(make_fused, make_recipe, tmp_path):
    data = make_fused(train=4, test=2)
    for path in (data / "masks" / "test").iterdir():
        path.unlink()
    train(make_recipe(data, normalisation="imagenet"), tmp_path / "run")
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert (card["best_epoch"], card["val_mIoU"]) == (2, None)
    assert "the test split never chooses" in card["selection"]
    assert card["normalisation"]["mean"] == [0.485, 0.456, 0.406]
    best, last = (load_file(tmp_path / "run" / f"{name}.safetensors") for name in ("best", "last"))
    assert all(torch.equal(best[key], last[key]) for key in best)


@pytest.mark.parametrize("value", [0, 255])
def test_a_val_without_objects_selects_nothing(make_fused, make_recipe, tmp_path, value):
    data = make_fused(train=2, val=1)
    path = data / "masks" / "val" / "val000.png"
    Image.fromarray(np.full((64, 64), value, np.uint8)).save(path)
    manifest = json.loads((data / "manifest.json").read_text())
    manifest["files"][-1]["label"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (data / "manifest.json").write_text(json.dumps(manifest))
    train(make_recipe(data), tmp_path / "run")
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert (card["best_epoch"], card["val_mIoU"], card["selection"]) == (2, None, training.NO_OBJECTS)
    assert "val_mIoU" not in (tmp_path / "run" / "log.csv").read_text()


@pytest.mark.slow
def test_a_process_trains_in_bf16_then_in_fp32(make_fused, make_recipe, tmp_path):
    data = make_fused(train=2)
    weights = {}
    for precision in ("bf16", "fp32", "auto"):
        train(make_recipe(data, epochs=1, precision=precision), tmp_path / precision)
        weights[precision] = load_file(tmp_path / precision / "last.safetensors")
        assert {value.dtype for value in weights[precision].values()} == {torch.float32, torch.int64}
    assert all(torch.equal(weights["fp32"][key], weights["auto"][key]) for key in weights["fp32"])
    assert any(not torch.equal(weights["fp32"][key], weights["bf16"][key]) for key in weights["fp32"])


def test_a_batch_without_labels_teaches_nothing(make_fused, make_recipe, reseal, tmp_path):
    data = make_fused(train=4)
    for path in sorted((data / "masks" / "train").iterdir())[:2]:
        Image.fromarray(np.full((64, 64), 255, np.uint8)).save(path)
    reseal(data)
    train(make_recipe(data, epochs=4), tmp_path / "run")  # some batch of two is all void
    losses = [float(row["loss"]) for row in log_of(tmp_path / "run")]
    assert np.isfinite(losses).all()


def test_a_loss_that_is_not_finite_names_its_images(make_fused, make_recipe, tmp_path, monkeypatch):
    data = make_fused(train=2)
    forward = training.CrossEntropyDice.forward
    monkeypatch.setattr(
        training.CrossEntropyDice,
        "forward",
        lambda self, *parts: {name: value * float("nan") for name, value in forward(self, *parts).items()},
    )
    with pytest.raises(Fuse2TaskError, match=r"not finite at step 0") as caught:
        train(make_recipe(data), tmp_path / "run")
    assert "train000" in str(caught.value)
    assert "train001" in str(caught.value)


def test_wrong_requests_are_refused(make_fused, make_recipe, tmp_path):
    data = make_fused(train=4, val=1)
    with pytest.raises(RequestError, match="do not fill a batch of 8"):
        train(make_recipe(data, batch=8), tmp_path / "a")
    recipe = make_recipe(data, epochs=1)
    train(recipe, tmp_path / "run")
    with pytest.raises(RequestError, match="another recipe"):
        train(make_recipe(data, epochs=5), tmp_path / "run")
    (tmp_path / "run" / "card.json").unlink()
    manifest = json.loads((data / "manifest.json").read_text())
    manifest["method"]["name"] = "maximum"
    (data / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RequestError, match="holds a training run of another dataset"):
        train(recipe, tmp_path / "run")
    manifest["truth"] = {"kind": "none", "classes": []}
    (data / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RequestError, match="masks are needed"):
        train(recipe, tmp_path / "b")


def test_learning_rate_rises_then_decays_to_zero(tmp_path, make_recipe):
    recipe = make_recipe(tmp_path, lr=0.1, warmup=0.2, power=1.0)
    rates = [learning_rate(recipe, step, 10) for step in range(10)]
    assert rates == pytest.approx([0.05, 0.09, 0.08, 0.07, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01])
    # beyond the warm-up, torch's own polynomial decay
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=10, power=0.9)
    for step in range(10):
        mine = learning_rate(make_recipe(tmp_path, lr=0.1, warmup=0, power=0.9), step, 10)
        assert mine == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()


@pytest.mark.slow
def test_an_easy_set_is_learned(make_fused, make_recipe, tmp_path):
    data = make_fused(train=16, val=4)
    train(make_recipe(data, epochs=8, batch=4, augmentation={"scale": [0.8, 1.25]}), tmp_path / "run")
    rows = log_of(tmp_path / "run")
    assert float(rows[-1]["loss"]) < 0.6 * float(rows[0]["loss"])
    assert max(float(row["val_mIoU_foreground"]) for row in rows) > 0.5
