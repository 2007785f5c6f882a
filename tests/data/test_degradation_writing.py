"""Degraded copies on disk: same layout, pairs and truth; equal bytes for equal requests, killed or not."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fuse2task.data.dataset import Box
from fuse2task.data.degradation import writing
from fuse2task.data.degradation.geometry import motion_of, move_box, move_mask
from fuse2task.data.degradation.writing import degrade_dataset
from fuse2task.data.images import read_infrared, read_mask, read_visible
from fuse2task.data.loading import LAYOUTS, load_dataset
from fuse2task.data.synthetic.scene import render
from fuse2task.data.synthetic.writing import write_m3fd, write_msrs
from fuse2task.runtime.errors import RequestError

SIZE = (80, 64)
# layout: (infrared file, visible file) of two pairs, and the folder name that the root must keep.
PLACES = {
    "roadscene": [(f"cropinfrared/FLIR_{n}.jpg", f"crop_LR_visible/FLIR_{n}.jpg") for n in (1, 2)],
    "tno": [(f"IR{n}.png", f"VIS{n}.bmp") for n in (1, 2)],
    "llvip": [(f"infrared/{s}/{n}.jpg", f"visible/{s}/{n}.jpg") for s, n in (("train", "010001"), ("test", "190001"))],
    "kaist": [(f"set0{n}/V000/lwir/I00001.jpg", f"set0{n}/V000/visible/I00001.jpg") for n in (0, 3)],
    "fmb": [(f"Infrared/0000{n}.png", f"Visible/0000{n}.png") for n in (1, 2)],
    "flir": [(f"thermal/FLIR_{n}_PreviewData.jpg", f"RGB/FLIR_{n}_RGB.jpg") for n in (1, 2)],
    "pst900": [(f"{s}/thermal/{n}.png", f"{s}/rgb/{n}.png") for s, n in (("train", "1a"), ("test", "2a"))],
    "mfnet": [(f"ir/0000{n}.png", f"vi/0000{n}.png") for n in ("1D", "2N")],
    "dronevehicle": [(f"{s}/{s}imgr/00001.jpg", f"{s}/{s}img/00001.jpg") for s in ("train", "test")],
    "vedai": [(f"Vehicules512/0000000{n}_ir.png", f"Vehicules512/0000000{n}_co.png") for n in (0, 1)],
    "smod": [(f"{s}/000000_tir.jpg", f"{s}/000000_rgb.jpg") for s in ("day", "night")],
    "awmm": [(f"{w}/ir/{n}.png", f"{w}/vi/{n}.png") for n, w in enumerate(("Rain", "Test_haze_snow"))],
    "folder": [(f"ir/a/{n}.tif", f"vi/a/{n}.png") for n in (1, 2)],
}


def write_layout(root: Path, layout: str) -> None:
    """A tiny dataset of `layout` with the truth that it comes with."""
    if layout == "m3fd":
        return write_m3fd(root, 4, seed=1, size=SIZE)
    if layout == "msrs":
        return write_msrs(root, train=2, test=2, seed=1, size=SIZE)
    for number, names in enumerate(PLACES[layout]):
        scene = render(2, number, SIZE, night=number == 1, task="segmentation")
        for name, pixels in zip(names, (scene.infrared, scene.visible), strict=True):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / name)
        stem = Path(names[0]).stem
        if layout == "fmb":
            (root / "Label").mkdir(exist_ok=True)
            Image.fromarray(scene.mask).save(root / "Label" / f"{stem}.png")
            (root / f"{('train', 'test')[number]}.txt").write_text(f"{stem}.png\n")
        elif layout == "flir":
            write_flir_truth(root)
        elif layout == "smod":
            write_smod_truth(root, ("train", "test")[number], names[1])
        elif layout == "llvip":
            (root / "Annotations").mkdir(exist_ok=True)
            (root / "Annotations" / f"{stem}.xml").write_text(
                "<annotation><filename>x</filename><object><name>person</name><difficult>0</difficult><bndbox>"
                "<xmin>20</xmin><ymin>15</ymin><xmax>31</xmax><ymax>50</ymax></bndbox></object></annotation>"
            )
        elif layout == "awmm":
            clean = root / names[1].replace("/vi/", "/gt_vi/")
            clean.parent.mkdir(parents=True)
            Image.fromarray(scene.visible).save(clean)
    return None


def write_flir_truth(root: Path) -> None:
    names = [f"FLIR_{n}_PreviewData" for n in (1, 2)]
    images = [{"id": name, "file_name": f"{name}.jpg", "width": SIZE[0], "height": SIZE[1]} for name in names]
    box = {"category_id": 1, "bbox": [20, 15, 11, 35], "area": 385, "iscrowd": 0}
    truth = {
        "images": images, "annotations": [{"id": n, "image_id": name, **box} for n, name in enumerate(names)],
        "categories": [{"id": 1, "name": "person"}],
    }  # fmt: skip
    (root / "annotations.json").write_text(json.dumps(truth))


def write_smod_truth(root: Path, part: str, name: str) -> None:
    truth = {
        "images": [{"id": 1, "file_name": name, "width": SIZE[0], "height": SIZE[1]}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 4, "bbox": [20, 15, 11, 35], "area": 385}],
        "categories": [{"id": n, "name": name} for n, name in enumerate(("person", "rider", "bicycle", "car"), 1)],
    }
    (root / "anno").mkdir(exist_ok=True)
    (root / "anno" / f"new_{part}_annotations_rgb.json").write_text(json.dumps(truth))


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def source(tmp_path):
    def make(layout: str) -> Path:
        write_layout(tmp_path / "source", layout)
        return tmp_path / "source"

    return make


@pytest.mark.parametrize("layout", LAYOUTS)
def test_level_0_is_the_source(tmp_path, source, layout):
    root = source(layout)
    degrade_dataset(root, layout, "rain", 0, tmp_path / "out")
    copied = files(tmp_path / "out")
    manifest = json.loads(copied.pop("degraded.json"))
    assert copied == files(root)
    assert {row["path"] for row in manifest["files"]} == set(copied)
    assert manifest["changed"] == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_copies_load_with_the_same_pairs_truth_and_conditions(tmp_path, source, layout):
    root = source(layout)
    degrade_dataset(root, layout, "night", 3, tmp_path / "out")
    before, after = load_dataset(root, layout), load_dataset(tmp_path / "out", layout)
    assert (after.split_hash, after.boxes) == (before.split_hash, before.boxes)
    for old, new in zip(before.pairs, after.pairs, strict=True):
        assert (old.id, old.split, old.size, old.conditions) == (new.id, new.split, new.size, new.conditions)
        assert old.infrared.read_bytes() == new.infrared.read_bytes()
        assert old.infrared.relative_to(root) == new.infrared.relative_to(tmp_path / "out")
        assert new.visible.suffix == ".png"
        assert new.visible.with_suffix("").relative_to(tmp_path / "out") == old.visible.with_suffix("").relative_to(
            root
        )
        assert read_visible(new.visible).mean() < 0.6 * read_visible(old.visible).mean()
    if before.masks is not None:
        for name, path in before.masks.masks.items():
            assert path.read_bytes() == after.masks.masks[name].read_bytes()
    # Nothing is lost: the only other names are those of changed images.
    gone = set(files(root)) - set(files(tmp_path / "out"))
    assert gone == {p.visible.relative_to(root).as_posix() for p in before.pairs if p.visible.suffix != ".png"}


def test_three_channels_stay_three_and_visible_is_untouched(tmp_path, source):
    root = source("m3fd")
    degrade_dataset(root, "m3fd", "hotpixel", 5, tmp_path / "out")
    for path in (root / "Vis").iterdir():
        assert (tmp_path / "out" / "Vis" / path.name).read_bytes() == path.read_bytes()
    for path in (root / "Ir").iterdir():
        pixels = np.asarray(Image.open(tmp_path / "out" / "Ir" / path.name))
        assert pixels.shape == (SIZE[1], SIZE[0], 3)
        # 51 bad pixels, some on what was as dark or bright before.
        assert 40 <= (pixels != np.asarray(Image.open(path))).any(axis=2).sum() <= 51


@pytest.mark.parametrize("kind", ["snow", "misalign"])
def test_equal_requests_give_equal_bytes_also_after_a_kill(tmp_path, source, kind, monkeypatch):
    root = source("msrs")
    degrade_dataset(root, "msrs", kind, 2, tmp_path / "whole", seed=7)
    write, count = writing.write_bytes, 0

    def dying(path, data):
        nonlocal count
        count += 1
        if count == 6:
            path.with_name(f".{path.name}.1.tmp").write_bytes(data[:10])
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(writing, "write_bytes", dying)
    with pytest.raises(KeyboardInterrupt):
        degrade_dataset(root, "msrs", kind, 2, tmp_path / "killed", seed=7)
    journal = tmp_path / "killed" / ".fuse2task" / "journal.jsonl"
    assert len(journal.read_text().splitlines()) == 5
    journal.write_text(journal.read_text()[:-9])
    monkeypatch.setattr(writing, "write_bytes", write)
    degrade_dataset(root, "msrs", kind, 2, tmp_path / "killed", seed=7)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    degrade_dataset(root, "msrs", kind, 2, tmp_path / "other", seed=8)
    assert files(tmp_path / "other") != files(tmp_path / "whole")


def test_a_finished_copy_is_mended_and_another_request_refused(tmp_path, source):
    root, out = source("folder"), tmp_path / "out"
    degrade_dataset(root, "folder", "noise", 2, out)
    whole = files(out)
    (out / "vi" / "a" / "1.png").write_bytes(b"damaged")
    degrade_dataset(root, "folder", "noise", 2, out)
    assert files(out) == whole
    for level, seed, text in ((3, 0, "level, meaning"), (2, 1, "seed")):
        with pytest.raises(RequestError, match=text):
            degrade_dataset(root, "folder", "noise", level, out, seed=seed)
    assert files(out) == whole


def test_a_changed_source_is_degraded_again(tmp_path, source):
    root, out = source("folder"), tmp_path / "out"
    degrade_dataset(root, "folder", "blur", 1, out)
    before = files(out)
    Image.fromarray(read_visible(root / "vi" / "a" / "1.png")[::-1].copy()).save(root / "vi" / "a" / "1.png")
    degrade_dataset(root, "folder", "blur", 1, out)
    changed = {name for name, data in files(out).items() if before[name] != data}
    assert changed == {"vi/a/1.png", "degraded.json"}


def test_truth_moves_with_the_image_that_it_was_drawn_on(tmp_path, source):
    root = source("m3fd")
    before = load_dataset(root, "m3fd")
    copies = {
        (move, on): load_dataset(
            degrade_dataset(
                root, "m3fd", "misalign", 4, tmp_path / f"{move}-{on}", seed=3, move=move, truth_on=on
            ).root,
            "m3fd",
        )
        for move in ("infrared", "visible")
        for on in ("infrared", "visible")
    }
    for (move, on), after in copies.items():
        for pair, old in zip(after.pairs, before.pairs, strict=True):
            moved, kept = (pair.infrared, pair.visible) if move == "infrared" else (pair.visible, pair.infrared)
            still = old.visible if move == "infrared" else old.infrared
            assert kept.read_bytes() == still.read_bytes()
            assert moved.read_bytes() != (root / moved.relative_to(after.root)).read_bytes()
            expected = before.boxes.boxes[pair.id]
            if move == on:
                motion = motion_of(3, pair.id, 4)
                expected = tuple(box for box in (move_box(b, motion, SIZE) for b in expected) if box)
            assert_boxes(after.boxes.boxes[pair.id], expected)
    entry = (tmp_path / "visible-visible" / "Annotation" / "00000.xml").read_text()
    assert "<difficult>0</difficult>" in entry
    manifest = json.loads((tmp_path / "visible-visible" / "degraded.json").read_text())
    assert manifest["misalign"] == {"moves": "visible", "truth_on": "visible", "truth_moved": True}
    assert np.hypot(*manifest["motions"]["00000"][:2]) == pytest.approx(6)


def test_masks_move_exactly(tmp_path, source):
    root = source("msrs")
    degrade_dataset(root, "msrs", "misalign", 5, tmp_path / "out", move="visible")
    before, after = load_dataset(root, "msrs"), load_dataset(tmp_path / "out", "msrs")
    for name, path in before.masks.masks.items():
        expected = move_mask(read_mask(path), motion_of(0, name, 5))
        assert np.array_equal(read_mask(after.masks.masks[name]), expected)


def test_yolo_in_the_layout_keeps_its_ids(tmp_path, source):
    root = source("m3fd")
    shutil.rmtree(root / "Annotation")
    (root / "labels").mkdir()
    (root / "labels" / "classes.txt").write_text("Truck\nCar\nPeople\n")
    for number in range(4):
        (root / "labels" / f"{number:05d}.txt").write_text("2  0.5 0.5 0.2 0.3\n0 0.4 0.6 0.1 0.2\n")
    degrade_dataset(root, "m3fd", "misalign", 3, tmp_path / "out", move="visible")
    before, after = load_dataset(root, "m3fd").boxes, load_dataset(tmp_path / "out", "m3fd").boxes
    for name, boxes in before.boxes.items():
        expected = [move_box(box, motion_of(0, name, 3), SIZE) for box in boxes]
        assert [box.name for box in expected] == ["People", "Truck"]
        assert_boxes(after.boxes[name], expected)


def test_truth_apart_is_written_only_where_it_moves(tmp_path, folder_dataset):
    root = folder_dataset(4, boxes=True)
    boxes = root / "boxes"
    stay = degrade_dataset(root, "folder", "misalign", 2, tmp_path / "a", boxes=boxes)
    assert stay.truth == {"boxes": boxes}
    assert not (tmp_path / "a" / "boxes").exists()
    went = degrade_dataset(root, "folder", "misalign", 2, tmp_path / "b", boxes=boxes, move="visible")
    assert went.truth == {"boxes": tmp_path / "b" / "boxes"}
    before = load_dataset(root, "folder", boxes=boxes).boxes
    after = load_dataset(tmp_path / "b", "folder", **went.truth).boxes
    assert after.classes == before.classes
    for name, old in before.boxes.items():
        moved = [move_box(box, motion_of(0, name, 2), (40, 32)) for box in old]
        assert_boxes(after.boxes[name], [box for box in moved if box])


def test_a_split_list_chooses_the_pairs(tmp_path, source):
    root = source("m3fd")
    (tmp_path / "some.txt").write_text("test\t00002\n")
    split = str(tmp_path / "some.txt")
    degrade_dataset(root, "m3fd", "jpeg", 2, tmp_path / "out", split=split)
    assert [pair.id for pair in load_dataset(tmp_path / "out", "m3fd", split=split).pairs] == ["00002"]
    assert [path.name for path in (tmp_path / "out" / "Annotation").iterdir()] == ["00002.xml"]


def test_coco_truth_of_a_layout_moves_apart(tmp_path, source):
    root = source("flir")
    copy = degrade_dataset(root, "flir", "misalign", 3, tmp_path / "out", seed=3, move="infrared", truth_on="infrared")
    assert copy.truth == {"boxes": tmp_path / "out" / "boxes"}
    assert not (tmp_path / "out" / "annotations.json").exists()
    before, after = load_dataset(root, "flir"), load_dataset(tmp_path / "out", "flir", **copy.truth)
    for pair in before.pairs:
        motion = motion_of(3, pair.id, 3)
        moved = [box for each in before.boxes.boxes[pair.id] if (box := move_box(each, motion, pair.size))]
        assert_boxes(after.boxes.boxes[pair.id], moved)


def test_awmm_by_the_name_of_its_root(tmp_path, picture):
    for folder in ("ir", "vi", "gt_vi"):
        picture(tmp_path / "Rain" / folder / "1.png", size=(40, 40), channels=3 if "vi" in folder else 1)
    with pytest.raises(RequestError, match="end -o in Rain"):
        degrade_dataset(tmp_path / "Rain", "awmm", "jpeg", 1, tmp_path / "out")
    degrade_dataset(tmp_path / "Rain", "awmm", "jpeg", 1, tmp_path / "out" / "Rain")
    assert load_dataset(tmp_path / "out" / "Rain", "awmm").pairs[0].conditions == ("rain",)
    assert (tmp_path / "out" / "Rain" / "gt_vi" / "1.png").is_file()


def test_wrong_requests(tmp_path, source):
    root, out = source("folder"), tmp_path / "out"
    for kind, level, text in (("fog", 1, "unknown kind 'fog'; known are rain"), ("rain", 6, "levels are 0")):
        with pytest.raises(RequestError, match=text):
            degrade_dataset(root, "folder", kind, level, out)
    for place, text in ((root, "would be overwritten"), (root / "inside", "in one another"), (root.parent, "in one")):
        with pytest.raises(RequestError, match=text):
            degrade_dataset(root, "folder", "rain", 1, place)
    with pytest.raises(RequestError, match="misalign only"):
        degrade_dataset(root, "folder", "rain", 1, out, move="visible")
    with pytest.raises(RequestError, match="infrared, visible"):
        degrade_dataset(root, "folder", "misalign", 1, out, move="both")
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("x")
    with pytest.raises(RequestError, match="not an empty folder"):
        degrade_dataset(root, "folder", "rain", 1, out)
    with pytest.raises(RequestError, match="not an empty folder"):
        degrade_dataset(root, "folder", "rain", 1, out / "mine.txt")


def test_command(tmp_path, source, run_cli):
    root, out = source("msrs"), tmp_path / "out"
    arguments = ("data", "degrade", root, "--layout", "msrs", "--kind", "haze", "--level", "2", "-o", out)
    assert run_cli(*arguments) == 0
    assert "visibility 1000 m" in run_cli.output
    assert "changed: visible and infrared" in run_cli.output
    assert read_infrared(out / "test" / "ir" / "00003D.png").shape == (64, 80)
    assert run_cli(*arguments[:-3], "7", "-o", tmp_path / "no") == 2
    assert "level 7" in run_cli.error
    assert run_cli("data", "check", out, "--layout", "msrs") == 0


def assert_boxes(found: tuple[Box, ...], expected) -> None:
    assert [box.name for box in found] == [box.name for box in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one.x, one.y, one.w, one.h) == pytest.approx((other.x, other.y, other.w, other.h), abs=1e-6)
