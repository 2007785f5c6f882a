"""Data sets with traps in their files: a pair in one file, a white border, rotated boxes, splits in COCO files."""

import json

import numpy as np
import pytest
from PIL import Image

from fuse2task.data.check import check_dataset
from fuse2task.data.dataset import Box
from fuse2task.data.degradation.geometry import motion_of, move_box, move_image
from fuse2task.data.degradation.writing import degrade_dataset
from fuse2task.data.images import read_camera, read_pair
from fuse2task.data.loading import load_dataset, scan_dataset
from fuse2task.runtime.errors import RequestError

RNG = np.random.default_rng(17)


def noise(*shape):
    return RNG.integers(0, 200, shape, dtype=np.uint8)


@pytest.fixture
def packed(tmp_path, mask):
    """MFNet as released: its root, and the four channels of each file."""
    four = {name: noise(24, 32, 4) for name in ("00001D", "00001D_flip", "00002N")}
    (tmp_path / "mfnet" / "images").mkdir(parents=True)
    for name, pixels in four.items():
        Image.fromarray(pixels).save(tmp_path / "mfnet" / "images" / f"{name}.png")
        mask(tmp_path / "mfnet" / "labels" / f"{name}.png", (0, 8))
    return tmp_path / "mfnet", four


def test_files_of_four_channels_are_pairs_and_mirrored_copies_are_counted(packed):
    root, four = packed
    dataset = load_dataset(root, "mfnet")
    assert [pair.id for pair in dataset.pairs] == ["00001D", "00002N"]
    assert any("1 pairs are mirrored copies (*_flip), which no list names" in note for note in dataset.notes)
    for pair in dataset.pairs:
        infrared, visible = read_pair(pair)
        assert (visible == four[pair.id][..., :3]).all()
        assert (infrared == four[pair.id][..., 3]).all()
    (root / "train.txt").write_text("00001D\n00001D_flip\n")
    (root / "test.txt").write_text("00002N\n")
    assert [pair.id for pair in load_dataset(root, "mfnet").part("train")] == ["00001D", "00001D_flip"]


def test_a_packed_pair_is_checked_fused_and_scored_as_two_files_are(packed, tmp_path, run_cli):
    root, four = packed
    report = check_dataset(*scan_dataset(root, "mfnet"))
    assert (report.findings, [note for note in report.notes if "copies of another" in note]) == ([], [])
    for camera, channels in (("visible", slice(0, 3)), ("infrared", 3)):
        out = tmp_path / camera
        assert run_cli("fusion", "apply", "--method", camera, "--data", root, "--layout", "mfnet", "-o", out) == 0
        pixels = np.asarray(Image.open(out / "images" / "test" / "00002N.png"))
        if camera == "visible":
            assert (pixels == four["00002N"][..., channels]).all()
    Image.fromarray(four["00002N"][..., :3]).save(root / "images" / "00002N.png")
    assert any("RGB, but a pair in one file has four" in item.message for item in _findings(root, "mfnet"))


def _findings(root, layout):
    return check_dataset(*scan_dataset(root, layout)).findings


def test_a_degraded_copy_stays_packed(packed, tmp_path):
    root, four = packed
    degrade_dataset(root, "mfnet", "hotpixel", 5, tmp_path / "hot")
    degrade_dataset(root, "mfnet", "misalign", 2, tmp_path / "moved", move="infrared", truth_on="infrared")
    (pair, _) = load_dataset(tmp_path / "hot", "mfnet").pairs
    infrared, visible = read_pair(pair)
    assert (visible == four["00001D"][..., :3]).all()
    assert (infrared != four["00001D"][..., 3]).any()
    (pair, _) = load_dataset(tmp_path / "moved", "mfnet").pairs
    assert (read_pair(pair)[0] == move_image(four["00001D"][..., 3], motion_of(0, "00001D", 2))).all()


