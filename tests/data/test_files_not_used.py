"""No file is passed over silently: links are followed, loops refused, unused files counted by cause."""

import json
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fuse2task.data.dataset import defects, files_by_id
from fuse2task.data.images import SUFFIXES
from fuse2task.data.loading import load_dataset, load_pairs, scan_dataset
from fuse2task.data.truth.coco import is_coco
from fuse2task.judges import ResultsSource, results_digest
from fuse2task.runtime.errors import RequestError
from fusion.methods.base import FolderMethod
from fusion.quality.scorer import match_folders
from segmentation.evaluation import _masks


@pytest.fixture
def linked(folder_dataset, tmp_path):
    """A dataset whose night folders are links to another disk, with YOLO labels."""
    root, store = folder_dataset(2, boxes=True), tmp_path / "store"
    for name in ("ir", "vi", "boxes"):
        suffix = "txt" if name == "boxes" else "png"
        (store / name).mkdir(parents=True)
        for path in (root / name).glob(f"p*.{suffix}"):
            (store / name / path.name).write_bytes(path.read_bytes())
        os.symlink(store / name, root / name / "night")
    return root


def test_linked_folders_are_followed(linked):
    dataset = load_dataset(linked, "folder", boxes=linked / "boxes")
    assert [pair.id for pair in dataset.pairs] == ["night__p0", "night__p1", "p0", "p1"]
    assert dataset.notes == ()
    assert all(dataset.boxes.boxes[f"night__{name}"] == dataset.boxes.boxes[name] for name in ("p0", "p1"))


@pytest.mark.parametrize("target", ["ir", "ir/day", "."])
def test_a_link_to_a_folder_above_is_refused(folder_dataset, target):
    root = folder_dataset(1)
    (root / "ir" / "day").mkdir()
    os.symlink(root / target, root / "ir" / "day" / "again")
    with pytest.raises(RequestError, match=r"linked-loop.*remove the link"):
        load_pairs(root, "folder")


def test_links_in_a_circle_are_refused(folder_dataset, tmp_path):
    root = folder_dataset(1)
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / one).mkdir(exist_ok=True)
        os.symlink(tmp_path / other, tmp_path / one / "on")
    os.symlink(tmp_path / "a", root / "ir" / "a")
    with pytest.raises(RequestError, match=r"linked-loop.*remove the link"):
        load_pairs(root, "folder")


def test_folders_of_others_follow_links_and_refuse_loops(linked, tmp_path):
    pairs = load_pairs(linked, "folder")
    fused = tmp_path / "fused"
    fused.mkdir()
    for name in ("p0", "p1"):
        os.symlink(linked / "vi" / f"{name}.png", fused / f"{name}.png")
    os.symlink(tmp_path / "store" / "vi", fused / "night")
    (fused / "Thumbs.db").write_bytes(b"x")
    method = FolderMethod("mine", fused)
    method.check(pairs)
    assert sorted(method.files) == sorted(match_folders(pairs, {"mine": fused})["mine"])
    assert len(method.files) == len(_masks(fused)) == 4
    before = results_digest(ResultsSource((fused,)))
    (tmp_path / "store" / "vi" / "p0.png").write_bytes((linked / "vi" / "p1.png").read_bytes())
    assert results_digest(ResultsSource((fused,))) != before
    os.symlink(fused, tmp_path / "store" / "vi" / "again")
    for read in (
        lambda: FolderMethod("mine", fused),
        lambda: match_folders(pairs, {"a": fused}),
        lambda: _masks(fused),
    ):
        with pytest.raises(RequestError, match="remove the link"):
            read()


def test_voc_files_behind_a_link_are_found(tmp_path):
    store = tmp_path / "xml"
    store.mkdir()
    (store / "p0.xml").write_text("<annotation></annotation>")
    (tmp_path / "truth").mkdir()
    os.symlink(store, tmp_path / "truth" / "linked")
    assert not is_coco(tmp_path / "truth")


def test_a_broken_link_is_a_finding(folder_dataset):
    root = folder_dataset(1)
    os.symlink(root / "gone.png", root / "vi" / "x.png")
    _, findings = files_by_id(root / "vi", SUFFIXES)
    assert [finding.kind for finding in defects(findings)] == ["broken-link"]


