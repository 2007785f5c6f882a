"""The reader against real data sets and against annotations that others wrote."""

import json
from collections import Counter

import pytest

from fuse2task.data.check import check_dataset, count
from fuse2task.data.dataset import m3fd_conditions
from fuse2task.data.loading import load_dataset, scan_dataset
from fuse2task.data.splits import read_split, resolve
from fuse2task.data.truth.boxes import format_yolo
from fuse2task.data.truth.coco import count_coco


def test_msrs_with_boxes_of_the_fused_images(shared_path):
    root = shared_path("data", "MSRS")
    dataset = load_dataset(root, "msrs", boxes=root / "boxes" / "fusion")
    counts = count(dataset)
    assert counts["pairs"] == {"train": 119, "test": 122}
    assert counts["sizes"] == {"640x480": 241}
    assert counts["boxes"]["train"] == {"person": 279, "bicycle": 34, "car": 171}
    nights = sum(pair.id.endswith("N") for pair in dataset.pairs)
    assert counts["conditions"] == {"day": 241 - nights, "night": nights}
    named = load_dataset(root, "msrs", split="msrs-open")
    assert named.split_hash == dataset.split_hash
    assert named.pairs == dataset.pairs
    absent = scan_dataset(root, "msrs", split="msrs-official")[1]
    assert [finding.kind for finding in absent] == ["not-on-disk"] * (1444 - 241)


def test_msrs_boxes_written_again_are_the_same_to_the_digit(shared_path):
    root = shared_path("data", "MSRS")
    dataset = load_dataset(root, "msrs", boxes=root / "boxes" / "fusion")
    assert dataset.pairs
    for pair in dataset.pairs:
        source = (root / "boxes" / "fusion" / f"{pair.id}.txt").read_text().split()
        ours = format_yolo(dataset.boxes.boxes[pair.id], dataset.boxes.classes, pair.size).split()
        assert [float(a) for a in ours] == pytest.approx([float(b) for b in source], abs=1e-9)


def test_msrs_pseudo_labels_have_nine_classes(shared_path):
    root = shared_path("data", "MSRS")
    pixels = count(load_dataset(root, "msrs", masks=root / "pseudo_labels"))["pixels"]
    assert sum(pixels.values()) == 241 * 640 * 480
    assert len(pixels) == 9


def test_m3fd_xml_equals_the_coco_files(shared_path):
    root = shared_path("data", "M3FD")
    xml = load_dataset(root, "m3fd")
    coco = load_dataset(root, "m3fd", annotations=root / "annotations")
    assert len(xml.pairs) == 9
    assert xml.boxes == coco.boxes
    theirs = {}
    for path in (root / "annotations").glob("*.json"):
        value = json.loads(path.read_text())
        names = {item["id"]: item["name"] for item in value["categories"]}
        stems = {item["id"]: item["file_name"][:-4] for item in value["images"]}
        for item in value["annotations"]:
            theirs.setdefault(stems[item["image_id"]], []).append((names[item["category_id"]], *item["bbox"]))
    for pair in xml.pairs:
        ours = [(box.name, box.x, box.y, box.w, box.h) for box in xml.boxes.boxes[pair.id]]
        assert sorted(ours) == sorted(theirs[pair.id])


def test_m3fd_truth_of_all_images(shared_path):
    counts = count_coco(shared_path("data", "M3FD", "annotations"))
    assert counts.images == {"train": 2727, "val": 633, "test": 840}
    assert counts.classes == {
        "People": 11477, "Car": 18296, "Bus": 700, "Motorcycle": 521, "Lamp": 2405, "Truck": 1008,
    }  # fmt: skip
    assert sum(counts.classes.values()) == 34407


def test_shipped_scenes_and_split_are_those_of_the_annotation_files(shared_path, tmp_path):
    folder = shared_path("data", "M3FD", "annotations")
    split, scenes = read_split(resolve("m3fd-scenes")), Counter()
    for path in folder.glob("*.json"):
        for image in json.loads(path.read_text())["images"]:
            name, scene = image["file_name"].removesuffix(".png"), image["scene"]
            scenes[scene] += 1
            assert split[name] == path.stem
            expected = ("scene:unlisted",) if scene == "unlisted" else (scene, f"scene:{scene}")
            assert m3fd_conditions(tmp_path, name) == expected
    assert scenes == count_coco(folder).scenes
    assert m3fd_conditions(tmp_path, "04200") == ()


def test_roadscene_split_is_the_published_test_list(shared_path):
    root = shared_path("data", "RoadScene")
    dataset = load_dataset(root, "roadscene", split="roadscene-171-50")
    names = {line.strip() for line in (root / "test50.txt").read_text().splitlines() if line.strip()}
    assert {pair.id for pair in dataset.part("test")} == names
    assert len(dataset.part("train")) == 171


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "layout", "pairs"), [("LLVIP", "llvip", 10), ("TNO_CrossFuse", "tno", 9), ("M3FD", "m3fd", 9)]
)
def test_other_real_data_is_clean_and_registered(shared_path, folder, layout, pairs):
    report = check_dataset(*scan_dataset(shared_path("data", folder), layout))
    assert len(report.dataset.pairs) == pairs
    assert report.findings == []
    assert abs(report.counts["misalignment"]["dx"]) < 2


def test_mfnet_masks_by_folder(shared_path):
    root = shared_path("data", "MFNet_figures")
    dataset = load_dataset(root, "folder", masks=root / "labels", palette="mfnet")
    assert len(dataset.pairs) == 6
    named = count(dataset)["pixels"]
    assert named["background"] > 0
    unnamed = count(load_dataset(root, "folder", masks=root / "labels"))["pixels"]  # nothing names the classes
    assert unnamed == {str(k): number for k, number in enumerate(named.values()) if str(k) in unnamed}
    assert sum(unnamed.values()) == sum(named.values())