@pytest.fixture
def framed(tmp_path, voc):
    """DroneVehicle with its border: its root, and the inner pixels by camera. Boxes count from the frame's corner."""
    grey = noise(64, 48)
    inner = {"trainimgr": grey, "trainimg": np.stack([199 - grey, 199 - grey, 99 - grey // 2], axis=2)}  # one scene
    for folder, pixels in inner.items():
        whole = np.full((264, 248, *pixels.shape[2:]), 255, np.uint8)
        whole[100:-100, 100:-100] = pixels
        (tmp_path / "dv" / "train" / folder).mkdir(parents=True)
        Image.fromarray(whole).save(tmp_path / "dv" / "train" / folder / "00001.png")
    boxes = (("car", 110, 120, 120, 140), ("bus", 90, 150, 130, 160))
    voc(tmp_path / "dv" / "train" / "trainlabelr" / "00001.xml", *boxes, size=(248, 264))
    return tmp_path / "dv", inner


def test_a_white_border_is_left_out_and_boxes_follow(framed, tmp_path, voc):
    root, inner = framed
    dataset = load_dataset(root, "dronevehicle")
    (pair,) = dataset.pairs
    assert pair.size == (48, 64)
    assert (read_camera(pair, "infrared") == inner["trainimgr"]).all()
    assert (read_camera(pair, "visible") == inner["trainimg"]).all()
    assert dataset.boxes.boxes["00001"] == (Box("car", 10, 20, 10, 20), Box("bus", 0, 50, 30, 10))
    notes = " ".join(dataset.notes)
    assert "1 pairs have a white border of 100 px, which is left out" in notes
    assert "1 boxes reach beyond the image" in notes
    assert _findings(root, "dronevehicle") == []
    for folder, pixels in inner.items():  # cropped already: nothing is cropped again
        Image.fromarray(pixels).save(root / "train" / folder / "00001.png")
    voc(root / "train" / "trainlabelr" / "00001.xml", ("car", 10, 20, 20, 40), size=(48, 64))
    dataset = load_dataset(root, "dronevehicle")
    assert (dataset.pairs[0].border, dataset.boxes.boxes["00001"]) == (0, (Box("car", 10, 20, 10, 20),))


def test_a_border_of_one_camera_or_of_some_images_is_a_finding(framed, voc):
    root, inner = framed
    folder = root / "train" / "trainimg"
    whole = np.asarray(Image.open(folder / "00001.png"))
    grey = noise(264, 248)
    for camera, pixels in zip(inner, (grey, 199 - grey), strict=True):
        Image.fromarray(pixels).save(root / "train" / camera / "00002.png")
    voc(root / "train" / "trainlabelr" / "00002.xml", size=(248, 264))
    assert [item.kind for item in _findings(root, "dronevehicle")] == ["no-border"] * 2
    Image.fromarray(np.minimum(whole, 199)).save(folder / "00001.png")
    assert "border" in {item.kind for item in _findings(root, "dronevehicle")}


def test_degraded_copies_keep_border_and_boxes(framed, tmp_path):
    root, inner = framed
    degrade_dataset(root, "dronevehicle", "misalign", 2, tmp_path / "out", truth_on="infrared")
    dataset = load_dataset(tmp_path / "out", "dronevehicle")
    (pair,) = dataset.pairs
    motion = motion_of(0, "00001", 2)
    assert pair.size == (48, 64)
    assert (read_camera(pair, "infrared") == move_image(inner["trainimgr"], motion)).all()
    car = dataset.boxes.boxes["00001"][0]
    expected = move_box(Box("car", 10, 20, 10, 20), motion, (48, 64))
    assert (car.x, car.y, car.w, car.h) == pytest.approx((expected.x, expected.y, expected.w, expected.h))


VEDAI = "20 12 0.5 {} 1 0 10 30 32 12 4 6 20 18\n"  # corners of a box 10..32 x 4..20


def test_rotated_boxes_of_vedai_count_as_the_box_round_them(tmp_path, picture):
    for name in ("00000000", "00000001"):
        picture(tmp_path / "Vehicules512" / f"{name}_ir.png")
        picture(tmp_path / "Vehicules512" / f"{name}_co.png", channels=3)
    labels = tmp_path / "Annotations512"
    labels.mkdir()
    (labels / "00000000.txt").write_text(VEDAI.format(31) + "30 12 0 11 0 0 25 40 40 25 8 8 16 16\n")
    (labels / "00000001.txt").write_text("")
    (labels / "fold01.txt").write_text("00000000\n")
    dataset = load_dataset(tmp_path, "vedai")
    assert dataset.boxes.boxes["00000000"] == (Box("plane", 10, 4, 22, 16), Box("pickup", 25, 8, 7, 8))
    notes = " ".join(dataset.notes)
    assert "2 objects are polygons or rotated boxes" in notes
    assert "1 boxes reach beyond the image" in notes
    assert "1 truth files of no pair" in notes
    degrade_dataset(tmp_path, "vedai", "misalign", 1, tmp_path.with_name("moved"), move="visible")
    moved = load_dataset(tmp_path.with_name("moved"), "vedai").boxes.boxes["00000000"][0]
    expected = move_box(Box("plane", 10, 4, 22, 16), motion_of(0, "00000000", 1), (32, 24))
    assert (moved.x, moved.y, moved.w, moved.h) == pytest.approx((expected.x, expected.y, expected.w, expected.h))
    for line, kind in (("1 2 3\n", "bad-annotation"), (VEDAI.format(6), "unknown-class")):
        (labels / "00000001.txt").write_text(line)
        assert [item.kind for item in scan_dataset(tmp_path, "vedai")[1]] == [kind]


@pytest.fixture
def smod(tmp_path, picture):
    root = tmp_path / "smod"
    for folder in ("day", "night"):
        for name in ("000000", "000001"):
            picture(root / folder / f"{name}_rgb.jpg", channels=3)
            picture(root / folder / f"{name}_tir.jpg")
    (root / "anno").mkdir()
    for part, numbers in (("train", (0,)), ("test", (1,))):
        images = [
            {"id": 10 * number + at, "file_name": f"{folder}/00000{number}_rgb.jpg", "width": 32, "height": 24}
            for number in numbers for at, folder in enumerate(("day", "night"))
        ]  # fmt: skip
        boxes = [
            {"id": n, "image_id": image["id"], "category_id": n % 4 + 1, "bbox": [n, 2, 8, 9], "occlusion": "no"}
            for n, image in enumerate(images, numbers[0])
        ]
        categories = [{"id": n, "name": name} for n, name in enumerate(("person", "rider", "bicycle", "car"), 1)]
        text = json.dumps({"images": images, "annotations": boxes, "categories": categories})
        (root / "anno" / f"new_{part}_annotations_rgb.json").write_text(text)
    return root


def test_smod_splits_by_its_coco_files_and_day_and_night_number_anew(smod, tmp_path):
    dataset = load_dataset(smod, "smod")
    found = [(pair.split, pair.id, pair.conditions) for pair in dataset.pairs]
    assert found == [
        ("test", "day__000001", ("day",)), ("test", "night__000001", ("night",)),
        ("train", "day__000000", ("day",)), ("train", "night__000000", ("night",)),
    ]  # fmt: skip
    assert dataset.boxes.boxes["night__000001"] == (Box("bicycle", 2, 2, 8, 9),)
    assert dataset.boxes.classes == ("person", "rider", "bicycle", "car")
    degrade_dataset(smod, "smod", "night", 1, tmp_path / "night")
    assert load_dataset(tmp_path / "night", "smod").boxes == dataset.boxes
    with pytest.raises(RequestError, match=r"COCO files tell its split.*give --split a list"):
        degrade_dataset(smod, "smod", "misalign", 1, tmp_path / "moved", move="visible")


def test_all_coco_files_of_a_described_layout_are_read(smod, tmp_path):
    (tmp_path / "two.yaml").write_text(
        'folders: [{infrared: "[dn]*", visible: "[dn]*"}]\nnames: {infrared: "{}_tir", visible: "{}_rgb"}\n'
        "truth: [{kind: coco, folders: [anno/new_train_annotations_rgb.json, anno/new_test_annotations_rgb.json], "
        "classes: [person, rider, bicycle, car]}]\n"
    )
    dataset = load_dataset(smod, str(tmp_path / "two.yaml"))
    assert sum(map(len, dataset.boxes.boxes.values())) == 4
