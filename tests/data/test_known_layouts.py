"""A dataset that nobody has heard of: described in YAML, or by a plug-in."""

import importlib.metadata

import numpy as np
import pytest

from fuse2task.data import layouts
from fuse2task.data.images import read_visible, write_image
from fuse2task.data.layouts import Folders, Layout
from fuse2task.data.loading import load_dataset, load_pairs
from fuse2task.runtime.errors import RequestError

TEXT = """
folders:
  - {infrared: thermal, visible: rgb, template: "day1/{}", split: train}
  - {infrared: thermal, visible: rgb, template: "day2/{}"}
truth:
  - {kind: yolo, folders: [boxes], classes: [car, person]}
"""


@pytest.fixture(autouse=True)
def table_restored(monkeypatch):
    monkeypatch.setattr(layouts, "LAYOUTS", layouts.LAYOUTS)
    known = dict(layouts.LAYOUTS)
    yield
    layouts.LAYOUTS.clear()
    layouts.LAYOUTS.update(known)


@pytest.fixture
def tree(folder_dataset, tmp_path):
    root = tmp_path / "mine"
    for number, day in enumerate(("day1", "day2")):
        source = folder_dataset(2, name=day)
        for own, theirs in (("ir", "thermal"), ("vi", "rgb")):
            for path in (source / own).glob("*.png"):
                turned = np.rot90(read_visible(path), 2 * number)  # or the second day's would be the first's again
                write_image(root / day / theirs / f"{number}{path.name}", np.ascontiguousarray(turned))
    (root / "boxes").mkdir()
    for name in ("0p0", "0p1", "1p0", "1p1"):
        (root / "boxes" / f"{name}.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    (root / "boxes" / "classes.txt").write_text("car\nperson\n")
    (tmp_path / "rig.yaml").write_text(TEXT)
    return root


def test_a_described_layout_has_pairs_splits_and_truth(tree, tmp_path, run_cli):
    dataset = load_dataset(tree, str(tmp_path / "rig.yaml"))
    assert dataset.layout == "rig"
    assert [(pair.id, pair.split) for pair in dataset.pairs] == [
        ("1p0", "test"), ("1p1", "test"), ("0p0", "train"), ("0p1", "train"),
    ]  # fmt: skip
    assert dataset.boxes is not None
    assert {box.name for boxes in dataset.boxes.boxes.values() for box in boxes} == {"person"}
    assert run_cli("data", "check", tree, "--layout", tmp_path / "rig.yaml") == 0, run_cli.output


def test_a_description_says_which_sequence_a_frame_is_of(tree, tmp_path):
    (tmp_path / "rig.yaml").write_text(TEXT + "sequence: '([0-9])p[01]'\n")
    assert [pair.sequence for pair in load_pairs(tree, str(tmp_path / "rig.yaml"))] == ["1", "1", "0", "0"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("infrared", "ir_folder"), "folders.0.ir_folder"),
        (("day1/{}", "day1"), "folders.0.template"),
        (("kind: yolo", "kind: pickle"), "truth.0.kind"),
        ((TEXT, "a: [b"), "YAML expected"),
        (("truth:", 'names: {infrared: "tir"}\ntruth:'), "names.infrared"),
        (("truth:", "sequence: '('\ntruth:"), "sequence.* not a regular expression"),
        (("truth:", "sequence: '.+_[0-9]+'\ntruth:"), "sequence.* has no group"),
    ],
)
def test_a_bad_description_says_what_is_wrong(tree, tmp_path, change, message):
    (tmp_path / "rig.yaml").write_text(TEXT.replace(*change))
    with pytest.raises(RequestError, match=message):
        load_pairs(tree, str(tmp_path / "rig.yaml"))


def test_a_description_cannot_take_a_built_in_name(tree, tmp_path):
    (tmp_path / "msrs.yaml").write_text(TEXT)
    with pytest.raises(RequestError, match="rename the file"):
        load_pairs(tree, str(tmp_path / "msrs.yaml"))


NAMED = """
folders: [{infrared: %s, visible: %s}]
names: {infrared: "{}_tir", visible: "rgb_{}"}
truth: [{kind: yolo, folders: [boxes], classes: [car]}]
"""


@pytest.mark.parametrize("folders", [("all", "all"), ("t", "v")])
@pytest.mark.parametrize("truth", ["{}", "{}_tir", "rgb_{}"])
def test_names_say_how_files_match(tmp_path, picture, folders, truth):
    for name in ("7", "a_b"):
        picture(tmp_path / folders[0] / "x" / f"{name}_tir.png")
        picture(tmp_path / folders[1] / "x" / f"rgb_{name}.jpg", channels=3)
        (tmp_path / "boxes" / "x").mkdir(parents=True, exist_ok=True)
        (tmp_path / "boxes" / "x" / f"{truth.format(name)}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "boxes" / "classes.txt").write_text("car\n")
    picture(tmp_path / folders[0] / "depth_7.png")
    (tmp_path / "named.yaml").write_text(NAMED % folders)
    dataset = load_dataset(tmp_path, str(tmp_path / "named.yaml"))
    assert [pair.id for pair in dataset.pairs] == ["x__7", "x__a_b"]
    assert [len(boxes) for boxes in dataset.boxes.boxes.values()] == [1, 1]
    assert [note for note in dataset.notes if "1 files not used (1 not named {}_tir)" in note]


def test_one_folder_without_names_and_names_that_differ(tmp_path, picture):
    for camera in ("tir", "rgb"):
        picture(tmp_path / "all" / f"1_{camera}.png")
        picture(tmp_path / camera / f"1_{camera}.png")
    (tmp_path / "named.yaml").write_text("folders: [{infrared: all, visible: all}]\n")
    with pytest.raises(RequestError, match="folder of both cameras"):
        load_pairs(tmp_path, str(tmp_path / "named.yaml"))
    with pytest.raises(RequestError, match="a layout file's `names` says how they match"):
        load_pairs(tmp_path, "folder", infrared=tmp_path / "tir", visible=tmp_path / "rgb")


def test_a_plug_ins_layout_is_found_by_name(tree, monkeypatch):
    plugged = Layout(trees=((Folders("day1/{}", "thermal", "rgb"),),))
    entry = importlib.metadata.EntryPoint("rig", "json:loads", "fuse2task.layouts")
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda _: plugged)
    monkeypatch.setattr("fuse2task.runtime.packages.entry_points", lambda **_: [entry])
    assert [pair.id for pair in load_pairs(tree, "rig")] == ["0p0", "0p1"]
    with pytest.raises(RequestError, match=r"known are m3fd.*rig"):
        load_pairs(tree, "other")
