"""Boxes from YOLO, VOC and COCO: what is read, what is clipped, what is refused."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuse2task.data.classes import M3FD
from fuse2task.data.dataset import Box, BoxTruth, Pair
from fuse2task.data.loading import scan_dataset
from fuse2task.data.truth.boxes import format_yolo, read_voc, read_yolo
from fuse2task.data.truth.coco import coco_truth, count_coco, read_coco
from fuse2task.runtime.errors import RequestError


@pytest.fixture
def pair(tmp_path):
    return Pair("a", "test", tmp_path / "ir.png", tmp_path / "vi.png", (100, 50))


@pytest.fixture
def yolo(tmp_path, pair):
    """Reads one line of YOLO text: (truth, kinds of findings)."""

    def read(text, names="person\ncar\n", **options):
        (tmp_path / "classes.txt").write_text(names)
        (tmp_path / "a.txt").write_text(text)
        truth, findings = read_yolo(tmp_path, [pair], **options)
        return truth, [finding.kind for finding in findings]

    return read


def coco(path, annotations, image=None):
    """A COCO file with one image `a` of 100x50 and categories 3 car, 7 person."""
    value = {
        "images": [{"id": 5, "file_name": "a.png", "width": 100, "height": 50, **(image or {})}],
        "annotations": [{"id": 1, "image_id": 5, "category_id": 3, **item} for item in annotations],
        "categories": [{"id": 7, "name": "person"}, {"id": 3, "name": "car"}],
    }
    path.write_text(json.dumps(value))
    return path


def test_yolo_with_double_spaces_and_long_floats(yolo):
    truth, findings = yolo("1  0.500000000000001  0.5  0.2  0.4  \n")
    assert findings == []
    assert truth.classes == ("person", "car")
    (box,) = truth.boxes["a"]
    assert (box.name, box.y, box.h) == ("car", pytest.approx(15), pytest.approx(20))
    assert (box.x, box.w) == (pytest.approx(40, abs=1e-9), pytest.approx(20))


def test_class_names_with_ids_in_any_order(yolo):
    truth, findings = yolo("0 .5 .5 .1 .1\n", names="1 traffic light\n0 person\n")
    assert (truth.classes, findings) == (("person", "traffic light"), [])
    assert truth.boxes["a"][0].name == "person"


def test_empty_label_file_is_an_image_without_objects(yolo):
    truth, findings = yolo("")
    assert (truth.boxes, findings) == ({"a": ()}, [])


def test_label_files_in_folders_by_split(tmp_path, pair):
    (tmp_path / "test").mkdir()
    (tmp_path / "classes.txt").write_text("car\n")
    (tmp_path / "test" / "a.txt").write_text("0 .5 .5 .1 .1\n")
    truth, findings = read_yolo(tmp_path, [pair])
    assert (len(truth.boxes["a"]), findings) == (1, [])


def test_missing_label_file(tmp_path, pair):
    (tmp_path / "classes.txt").write_text("car\n")
    assert [finding.kind for finding in read_yolo(tmp_path, [pair])[1]] == ["missing-truth"]


def test_yolo_without_class_names(tmp_path, pairs_in):
    pairs_in(tmp_path / "ir", tmp_path / "vi", "00000.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "00000.txt").write_text("0 .5 .5 .1 .1\n")
    dataset, findings = scan_dataset(tmp_path, "m3fd")
    assert dataset.boxes is None
    assert [finding.kind for finding in findings] == ["no-class-names"]
    assert "disagree" in findings[0].message


@pytest.mark.parametrize("names", ["", "car\n\nperson\n", "car\ncar\n", "0 car\n2 person\n", "0 car\n0 person\n"])
def test_bad_lists_of_class_names(yolo, names):
    assert yolo("", names=names) == (None, ["no-class-names"])


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("2 .5 .5 .1 .1", "unknown-class"), ("-1 .5 .5 .1 .1", "unknown-class"),
        ("0 .5 .5 .1", "bad-annotation"), ("0 .5 .5 .1 .1 .9", "bad-annotation"),
        ("car .5 .5 .1 .1", "bad-annotation"),
        ("0 .5 .5 0 .1", "bad-box"), ("0 .5 .5 .1 -.1", "bad-box"),
        ("0 nan .5 .1 .1", "bad-box"), ("0 .5 inf .1 .1", "bad-box"), ("0 .5 1e999 .1 .1", "bad-box"),
        ("0 1e6 .5 .1 .1", "box-outside"), ("0 .97 .5 .1 .1", "box-outside"),
        ("0 1e30 .5 .1 .1", "bad-box"), ("0 .5 .02 .1 .1", "box-outside"),
    ],
)  # fmt: skip
def test_yolo_findings(yolo, line, kind):
    truth, findings = yolo(f"1 .5 .5 .1 .1\n{line}\n")
    assert findings == [kind]
    assert len(truth.boxes["a"]) == 1


def test_unknown_class_names_file_line_and_class(tmp_path, pair):
    (tmp_path / "classes.txt").write_text("person\nlight\n")
    (tmp_path / "a.txt").write_text("\n1 .5 .5 .1 .1\n")
    (finding,) = read_yolo(tmp_path, [pair], M3FD, only_known=True)[1]
    assert finding.kind == "unknown-class"
    assert f"{tmp_path / 'a.txt'}, line 2" in finding.message
    assert "'light'" in finding.message


def test_pointed_at_names_define_the_list_unless_the_layout_knows_them(yolo):
    assert yolo("", names="person\nlight\n", known=M3FD)[0].classes == ("person", "light")
    assert yolo("", names="Truck\nCar\n", known=M3FD)[0].classes == M3FD


@pytest.mark.parametrize(("beyond", "clipped", "kinds"), [(0.3, 1, []), (0.5, 1, []), (0.51, 0, ["box-outside"])])
@pytest.mark.parametrize("side", ["left", "top", "right", "bottom"])
def test_boxes_a_little_outside_are_clipped_and_counted(tmp_path, pair, side, beyond, clipped, kinds):
    places = {
        "left": (-beyond, 9),
        "top": (9, -beyond),
        "right": (90 + beyond, 9),
        "bottom": (9, 40 + beyond),
    }
    path = coco(tmp_path / "t.json", [{"bbox": [*places[side], 10, 10]}])
    truth, findings = read_coco(path, [pair])
    assert (truth.clipped, [finding.kind for finding in findings]) == (clipped, kinds)
    for box in truth.boxes["a"]:
        assert min(box.x, box.y) >= 0
        assert box.x + box.w <= 100
        assert box.y + box.h <= 50
        assert sorted([box.w, box.h]) == [pytest.approx(10 - beyond), 10]


def test_touching_the_border_is_not_clipping(yolo):
    truth, findings = yolo("0 0.85 0.7 0.3 0.6\n")
    assert (truth.clipped, findings) == (0, [])
    assert truth.boxes["a"][0].x + truth.boxes["a"][0].w <= 100


sides = st.integers(2, 1024)


@settings(max_examples=300)
@given(st.data(), sides, sides)
def test_yolo_round_trip(tmp_path_factory, data, width, height):
    left, top = data.draw(st.floats(0, width - 1)), data.draw(st.floats(0, height - 1))
    box = Box("b", left, top, data.draw(st.floats(0.5, width - left)), data.draw(st.floats(0.5, height - top)))
    folder = tmp_path_factory.mktemp("yolo")
    (folder / "classes.txt").write_text("a\nb\n")
    text = format_yolo([box], ("a", "b"), (width, height))
    (folder / "x.txt").write_text(text)
    truth, findings = read_yolo(folder, [Pair("x", "test", folder, folder, (width, height))])
    assert (findings, truth.clipped) == ([], 0)
    (again,) = truth.boxes["x"]
    assert again.name == "b"
    for name in "xywh":
        assert getattr(again, name) == pytest.approx(getattr(box, name), rel=0, abs=1e-9)


def test_format_yolo():
    box = Box("car", 10, 5, 20, 10)
    assert format_yolo([box, box], ("person", "car"), (100, 50)) == "1 0.2 0.2 0.2 0.2\n" * 2
    assert format_yolo([], ("car",), (100, 50)) == ""
    assert format_yolo([Box("car", 0, 0, 1, 1)], ("car",), (3, 7)).split()[1] == "0.166666666667"


def test_voc_classes_are_the_names_seen_sorted(tmp_path, pair, voc):
    voc(tmp_path / "a.xml", ("tram", 0, 0, 100, 50), ("bike", 1, 1, 3, 4), size=(100, 50))
    truth, findings = read_voc(tmp_path, [pair])
    assert (truth.classes, findings) == (("bike", "tram"), [])
    assert truth.boxes["a"] == (Box("tram", 0, 0, 100, 50), Box("bike", 1, 1, 2, 3))


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        (("Lmap", 1, 1, 5, 5), "unknown-class"), (("Car", 1, 1, 102, 5), "box-outside"),
        (("Car", 5, 5, 5, 9), "bad-box"),
        (("Car", "", 1, 5, 5), "bad-box"), (("Car", "1e999", 1, 5, 5), "bad-box"),
    ],
)  # fmt: skip
def test_voc_findings(tmp_path, pair, voc, item, kind):
    voc(tmp_path / "a.xml", item, size=(100, 50))
    assert [finding.kind for finding in read_voc(tmp_path, [pair], M3FD)[1]] == [kind]


def test_voc_for_another_image_size(tmp_path, pair, voc):
    voc(tmp_path / "a.xml", size=(200, 100))
    assert [finding.kind for finding in read_voc(tmp_path, [pair], M3FD)[1]] == ["truth-size"]
    voc(tmp_path / "a.xml", size=(0, 0))
    assert read_voc(tmp_path, [pair], M3FD)[1] == []


@pytest.mark.parametrize(
    "text",
    [
        "<annotation><object>",
        '<!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;">]><annotation>&b;</annotation>',
        '<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
    ],
)
def test_broken_and_hostile_xml_is_refused(tmp_path, pair, text):
    (tmp_path / "a.xml").write_text(text)
    assert [finding.kind for finding in read_voc(tmp_path, [pair], M3FD)[1]] == ["bad-annotation"]


def test_coco_classes_in_category_order(tmp_path, pair):
    truth, findings = read_coco(coco(tmp_path / "t.json", [{"bbox": [1, 2, 3.5, 4]}]), [pair])
    assert (truth.classes, findings) == (("car", "person"), [])
    assert truth.boxes["a"] == (Box("car", 1, 2, 3.5, 4),)


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ({"bbox": [1, 2, 3]}, "bad-annotation"), ({"bbox": ["1", 2, 3, 4]}, "bad-annotation"),
        ({}, "bad-annotation"),
        ({"bbox": [1, 2, 3, math.nan]}, "bad-box"), ({"bbox": [1, 2, 0, 3]}, "bad-box"),
        ({"bbox": [1, 2, 10**400, 3]}, "box-outside"), ({"bbox": [-2, 2, 3, 3]}, "box-outside"),
        ({"bbox": [1, 2, 3, 4], "category_id": 9}, "unknown-class"),
        ({"bbox": [1, 2, 3, 4], "iscrowd": 1}, "crowd-box"),
    ],
)  # fmt: skip
def test_coco_findings(tmp_path, pair, item, kind):
    truth, findings = read_coco(coco(tmp_path / "t.json", [item]), [pair])
    assert ([finding.kind for finding in findings], truth.boxes["a"]) == ([kind], ())


def test_coco_image_missing_twice_or_of_another_size(tmp_path, pair):
    path = coco(tmp_path / "t.json", [], {"file_name": "b.png"})
    assert [finding.kind for finding in read_coco(path, [pair])[1]] == ["missing-truth"]
    path = coco(tmp_path / "t.json", [], {"width": 101})
    assert [finding.kind for finding in read_coco(path, [pair])[1]] == ["truth-size"]
    folder = tmp_path / "two"
    folder.mkdir()
    coco(folder / "1.json", [])
    coco(folder / "2.json", [])
    assert [finding.kind for finding in read_coco(folder, [pair])[1]] == ["duplicate-id"]


def test_coco_images_in_folders(tmp_path, pair):
    path = coco(tmp_path / "t.json", [], {"file_name": "images/vi/a.jpg"})
    assert read_coco(path, [pair])[1] == []


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"images": [], "annotations": [{"image_id": 1}], "categories": []}',
        '{"images": 3}',
        "[" * 100_000,
    ],
)
def test_files_that_are_not_coco(tmp_path, pair, text):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(RequestError, match=r"t\.json"):
        read_coco(tmp_path / "t.json", [pair])


def test_coco_files_with_other_categories(tmp_path, pair):
    coco(tmp_path / "1.json", [])
    other = json.loads((tmp_path / "1.json").read_text())
    other["categories"][0]["name"] = "dog"
    (tmp_path / "2.json").write_text(json.dumps(other))
    with pytest.raises(RequestError, match="other categories"):
        read_coco(tmp_path, [pair])


def test_coco_truth_is_read_back_the_same(tmp_path, pair):
    first = Pair("0", "test", tmp_path, tmp_path, (100, 50), ("night",))
    boxes = {"a": (Box("car", 1.25, 2, 3, 4), Box("person", 0, 0, 100, 50)), "0": ()}
    value = coco_truth([pair, first], BoxTruth(("person", "car"), boxes))
    assert value["images"] == [
        {"id": 1, "file_name": "0.png", "width": 100, "height": 50, "conditions": ["night"]},
        {"id": 2, "file_name": "a.png", "width": 100, "height": 50, "conditions": []},
    ]
    assert value["categories"] == [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}]
    assert value["annotations"][0] == {
        "id": 1, "image_id": 2, "category_id": 2, "bbox": [1.25, 2, 3, 4], "area": 12, "iscrowd": 0,
    }  # fmt: skip
    (tmp_path / "t.json").write_text(json.dumps(value))
    truth, findings = read_coco(tmp_path / "t.json", [pair, first])
    assert (truth.boxes, truth.classes, findings) == (boxes, ("person", "car"), [])


def test_coco_truth_loads_in_pycocotools(tmp_path, pair):
    from pycocotools.coco import COCO

    value = coco_truth([pair], BoxTruth(("car",), {"a": (Box("car", 1, 2, 3, 4),)}))
    (tmp_path / "t.json").write_text(json.dumps(value))
    loaded = COCO(tmp_path / "t.json")
    assert loaded.getAnnIds(catIds=[1], areaRng=[11, 13]) == [1]


def test_counts_of_whole_coco_files(tmp_path):
    path = coco(tmp_path / "train.json", [{"bbox": [1, 2, 3, 4]}, {"id": 2}], {"scene": "night"})
    counts = count_coco(path)
    assert (counts.images, counts.classes, counts.scenes) == (
        {"train": 1},
        {"car": 2, "person": 0},
        {"night": 1},
    )
