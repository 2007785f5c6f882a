"""The fused dataset on disk: contract, resuming, shards, refusals."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from fuse2task.data.classes import PALETTES
from fuse2task.data.fused import open_fused
from fuse2task.data.images import read_mask, read_visible, write_image
from fuse2task.data.loading import load_dataset
from fuse2task.runtime.errors import RequestError
from fusion.dataset_writer import Shard, write_fused
from fusion.methods import make_method
from fusion.methods.base import Arithmetic, average


def tree(root: Path) -> dict[str, str]:
    """Path and digest of every file below `root`."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def dataset(folder_dataset):
    root = folder_dataset(5, boxes=True)
    return load_dataset(root, "folder", boxes=root / "boxes")


def test_what_lies_on_disk(dataset, tmp_path):
    out = tmp_path / "out"
    assert write_fused(dataset, make_method("average"), out)
    names = set(tree(out))
    ids = [f"p{i}" for i in range(5)]
    assert names == {f"images/test/{i}.png" for i in ids} | {f"labels/test/{i}.txt" for i in ids} | {
        "data.yaml", "annotations/test.json", "manifest.json",
    }  # fmt: skip
    assert (out / "labels/test/p0.txt").read_text() == ""
    assert (out / "labels/test/p1.txt").read_text() == "1 0.5 0.5 0.2 0.25\n"
    config = yaml.safe_load((out / "data.yaml").read_text())
    assert config["names"] == {0: "person", 1: "car"}
    assert config["val"] == config["test"] == "images/test"
    assert "path" not in config
    truth = json.loads((out / "annotations/test.json").read_text())
    assert [image["file_name"] for image in truth["images"]] == [f"{i}.png" for i in ids]
    assert truth["annotations"][0]["bbox"] == pytest.approx([16, 12, 8, 8])
    fused = open_fused(out)
    assert (fused.truth, fused.classes, fused.splits, fused.ids("test")) == (
        "boxes",
        ("person", "car"),
        ("test",),
        ids,
    )
    for row in fused.manifest["files"]:
        assert row["image"] == hashlib.sha256((out / "images/test" / f"{row['id']}.png").read_bytes()).hexdigest()
    assert str(tmp_path) not in (out / "manifest.json").read_text()


def test_equal_work_gives_equal_bytes_and_truth_does_not_depend_on_the_method(dataset, tmp_path):
    for name, method in (("a", "average"), ("b", "average"), ("c", "maximum")):
        write_fused(dataset, make_method(method), tmp_path / name)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    a, c = tree(tmp_path / "a"), tree(tmp_path / "c")
    assert a["annotations/test.json"] == c["annotations/test.json"]
    assert a["images/test/p1.png"] != c["images/test/p1.png"]


def test_masks_are_carried_over_unchanged(folder_dataset, tmp_path):
    root = folder_dataset(2)
    masks = {f"p{i}": np.random.default_rng(i).integers(0, 9, (32, 40)).astype(np.uint8) for i in range(2)}
    for name, mask in masks.items():
        write_image(root / "masks" / f"{name}.png", mask)
    write_fused(load_dataset(root, "folder", masks=root / "masks"), make_method("visible"), tmp_path / "out")
    for path in open_fused(tmp_path / "out").masks("test"):
        np.testing.assert_array_equal(read_mask(path), masks[path.stem])


class Stops(Arithmetic):
    """Average that fails at its n-th pair, as a killed process would."""

    def __init__(self, after: int):
        super().__init__("average", average)
        self.left = after

    def fuse(self, pair, infrared, visible):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().fuse(pair, infrared, visible)


def test_truth_knows_the_colours_of_its_palette(folder_dataset, tmp_path, monkeypatch):
    root = folder_dataset(1)
    write_image(root / "masks" / "p0.png", np.full((32, 40, 3), PALETTES["pst900"].colours[1], np.uint8))

    def fuse():
        write_fused(load_dataset(root, "folder", masks=root / "masks", palette="pst900"), make_method("visible"), out)

    out = tmp_path / "out"
    fuse()
    monkeypatch.setitem(PALETTES, "pst900", PALETTES["pst900-blue-first"])  # as a version before had them
    with pytest.raises(RequestError):
        fuse()


