"""Boxes from COCO to VOC to YOLO and back: the same boxes, and what does not fit is refused."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuse2task.data.images import write_image
from fuse2task.data.truth.conversion import convert_boxes
from fuse2task.runtime.errors import RequestError

NAMES = ("car", "traffic light", "<person> & dog")


@st.composite
def box_sets(draw):
    """[(width, height, [(class, x, y, w, h)])], boxes with edges inside the image."""
    images = []
    for _ in range(draw(st.integers(1, 3))):
        width, height = draw(st.integers(8, 60)), draw(st.integers(8, 60))
        boxes = []
        for _ in range(draw(st.integers(0, 3))):
            x, y = draw(st.floats(0, width - 2)), draw(st.floats(0, height - 2))
            w, h = draw(st.floats(1, width - x)), draw(st.floats(1, height - y))
            boxes.append((draw(st.integers(1, 3)), x, y, w, h))
        images.append((width, height, boxes))
    return images


def write_set(root, images):
    """Images in root/images (some in a folder below), boxes in root/boxes.json."""
    content = {"images": [], "annotations": [], "categories": [{"id": k, "name": n} for k, n in enumerate(NAMES, 1)]}
    for number, (width, height, boxes) in enumerate(images, 1):
        name = f"a{number}.png" if number % 2 else f"night/b{number}.png"
        write_image(root / "images" / name, np.zeros((height, width), np.uint8))
        content["images"].append({"id": number, "file_name": name, "width": width, "height": height})
        for kind, *box in boxes:
            count = len(content["annotations"]) + 1
            content["annotations"].append({"id": count, "image_id": number, "category_id": kind, "bbox": box})
    (root / "boxes.json").write_text(json.dumps(content))
    return content


@given(box_sets())
@settings(max_examples=40)
def test_round_trip_through_all_formats(images):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        given_set = write_set(root, images)
        convert_boxes(root / "boxes.json", root / "images", "yolo", root / "yolo")
        convert_boxes(root / "yolo", root / "images", "voc", root / "voc")
        convert_boxes(root / "voc", root / "images", "coco", root / "back.json")
        back = json.loads((root / "back.json").read_text())
    assert [image["file_name"] for image in back["images"]] == sorted(i["file_name"] for i in given_set["images"])
    assert flat(back) == [(file, name, pytest.approx(box, abs=1e-6)) for file, name, box in flat(given_set)]


def flat(content):
    """[(file name, class name, box)] in order of file, boxes of a file in order."""
    files = {image["id"]: image["file_name"] for image in content["images"]}
    names = {item["id"]: item["name"] for item in content["categories"]}
    rows = [(files[a["image_id"]], names[a["category_id"]], a["bbox"]) for a in content["annotations"]]
    return sorted(rows, key=lambda row: row[0])


def test_the_yolo_numbers_by_hand(tmp_path):
    write_set(tmp_path, [(40, 20, [(2, 10.0, 5.0, 20.0, 10.0)])])
    convert_boxes(tmp_path / "boxes.json", tmp_path / "images", "yolo", tmp_path / "yolo")
    assert (tmp_path / "yolo" / "a1.txt").read_text() == "1 0.5 0.5 0.5 0.5\n"
    assert (tmp_path / "yolo" / "classes.txt").read_text().splitlines() == list(NAMES)


def test_pycocotools_reads_what_is_written(tmp_path, run_cli):
    from pycocotools.coco import COCO

    write_set(tmp_path, [(40, 20, [(1, 1.0, 2.0, 3.0, 4.0), (3, 5.0, 6.0, 7.0, 8.0)])])
    images = ("--images", tmp_path / "images")
    assert run_cli("data", "convert", tmp_path / "boxes.json", *images, "--to", "voc", "-o", tmp_path / "voc") == 0
    assert "2 boxes of 1 images" in run_cli.output
    assert run_cli("data", "convert", tmp_path / "voc", *images, "--to", "coco", "-o", tmp_path / "new.json") == 0
    read = COCO(str(tmp_path / "new.json"))
    assert sorted(a["area"] for a in read.loadAnns(read.getAnnIds())) == [12.0, 56.0]


def test_what_does_not_fit_is_refused_and_nothing_written(tmp_path):
    write_set(tmp_path, [(40, 20, [(1, 30.0, 2.0, 30.0, 4.0)])])
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "a.txt").write_text("")
    for images, out, message in (
        ("images", "yolo", "box-outside"),
        ("nowhere", "yolo", "no such folder of images"),
        ("images", "images", "is the input .*images, which would be overwritten"),
        ("images", "used", "in use already"),
    ):
        with pytest.raises(RequestError, match=message):
            convert_boxes(tmp_path / "boxes.json", tmp_path / images, "yolo", tmp_path / out)
    with pytest.raises(RequestError, match=r"something\.json"):
        convert_boxes(tmp_path / "boxes.json", tmp_path / "images", "coco", tmp_path / "new")
    assert not (tmp_path / "yolo").exists()
