"""Weights in the package: what their cards say, that they load, that altered ones do not."""

import csv
import json
import shutil

import numpy as np
import pytest
import yaml

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import value_hash
from fusion import weights as shipped_weights
from fusion.checkpoint import load_crossfuse, save_crossfuse
from fusion.methods import make_method
from fusion.network.crossfuse import CrossFuseNetwork
from fusion.network.plus import CrossFusePlus


def test_cards_say_what_the_files_are():
    found = shipped_weights.shipped_weights()
    assert [weights.name for weights in found] == ["crossfuse-plus", "crossfuse-task"]
    assert sum(weights.file.stat().st_size for weights in found) < 25e6
    for weights in found:
        weights.check()
        network, digest = load_crossfuse(weights.file)
        assert isinstance(network, CrossFusePlus)
        assert digest == weights.card["tensor_hash"]
        assert {
            "recipe",
            "trained_on",
            "seed",
            "commit",
            "scores",
            "licences",
            "limits",
            "summary",
        } <= weights.card.keys()
        assert not any(value.isnan().any() for value in network.state_dict().values())
        text = json.dumps(weights.card)
        assert "/work" not in text
        assert ".." not in json.dumps(weights.card["recipe"])


def test_no_pair_of_a_test_list_was_trained_on(shared_path):
    rows = shared_path("data", "RoadScene").joinpath("test50.txt").read_text().split()
    tests = {row.rsplit(".", 1)[0] for row in rows}
    tests |= {path.stem for path in shared_path("data", "MSRS", "test", "ir").iterdir()}
    tests |= {path.stem for path in shared_path("data", "TNO_CrossFuse", "ir").iterdir()}
    assert shipped_weights.shipped_weights()
    for weights in shipped_weights.shipped_weights():
        assert len(weights.card["trained_on"]) == weights.card["pairs"]["training"] > 250
        assert not tests & {*weights.card["trained_on"], *weights.card["held_out"]}


def test_default_weights_fuse_and_are_the_named_ones():
    rng = np.random.default_rng(0)
    infrared, visible = rng.integers(0, 256, (2, 40, 48), dtype=np.uint8)
    default, named, task = (
        make_method(name, checkpoint, "cpu")
        for name, checkpoint in (
            (None, None),
            ("crossfuse-plus", shipped_weights.Path("crossfuse-plus")),
            ("crossfuse-task", None),
        )
    )
    assert default.name == "crossfuse-plus"
    assert make_method(None, shipped_weights.Path("crossfuse-task"), "cpu").identity() == task.identity()
    assert default.identity() == named.identity() != task.identity()
    assert task.identity()["name"] == "crossfuse-task"
    assert default.fuse(None, infrared, visible).gray.std() > 5
    with pytest.raises(RequestError, match="--checkpoint belongs to crossfuse and crossfuse-plus; crossfuse-task"):
        make_method("crossfuse-task", shipped_weights.Path("x.safetensors"))


def test_a_row_is_called_by_the_network_in_its_checkpoint(tmp_path):
    papers = tmp_path / "papers.safetensors"
    save_crossfuse(papers, CrossFuseNetwork(), {})
    assert make_method("crossfuse", papers, "cpu").identity()["name"] == "crossfuse"
    assert make_method(None, papers, "cpu").name == "crossfuse"
    for name, checkpoint, other in (
        ("crossfuse", shipped_weights.Path("crossfuse-plus"), "crossfuse-plus"),
        ("crossfuse", shipped_weights.Path("crossfuse-task"), "crossfuse-plus"),
        ("crossfuse-plus", papers, "crossfuse"),
    ):
        with pytest.raises(RequestError, match=rf"holds the network {other}; .* {name} is another, give {other}$"):
            make_method(name, checkpoint, "cpu")


def test_the_papers_network_needs_a_checkpoint(tmp_path, folder_dataset, run_cli):
    root = folder_dataset(1)
    folders = ("--ir", root / "ir", "--visible", root / "vi", "-o", tmp_path / "fused")
    assert run_cli("fusion", "pairs", *folders, "--method", "crossfuse") == 2
    for fix in ("--checkpoint", "fusion import", "fusion train", "--method crossfuse-plus"):
        assert fix in run_cli.error


def test_committed_rows_are_called_by_their_network():
    results = shipped_weights.Path(__file__).parents[2] / "docs" / "results"
    hashes = {
        weights.name: value_hash(make_method(weights.name, None, "cpu", "fp32").identity())
        for weights in shipped_weights.shipped_weights()
    }
    for name in ("msrs-frozen", "msrs-retrain"):
        rows = list(csv.DictReader((results / name / "results.csv").open(encoding="utf-8")))
        assert {row["method"] for row in rows if row["method"].startswith("crossfuse")} == set(hashes)
        for row in rows:
            assert row["method_hash"] == hashes.get(row["method"], row["method_hash"])
    for recipe in results.glob("*/recipe.yaml"):
        for method in yaml.safe_load(recipe.read_text("utf-8"))["methods"]:
            assert (method["name"] == "crossfuse") <= (method["checkpoint"] is not None), recipe


def test_bright_infrared_on_dark_visible_is_not_faint():
    # The faithful network takes half of infrared's detail; users complain about faint targets.
    infrared = np.full((96, 96), 30, np.uint8)
    infrared[40:60, 40:52] = 220
    visible = np.full((96, 96), 20, np.uint8)
    fused = make_method("crossfuse-plus", device="cpu").fuse(None, infrared, visible).gray
    assert fused[42:58, 42:50].mean() > 150
    assert fused[:30].mean() < 60


def test_weights_that_differ_from_their_card_are_refused(tmp_path, monkeypatch):
    for file in shipped_weights.FOLDER.glob("crossfuse-plus.*"):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(shipped_weights, "FOLDER", tmp_path)
    assert shipped_weights.find_checkpoint(None).parent == tmp_path
    with (tmp_path / "crossfuse-plus.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(RequestError, match=r"not the weights that its card describes"):
        shipped_weights.find_checkpoint(None)
    for file in tmp_path.iterdir():
        file.unlink()
    with pytest.raises(RequestError, match="install fuse2task again"):
        shipped_weights.find_checkpoint(None)


def test_the_list_is_printed(run_cli):
    assert run_cli("fusion", "weights") == 0
    assert "crossfuse-plus  " in run_cli.output
    assert " MB" in run_cli.output


def test_loose_pairs_need_no_checkpoint(folder_dataset, tmp_path, run_cli):
    root = folder_dataset(2)
    out = tmp_path / "fused"
    assert run_cli("fusion", "pairs", "--ir", root / "ir", "--visible", root / "vi", "-o", out) == 0
    assert "method: crossfuse-plus, a network of ours" in run_cli.output
    assert sorted(path.name for path in out.iterdir()) == ["p0.png", "p1.png"]