def test_an_interrupted_dataset_is_finished_with_the_same_bytes(dataset, tmp_path):
    write_fused(dataset, make_method("average"), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        write_fused(dataset, Stops(3), tmp_path / "out")
    with pytest.raises(RequestError, match="not a finished fused dataset"):
        open_fused(tmp_path / "out")
    journal = next((tmp_path / "out").rglob("journal-*"))
    journal.write_text(journal.read_text() + '{"id": "p3", "im')
    (tmp_path / "out/images/test/p1.png").write_bytes(b"half")
    (tmp_path / "out/images/test/.p3.png.99999999.tmp").write_bytes(b"left by a kill")
    redone = Stops(3)  # p1, p3, p4
    assert write_fused(dataset, redone, tmp_path / "out")
    assert redone.left == 0
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_finished_dataset_is_left_alone(dataset, tmp_path):
    write_fused(dataset, make_method("average"), tmp_path / "out")
    before = tree(tmp_path / "out")
    assert write_fused(dataset, Stops(0), tmp_path / "out")
    assert tree(tmp_path / "out") == before


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shards_in_any_order_end_in_the_same_bytes(dataset, tmp_path, order):
    write_fused(dataset, make_method("average"), tmp_path / "whole")
    finished = [write_fused(dataset, make_method("average"), tmp_path / "out", shard=Shard(i, 3)) for i in order]
    assert finished == [False, False, True]
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_shard_leaves_the_files_of_others_alone(dataset, tmp_path):
    write_fused(dataset, make_method("average"), tmp_path / "out", shard=Shard(1, 2))
    in_flight = tmp_path / "out" / "images" / "test" / ".p1.png.4711.tmp"  # of part 2, perhaps on another host
    in_flight.write_bytes(b"half")
    write_fused(dataset, make_method("average"), tmp_path / "out", shard=Shard(1, 2))
    assert in_flight.exists()


def test_pairs_of_another_number_of_shards_are_taken_over(dataset, tmp_path):
    write_fused(dataset, make_method("average"), tmp_path / "whole")
    write_fused(dataset, make_method("average"), tmp_path / "out", shard=Shard(1, 2))
    left = Stops(len(dataset.pairs) // 2)
    assert write_fused(dataset, left, tmp_path / "out")
    assert left.left == 0
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_part_that_is_checked_again_is_not_merged_meanwhile(dataset, tmp_path):
    first, second = Shard(1, 2), Shard(2, 2)
    out = tmp_path / "out"
    write_fused(dataset, make_method("average"), out, shard=first)
    (out / "images/test/p0.png").unlink()
    with pytest.raises(KeyboardInterrupt):
        write_fused(dataset, Stops(0), out, shard=first)
    assert not write_fused(dataset, make_method("average"), out, shard=second)
    assert not (out / "manifest.json").exists()
    assert write_fused(dataset, make_method("average"), out, shard=first)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_bad_shards_are_refused(text):
    with pytest.raises(RequestError, match="i/n"):
        Shard.parse(text)


def test_another_dataset_or_foreign_files_in_the_output_are_refused(dataset, tmp_path):
    write_fused(dataset, make_method("average"), tmp_path / "out")
    with pytest.raises(RequestError, match="another method"):
        write_fused(dataset, make_method("maximum"), tmp_path / "out")
    with pytest.raises(RequestError, match="another color"):
        write_fused(dataset, make_method("average"), tmp_path / "out", "gray")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(RequestError, match="not empty"):
        write_fused(dataset, make_method("average"), tmp_path / "mine")


def test_gray_files_have_one_channel(dataset, tmp_path):
    write_fused(dataset, make_method("average"), tmp_path / "out", "gray")
    assert read_visible(tmp_path / "out/images/test/p1.png").ndim == 2
    assert yaml.safe_load((tmp_path / "out/data.yaml").read_text())["channels"] == 1


def test_apply_and_pairs_from_the_command_line(folder_dataset, tmp_path, run_cli):
    root = folder_dataset(3, boxes=True)
    out = tmp_path / "out"
    request = ("fusion", "apply", "--method", "average", "--data", root, "--layout", "folder", "-o", out)
    assert run_cli(*request, "--boxes", root / "boxes") == 0
    assert len(open_fused(out).ids("test")) == 3
    assert run_cli(*request) == 2  # without the boxes it is another dataset
    assert "another truth" in run_cli.error
    (root / "vi" / "p1.png").unlink()
    assert run_cli(*request[:-1], tmp_path / "other") == 2
    assert "p1" in run_cli.error
    assert "Traceback" not in run_cli.error
    assert not (tmp_path / "other").exists()
    folders = ("--ir", root / "ir", "--visible", root / "vi")
    assert run_cli("fusion", "pairs", *folders, "-o", tmp_path / "loose", "--method", "average") == 2
    (root / "ir" / "p1.png").unlink()
    assert run_cli("fusion", "pairs", *folders, "-o", tmp_path / "loose", "--method", "average") == 0
    assert sorted(path.name for path in (tmp_path / "loose").iterdir()) == ["p0.png", "p2.png"]
    assert run_cli("fusion", "pairs", *folders, "-o", tmp_path / "loose", "--checkpoint", "gone") == 2
    assert "gone: no such checkpoint" in run_cli.error


@pytest.mark.parametrize("name", ["val", "valid", "dev", None])
def test_data_yaml_never_offers_test_for_validation(folder_dataset, tmp_path, name):
    root = folder_dataset(3, boxes=True)
    parts = ("train", name or "train", "test")
    (tmp_path / "parts.txt").write_text("".join(f"{part}\tp{number}\n" for number, part in enumerate(parts)))
    found = load_dataset(root, "folder", boxes=root / "boxes", split=str(tmp_path / "parts.txt"))
    write_fused(found, make_method("average"), tmp_path / "out", "rgb")
    text = (tmp_path / "out" / "data.yaml").read_text()
    config = yaml.safe_load(text)
    assert (config["train"], config["val"], config["test"]) == (
        "images/train", f"images/{name or 'train'}", "images/test",
    )  # fmt: skip
    assert text.startswith("# No validation split") == (name is None)


def test_a_link_that_leads_out_of_the_output_is_not_written_through(dataset, tmp_path):
    out, outside = tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    (out / ".fuse2task").mkdir(parents=True)  # as of a killed run
    (out / "images").symlink_to(outside)
    with pytest.raises(RequestError, match="images: a link that leads out of"):
        write_fused(dataset, make_method("average"), out)
    assert not any(outside.iterdir())