def test_unused_files_are_counted_by_cause(folder_dataset, run_cli):
    root = folder_dataset(2)
    for name in ("a.gif", "b.gif", "Thumbs.db", "README", ".hidden.png"):
        (root / "ir" / name).write_bytes(b"x")
    (root / "vi" / ".cache").mkdir()
    (root / "vi" / ".cache" / "c.png").write_bytes(b"x")
    dataset, findings = scan_dataset(root, "folder")
    assert findings == []
    assert dataset.notes == (
        f"{root / 'ir'}: 5 files not used (1 .db, 2 .gif, 1 hidden, 1 without suffix)",
        f"{root / 'vi'}: 1 files not used (1 hidden)",
    )
    assert run_cli("data", "check", root, "--layout", "folder") == 0
    assert "2 .gif" in run_cli.output


def test_truth_and_pairs_that_are_not_used_are_counted(folder_dataset, tmp_path):
    root = folder_dataset(3, boxes=True)
    (root / "boxes" / "other.txt").write_text("")
    (tmp_path / "some.txt").write_text("test\tp0\n")
    dataset = load_dataset(root, "folder", boxes=root / "boxes", split=str(tmp_path / "some.txt"))
    assert any("2 pairs that the split list does not name" in note for note in dataset.notes)
    assert any("3 truth files of no pair" in note for note in dataset.notes)


def test_further_pictures_of_a_jpeg_are_counted(folder_dataset):
    root = folder_dataset(1)
    pixels = np.asarray(Image.open(root / "vi" / "p0.png"))
    (root / "vi" / "p0.png").unlink()
    picture = Image.fromarray(pixels)
    picture.save(root / "vi" / "p0.jpg", format="MPO", save_all=True, append_images=[picture], quality=95)
    assert any("1 further pictures inside JPEG files" in note for note in load_dataset(root, "folder").notes)


def test_names_are_compared_after_nfc(folder_dataset):
    root = folder_dataset(1)
    for folder, form in (("ir", "NFC"), ("vi", "NFD")):
        path = root / folder / "p0.png"
        path.rename(Path(path.parent, unicodedata.normalize(form, "Grün.png")))
    assert [pair.id for pair in load_pairs(root, "folder")] == [unicodedata.normalize("NFC", "Grün")]


def test_files_in_folders_that_nothing_is_read_from_are_counted(folder_dataset):
    root = folder_dataset(1, boxes=True)
    for name in ("depth/a.png", "depth/b/c.png", "old/labels/a.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    (root / "boxes" / "more").mkdir()
    note = f"{root}: 3 files in folders that nothing is read from (depth 2, old 1)"
    assert note in load_dataset(root, "folder", boxes=root / "boxes").notes
    assert any("boxes 2, depth 2, old 1" in text for text in load_dataset(root, "folder").notes)


def test_what_lies_beside_coco_files_is_counted(folder_dataset):
    root = folder_dataset(1)
    truth = {"images": [{"id": 1, "file_name": "p0.png"}], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
    (root / "anno" / "more").mkdir(parents=True)
    for name in ("a.JSON", "more/b.json", "notes.txt"):
        (root / "anno" / name).write_text(json.dumps(truth))
    dataset = load_dataset(root, "folder", annotations=root / "anno")
    assert f"{root / 'anno'}: 2 files not used (1 .json, 1 .txt)" in dataset.notes


def test_notes_are_said_by_commands_that_read_a_dataset(folder_dataset, tmp_path, run_cli):
    root = folder_dataset(2)
    (root / "ir" / "a.jp2").write_bytes(b"x")
    folders = ("--ir", root / "ir", "--visible", root / "vi")
    for command in (
        ("fusion", "pairs", *folders, "--method", "average", "-o", tmp_path / "fused"),
        ("fusion", "score", *folders, "--fused", root / "vi", "--scores", "EN", "-o", tmp_path / "s.csv"),
        ("data", "degrade", root, "--layout", "folder", "--kind", "blur", "--level", 1, "-o", tmp_path / "copy"),
        ("data", "split", root, "--layout", "folder", "--parts", "train=.5,test=.5", "-o", tmp_path / "list.txt"),
    ):
        assert run_cli(*command) == 0, run_cli.error
        assert "1 files not used (1 .jp2)" in run_cli.error
    before = (root / "ir" / "p0.png").read_bytes()
    assert run_cli(*command[:-1], root / "ir" / "p0.png") == 2
    assert (root / "ir" / "p0.png").read_bytes() == before
