"""CrossFuse against outputs, losses and gradients of the public release for the same weights."""

import json

import numpy as np
import pytest
import torch

from fuse2task.data.images import read_visible, write_image
from fusion.checkpoint import load_crossfuse
from fusion.losses import fusion_loss, reconstruction_loss
from fusion.network.layers import AutoEncoder
from fusion.release import AUTOENCODER, import_release, rename


def _images(archive, key):
    return torch.from_numpy(archive[key]).float()[:, None]


@pytest.mark.slow
@pytest.mark.parametrize("case", ["250x301", "256x256"])
def test_forward_equals_the_release(golden, release_files, case):
    expected = np.load(golden / f"case_{case}.npz")
    network = import_release(*release_files(int(expected["seed"])))
    infrared, visible = _images(expected, "ir"), _images(expected, "vi")
    with torch.no_grad():
        fused = network(infrared, visible)
        one_by_one = torch.cat([network(infrared[i : i + 1], visible[i : i + 1]) for i in range(len(infrared))])
        (ir_shallow, ir_deep), (vi_shallow, vi_deep) = network.features(infrared, visible)
    difference = np.abs(fused[:, 0].numpy() - expected["fused"])
    assert np.percentile(difference, 99.9) < 1e-3
    assert (fused - one_by_one).abs().max() < 1e-3
    stats = [
        value
        for shallow, deep in ((ir_shallow, ir_deep), (vi_shallow, vi_deep))
        for value in (shallow.mean((1, 2, 3)), deep.mean((1, 2, 3)), deep.std((1, 2, 3)))
    ]
    np.testing.assert_allclose(torch.stack(stats, 1), expected["feature_stats"], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_training_step_of_stage_1_equals_the_release(golden, release_files):
    expected = json.loads((golden / "train_step.json").read_text())["stage1_ir"]
    infrared = _images(np.load(golden / "train_step.npz"), "ir")
    network = AutoEncoder()
    path = release_files(1)[0]
    network.load_state_dict(rename(torch.load(path, weights_only=True), AUTOENCODER, path))
    losses = reconstruction_loss(network(infrared), infrared)
    losses["total"].backward()
    found = [losses["total"], losses["mse"], losses["ms_ssim"]]
    assert [v.item() for v in found] == pytest.approx(
        [expected["total"], expected["mse"], expected["weighted_one_minus_msssim"]], rel=1e-5
    )
    weights = (network.encoder.shallow, network.encoder.dense2.adjust, network.decoder.last)
    norms = [layer.conv.weight.grad.norm().item() for layer in weights]
    assert norms == pytest.approx(list(expected["grad_norms"].values()), rel=1e-5)


@pytest.mark.slow
def test_training_step_of_stage_2_equals_the_release(golden, release_files, monkeypatch):
    expected = json.loads((golden / "train_step.json").read_text())["stage2"]
    wanted = [*(expected[name] for name in ("total", "pixel", "weighted_gradient")), *expected["grad_norms"].values()]
    single = _stage_2_step(golden, release_files, torch.float32)
    if torch.backends.cpu.get_cpu_capability() == "AVX512":  # the kind of processor that the golden values are from
        assert single == pytest.approx(wanted, rel=3e-4)
    # Near-zero denominators spread the rounding of fp32 over 4e-4 from one kind of processor to another: in double
    # precision they do not. Layers that ask for fp32 get double here.
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    double = _stage_2_step(golden, release_files, torch.float64)
    assert double == pytest.approx(wanted, rel=3e-4)
    assert single == pytest.approx(double, rel=1e-3)


def _stage_2_step(golden, release_files, dtype):
    """Losses (total, pixel, gradient) and three gradient norms of one step."""
    archive = np.load(golden / "train_step.npz")
    infrared, visible = (_images(archive, key).to(dtype) for key in ("ir", "vi"))
    network = import_release(*release_files(1)).train().to(dtype)
    network.encoder_ir.requires_grad_(False)
    network.encoder_vi.requires_grad_(False)
    losses = fusion_loss(network(infrared, visible), infrared, visible)
    losses["total"].backward()
    weights = (network.attention.self1_ir.qkv, network.attention.cross_ir_vi.q, network.decoder.last.conv)
    norms = [layer.weight.grad.norm() for layer in weights]
    return [value.item() for value in (*losses.values(), *norms)]


@pytest.mark.slow
def test_imported_files_fuse_pairs_like_the_release(golden, release_files, tmp_path, run_cli):
    expected = np.load(golden / "case_250x301.npz")
    ir, visible, fusion = release_files(int(expected["seed"]))
    for name, key in (("ir", "ir"), ("vi", "vi")):
        write_image(tmp_path / name / "pair.png", expected[key][0])
    weights = tmp_path / "crossfuse.safetensors"
    assert run_cli("fusion", "import", "--ir", ir, "--visible", visible, "--fusion", fusion, "-o", weights) == 0
    folders = ("--ir", tmp_path / "ir", "--visible", tmp_path / "vi")
    # The release computes in fp32; `auto` is bf16 on processors that are made for it.
    options = ("--checkpoint", weights, "--color", "gray", "--precision", "fp32")
    assert run_cli("fusion", "pairs", *folders, "-o", tmp_path / "out", *options) == 0
    difference = np.abs(read_visible(tmp_path / "out" / "pair.png").astype(float) - expected["fused"][0])
    assert np.percentile(difference, 99.9) <= 1
    assert load_crossfuse(weights)[1]
