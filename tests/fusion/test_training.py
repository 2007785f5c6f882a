"""Training: it learns, it resumes to the same weights after a kill, it stops on rubbish."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from pydantic import ValidationError

import fusion.training.samples
from fuse2task.config import load_recipe, shipped_recipes
from fuse2task.data.images import read_infrared, write_image
from fuse2task.runtime.checkpoints import read_safetensors
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.training.loop import StageRun
from fuse2task.training.run_folder import RunFolder
from fusion.checkpoint import load_crossfuse, save_autoencoder, save_crossfuse
from fusion.network.crossfuse import deep_weights, shallow_weights
from fusion.network.layers import AutoEncoder
from fusion.network.plus import CrossFusePlus
from fusion.recipe import FusionRecipe, Sampling
from fusion.training.run import train
from fusion.training.samples import Draw, TrainingPairs
from fusion.training.stages import FaithfulStage

TINY = """
data: [{root: ROOT, layout: folder, parts: [test]}]
held_out: 2
sampling: {size: 32}
stage1: {epochs: 2, samples: 8, batch: 2, lr: 1.0e-3}
stage2: {epochs: 2, samples: 6, batch: 2, lr: 1.0e-3, clip: 100000}
device: cpu
precision: fp32
save_every: 0.2
"""


@pytest.fixture
def recipe_file(folder_dataset, tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY.replace("ROOT", str(folder_dataset(6))))
    return path


@pytest.fixture
def recipe(recipe_file):
    return load_recipe(FusionRecipe, str(recipe_file))


def weights(run):
    return read_safetensors(run / "last.safetensors")[0]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
def test_a_run_leaves_what_the_contract_names(recipe, tmp_path, folder_dataset, run_cli):
    best = train(recipe, tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {
        "recipe.yaml",
        "log.csv",
        "samples",
        "best.safetensors",
        "last.safetensors",
        "resume",
        "card.json",
    } <= names
    rows = RunFolder(tmp_path / "run", recipe.model_dump(mode="json")).rows()
    assert [(row["stage"], row["epoch"]) for row in rows] == [
        (stage, epoch) for stage in ("stage1_infrared", "stage1_visible", "stage2") for epoch in ("1", "2")
    ]
    assert float(rows[5]["val_total"]) < float(rows[4]["val_total"])
    assert all(rows[-1][key] for key in ("val_pixel", "val_gradient", "val_EN", "val_MI", "val_SSIM", "lr"))
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert card["samples"] == {"stage1": 16, "stage2": 12}
    assert len(list((tmp_path / "run" / "samples").glob("*.png"))) == 6
    network, digest = load_crossfuse(best)
    assert len(digest) == 64
    trained = read_safetensors(tmp_path / "run" / "stage1_visible.safetensors")[0]
    assert torch.equal(network.encoder_vi.shallow.conv.weight, trained["encoder.shallow.conv.weight"])
    assert train(recipe, tmp_path / "run") == best  # finished: not trained again
    with pytest.raises(RequestError, match="another recipe"):
        train(recipe.model_copy(update={"seed": 1}), tmp_path / "run")
    root = folder_dataset(1)
    wrong = ("--checkpoint", tmp_path / "run" / "stage1_visible.safetensors")
    assert run_cli("fusion", "pairs", "--ir", root / "ir", "--visible", root / "vi", "-o", tmp_path / "o", *wrong) == 2
    assert "fuse2task.autoencoder" in run_cli.error


@pytest.mark.slow
@pytest.mark.parametrize("samples", ["of any crop", "squashed", "of two crops"])
def test_a_run_stopped_anywhere_resumes_to_the_same_weights(recipe, tmp_path, monkeypatch, samples):
    if samples != "of any crop":  # the deep features of stage 2 are kept then, and here in files
        kept = {"mode": "resize", "flips": False} if samples == "squashed" else {"crops": 2}
        start = recipe.stage2.model_copy(update={"start": "random" if samples == "squashed" else "autoencoders"})
        recipe = recipe.model_copy(update={"sampling": Sampling(size=32, **kept), "stage2": start})
        monkeypatch.setattr(fusion.training.samples, "_affordable", lambda: 0)
    train(recipe, tmp_path / "whole")
    step, left = StageRun._step, [6]

    def stopping(self, *arguments):
        if left[0] == 0:
            left[0] = 7
            raise KeyboardInterrupt
        left[0] -= 1
        return step(self, *arguments)

    monkeypatch.setattr(StageRun, "_step", stopping)
    for _ in range(10):
        try:
            train(recipe, tmp_path / "stopped")
            break
        except KeyboardInterrupt:
            continue
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))

    def log(run):
        rows = RunFolder(run, recipe.model_dump(mode="json")).rows()
        return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]

    assert log(tmp_path / "whole") == log(tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "kept").exists()


def test_the_first_fused_image_is_what_the_autoencoders_make_of_the_mean(recipe, tmp_path):
    recipe = recipe.model_copy(update={"stage2": recipe.stage2.model_copy(update={"start": "autoencoders"})})
    pairs, found = TrainingPairs(recipe, tmp_path), []
    for modality, size in (("infrared", 1.0), ("visible", 1.2)):
        torch.manual_seed(0)
        autoencoder = AutoEncoder()
        autoencoder.decoder.conv2.conv.weight.data *= size
        save_autoencoder(tmp_path / f"stage1_{modality}.safetensors", autoencoder, modality)
    network = FaithfulStage(recipe.stage2, pairs).network()
    samples = [pairs.training[Draw(number, None)] for number in range(4)]
    images = [torch.from_numpy(np.stack(part)).float() for part in list(zip(*samples, strict=True))[:2]]
    network.decoder.last.norm.register_forward_hook(lambda _, inputs, out: found.append(out))
    network(*images)  # in training mode: batch norms see what they were fitted to
    ir, vi = network.features(*images)
    shares, fine = deep_weights(ir[1], vi[1]), shallow_weights(ir[0], vi[0])
    decoder = autoencoder.decoder
    decoder.conv2.conv.weight.data *= 1.1 / 1.2
    expected = decoder(0.5 * fine[0] * ir[0] + fine[1] * vi[0], shares[0] * ir[1] + shares[1] * vi[1])
    assert torch.allclose(found[-1], expected, atol=1e-4 * expected.detach().abs().max().item())


@pytest.mark.slow
def test_a_run_goes_on_from_a_checkpoint_without_stage_1(recipe, tmp_path):
    torch.manual_seed(1)
    given, still = tmp_path / "given.safetensors", {"lr": 1e-30, "weight_decay": 0.0}
    save_crossfuse(given, CrossFusePlus(), {})
    stage2 = {"network": "crossfuse-plus", "weights": given, "epochs": 1, "samples": 4, "batch": 2, **still}
    recipe = FusionRecipe.model_validate(recipe.model_dump() | {"stage1": None, "stage2": stage2})
    best = train(recipe, tmp_path / "run")
    before, after = (load_crossfuse(path)[0].state_dict() for path in (given, best))
    assert all(torch.allclose(before[name], after[name], rtol=0, atol=1e-20) for name in before)
    assert not list((tmp_path / "run").glob("stage1*"))
    wrong = recipe.stage2.model_dump() | {"network": "crossfuse"}
    wrong = {key: value for key, value in wrong.items() if key not in ("structure_weight", "intensity")}
    wrong = FusionRecipe.model_validate(recipe.model_dump() | {"stage2": wrong})
    with pytest.raises(RequestError, match=r"holds the network crossfuse-plus; stage2.network is crossfuse"):
        train(wrong, tmp_path / "wrong")


def test_a_run_starts_from_stage_1_or_from_weights(recipe):
    for changes in ({"stage1": None}, {"stage2": recipe.stage2.model_dump() | {"weights": "crossfuse"}}):
        with pytest.raises(ValidationError, match="give either stage1 or"):
            FusionRecipe.model_validate(recipe.model_dump() | changes)


@pytest.mark.slow
def test_two_and_four_processes_train_like_one(recipe_file, tmp_path):
    # Stage 1 has no batch normalisation and this loss is a mean over samples, so that splitting a batch changes no
    # more than the order of sums; Adam makes a step of full size of any gradient, also of one that is mere rounding.
    overrides = [
        "sampling.size=176",
        "stage1.ms_ssim=standard",
        *(f"stage{number}.{setting}" for number in (1, 2) for setting in ("epochs=1", "samples=4", "batch=4")),
    ]
    script = tmp_path / "launch.py"
    script.write_text("from fuse2task.cli.main import run; run()")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--master-port=29777"]
    for count in (1, 2, 4):
        start = [*launcher, f"--nproc-per-node={count}"] if count > 1 else [sys.executable]
        out = str(tmp_path / str(count))
        command = [*start, str(script), "fusion", "train", str(recipe_file), *overrides, "-o", out]
        done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    weights = [read_safetensors(tmp_path / run / "stage1_infrared.safetensors")[0] for run in "124"]
    for other in weights[1:]:
        differences = torch.cat([(weights[0][name] - other[name]).abs().flatten() for name in other])
        assert (differences > 1e-4).float().mean() < 0.01
    # What is logged is of the whole batch, not of one process's share.
    losses = [float(next(csv.DictReader((tmp_path / run / "log.csv").open()))["train_total"]) for run in "124"]
    assert losses[1:] == pytest.approx([losses[0]] * 2, rel=1e-3)


def test_a_loss_that_is_not_finite_names_the_pairs(recipe, tmp_path, monkeypatch):
    from fusion.training import stages

    real = stages.reconstruction_loss
    monkeypatch.setattr(stages, "reconstruction_loss", lambda *a: {k: v * float("nan") for k, v in real(*a).items()})
    with pytest.raises(Fuse2TaskError, match=r"not finite at step 0 .*for the pairs p\d, p\d"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "last.safetensors").exists()


def test_shipped_recipes_load_and_unknown_keys_are_refused(tmp_path, run_cli):
    names = shipped_recipes("fusion")
    assert {"fusion/crossfuse-release", "fusion/crossfuse-modern"} <= set(names)
    for name in names:
        load_recipe(FusionRecipe, name)
    release = load_recipe(FusionRecipe, "fusion/crossfuse-release")
    assert (release.stage1.samples, release.stage2.epochs, release.stage2.weight_decay) == (40000, 32, 0.9)
    with pytest.raises(RequestError, match=r"stage2\.momentum"):
        load_recipe(FusionRecipe, "fusion/crossfuse-release", ["stage2.momentum=0.9"])
    with pytest.raises(RequestError, match="no such recipe"):
        load_recipe(FusionRecipe, "fusion/nothing")
    assert run_cli("fusion", "train", "fusion/crossfuse-release", "data.0.root=/nowhere", "-o", tmp_path / "r") == 2
    assert "/nowhere" in run_cli.error
    assert not (tmp_path / "r").exists()


def test_batches_must_fill(recipe, tmp_path):
    few = recipe.model_copy(update={"stage1": recipe.stage1.model_copy(update={"samples": 1})})
    with pytest.raises(RequestError, match="do not fill a batch of 2"):
        train(few, tmp_path / "run")


@pytest.mark.slow
def test_other_images_under_the_same_names_are_refused(recipe, folder_dataset, tmp_path, monkeypatch):
    def swap():
        for path in sorted((recipe.data[0].root / "ir").iterdir()):
            write_image(path, 255 - read_infrared(path))

    train(recipe, tmp_path / "finished")
    step, left = StageRun._step, [6]

    def stopping(self, *arguments):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(StageRun, "_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "stopped")
    swap()
    with pytest.raises(RequestError, match="finished: holds a training run of another dataset"):
        train(recipe, tmp_path / "finished")
    with pytest.raises(RequestError, match="stopped: holds a training run of another dataset"):
        train(recipe, tmp_path / "stopped")
    swap()
    train(recipe, tmp_path / "stopped")
    assert same(weights(tmp_path / "finished"), weights(tmp_path / "stopped"))
