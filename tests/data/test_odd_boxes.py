"""Boxes as labelling tools and released data sets write them."""

import json

import numpy as np
import pytest

from detection.average_precision import evaluate
from fuse2task.data import layouts
from fuse2task.data.dataset import Box, defects
from fuse2task.data.degradation.geometry import Motion, motion_of, move_box, moved_voc
from fuse2task.data.images import write_image
from fuse2task.data.loading import load_dataset, scan_dataset
from fuse2task.data.splits import make_split
from fuse2task.data.truth.boxes import read_voc, read_yolo
from fuse2task.data.truth.coco import coco_truth, read_coco
from fuse2task.data.truth.conversion import convert_boxes
from fuse2task.runtime.errors import RequestError

SIZE = (40, 32)
VOC = "<annotation>{}</annotation>"
BOUNDS = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"


@pytest.fixture
def pairs(folder_dataset):
    root = folder_dataset(2, size=SIZE)
    return load_dataset(root, "folder").pairs


def test_copies_of_a_box_count_once_in_every_format(pairs, tmp_path):
    row = "0 0.5 0.5 0.2 0.25\n"
    for name in ("p0", "p1"):
        (tmp_path / f"{name}.txt").write_text(row * 3 + "1 0.5 0.5 0.2 0.25\n")  # another class is another box
        bounds = BOUNDS.format(16, 12, 24, 20)
        objects = f"<object><name>a</name>{bounds}</object>" * 3 + f"<object><name>b</name>{bounds}</object>"
        (tmp_path / f"{name}.xml").write_text(VOC.format(objects))
    (tmp_path / "classes.txt").write_text("a\nb\n")
    annotations = [
        {"id": 4 * image + k, "image_id": image, "category_id": 2 if k == 3 else 1, "bbox": [16, 12, 8, 8]}
        for image in (0, 1) for k in range(4)
    ]  # fmt: skip
    categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    images = [{"id": k, "file_name": f"p{k}.png"} for k in (0, 1)]
    (tmp_path / "c.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    for truth, findings in (
        read_yolo(tmp_path, pairs), read_voc(tmp_path, pairs), read_coco(tmp_path / "c.json", pairs),
    ):  # fmt: skip
        assert defects(findings) == []
        assert {name: [box.name for box in boxes] for name, boxes in truth.boxes.items()} == {
            "p0": ["a", "b"], "p1": ["a", "b"],
        }  # fmt: skip
        assert any(finding.message.startswith("4 boxes are copies") for finding in findings)


def test_an_object_with_several_bndbox_is_several_boxes(pairs, tmp_path):
    objects = f"<object><name>a</name>{BOUNDS.format(1, 2, 9, 9)}{BOUNDS.format(20, 2, 30, 9)}</object>"
    for name in ("p0", "p1"):
        (tmp_path / f"{name}.xml").write_text(VOC.format(objects))
    truth, findings = read_voc(tmp_path, pairs)
    assert defects(findings) == []
    assert truth.boxes["p1"] == (Box("a", 1, 2, 8, 7), Box("a", 20, 2, 10, 7))


def test_an_object_without_bndbox_is_a_finding(pairs, tmp_path):
    for name in ("p0", "p1"):
        (tmp_path / f"{name}.xml").write_text(VOC.format("<object><name>a</name></object>"))
    assert [finding.kind for finding in defects(read_voc(tmp_path, pairs)[1])] == ["bad-box", "bad-box"]


def test_of_polygons_and_rotated_boxes_the_box_round_them_counts(pairs, tmp_path):
    corners = [(5, 4), (15, 2), (17, 12), (7, 14)]
    numbered = "".join(f"<x{k}>{x}</x{k}><y{k}>{y}</y{k}>" for k, (x, y) in enumerate(corners, 1))
    points = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in corners)
    turned = f"<cx>20</cx><cy>16</cy><w>10</w><h>4</h><angle>{np.pi / 2}</angle>"
    for name, shape in (("p0", f"<polygon>{numbered}</polygon>"), ("p1", f"<polygon>{points}</polygon>")):
        other = f"<object><name>a</name><robndbox>{turned}</robndbox></object>"
        (tmp_path / f"{name}.xml").write_text(VOC.format(f"<object><name>a</name>{shape}</object>{other}"))
    truth, findings = read_voc(tmp_path, pairs)
    assert defects(findings) == []
    assert any(finding.message.startswith("4 objects are polygons or rotated") for finding in findings)
    for boxes in truth.boxes.values():
        assert boxes[0] == Box("a", 5, 2, 12, 12)
        assert (boxes[1].x, boxes[1].y, boxes[1].w, boxes[1].h) == pytest.approx((18, 11, 4, 10))
    moved = moved_voc(tmp_path / "p0.xml", Motion(2, 1, 0), SIZE)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "p0.xml").write_bytes(moved)
    assert read_voc(tmp_path / "m", pairs[:1])[0].boxes["p0"][0] == Box("a", 7, 3, 12, 12)
    for bad in ("<polygon/>", "<polygon><x1>3</x1></polygon>", "<robndbox><cx>3</cx></robndbox>"):
        (tmp_path / "m" / "p0.xml").write_text(VOC.format(f"<object><name>a</name>{bad}</object>"))
        assert [finding.kind for finding in defects(read_voc(tmp_path / "m", pairs[:1])[1])] == ["bad-box"]


def test_kaist_xml_and_text(pairs, tmp_path):
    bounds = "<bndbox><x>3</x><y>4</y><w>10</w><h>12</h></bndbox>"
    for name in ("p0", "p1"):
        (tmp_path / f"{name}.xml").write_text(VOC.format(f"<object><name>person</name>{bounds}</object>"))
        (tmp_path / f"{name}.txt").write_text(
            "% bbGt version=3\nperson 3 4 10 12 0 0 0 0 0 0 0\npeople 20 4 10 12 1 0 0 0 0 0 0\n"
        )
    (tmp_path / "p0.txt").write_text("% bbGt version=3\n")
    assert read_voc(tmp_path, pairs)[0].boxes["p0"] == (Box("person", 3, 4, 10, 12),)
    truth, findings = read_yolo(tmp_path, pairs)
    assert defects(findings) == []
    assert truth.classes == ("people", "person")
    assert truth.boxes == {"p0": (), "p1": (Box("person", 3, 4, 10, 12), Box("people", 20, 4, 10, 12))}
    (tmp_path / "p0.txt").write_text("% bbGt version=3\nperson 3 4 ten 12\n")
    assert [finding.kind for finding in defects(read_yolo(tmp_path, pairs)[1])] == ["bad-annotation"]


@pytest.mark.parametrize(("text", "kind"), [("1.0", None), ("1.000000e+00", None), ("1.5", "bad-annotation")])
def test_class_ids_may_be_whole_floats(pairs, tmp_path, text, kind):
    for name in ("p0", "p1"):
        (tmp_path / f"{name}.txt").write_text(f"{text} 0.5 0.5 0.2 0.25\n")
    (tmp_path / "classes.txt").write_text("a\nb\n")
    truth, findings = read_yolo(tmp_path, pairs)
    assert {finding.kind for finding in defects(findings)} == ({kind} if kind else set())
    assert [box.name for box in truth.boxes["p0"]] == ([] if kind else ["b"])


@pytest.mark.parametrize("prefix", ["", "images/", "data/images/", "D:\\data\\images\\"])
@pytest.mark.parametrize("name", ["DJI_0001__0001", "frame_7"])
def test_coco_file_names_may_have_folders(tmp_path, prefix, name):
    for folder in ("ir", "vi"):
        write_image(tmp_path / folder / f"{name}.png", np.eye(32, dtype=np.uint8) * 200)
    content = {
        "images": [{"id": 1, "file_name": f"{prefix}{name}.png", "width": 32, "height": 32}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
    }
    (tmp_path / "c.json").write_text(json.dumps(content))
    dataset = load_dataset(tmp_path, "folder", annotations=tmp_path / "c.json")
    assert dataset.boxes.boxes == {name: (Box("a", 1, 2, 3, 4),)}


@pytest.mark.parametrize("kind", ["voc", "yolo", "masks"])
@pytest.mark.parametrize("anew", [False, True])
def test_truth_in_a_folder_for_each_part(tmp_path, kind, anew, monkeypatch):
    monkeypatch.setattr(layouts, "LAYOUTS", dict(layouts.LAYOUTS))
    rng = np.random.default_rng(0)
    for part, first in (("train", 1), ("test", 1 if anew else 3)):
        for number in range(first, first + 2):
            for folder in ("ir", "rgb"):
                write_image(tmp_path / part / folder / f"{number:05d}.png", rng.integers(0, 255, (32, 40), np.uint8))
            place = tmp_path / part / "truth"
            place.mkdir(exist_ok=True)
            left = 5 if part == "train" else 20
            if kind == "voc":
                text = VOC.format(f"<object><name>car</name>{BOUNDS.format(left, 8, left + 10, 16)}</object>")
                (place / f"{number:05d}.xml").write_text(text)
            elif kind == "yolo":
                (place / f"{number:05d}.txt").write_text(f"0 {(left + 5) / 40} 0.375 0.25 0.25\n")
                (place / "classes.txt").write_text("car\n")
            else:
                write_image(place / f"{number:05d}.png", np.full((32, 40), part == "train", np.uint8))
    (tmp_path / "rig.yaml").write_text(
        "folders:\n"
        '  - {infrared: ir, visible: rgb, template: "train/{}", split: train}\n'
        '  - {infrared: ir, visible: rgb, template: "test/{}", split: test}\n'
        f"truth: [{{kind: {kind}, folders: [train/truth, test/truth], classes: [car, bus]}}]\n"
    )
    dataset, findings = scan_dataset(tmp_path, str(tmp_path / "rig.yaml"))
    assert findings == []
    assert [pair.id for pair in dataset.pairs] == (
        ["test__00001", "test__00002", "train__00001", "train__00002"] if anew else ["00003", "00004", "00001", "00002"]
    )
    for pair in dataset.pairs:
        if kind == "masks":
            assert dataset.masks.masks[pair.id].parts[-3] == pair.split
        else:
            assert [box.x for box in dataset.boxes.boxes[pair.id]] == [5 if pair.split == "train" else 20]


def test_blocks_follow_the_natural_order():
    plain = make_split([f"frame{n}" for n in range(1, 301)], {"train": 0.8, "test": 0.2}, seed=1, block=10)
    padded = make_split([f"frame{n:04d}" for n in range(1, 301)], {"train": 0.8, "test": 0.2}, seed=1, block=10)
    assert [plain[f"frame{n}"] for n in range(1, 301)] == [padded[f"frame{n:04d}"] for n in range(1, 301)]


def test_yolo_files_of_nested_images_lie_in_their_folders(tmp_path):
    for folder in ("day", "night"):
        write_image(tmp_path / "imgs" / folder / "0.png", np.eye(32, dtype=np.uint8))
        (tmp_path / "xml" / folder).mkdir(parents=True)
        text = VOC.format(f"<object><name>a</name>{BOUNDS.format(1, 2, 9, 9)}</object>")
        (tmp_path / "xml" / folder / "0.xml").write_text(text)
    for kind, suffix in (("yolo", "txt"), ("voc", "xml")):
        convert_boxes(tmp_path / "xml", tmp_path / "imgs", kind, tmp_path / kind)
        assert (tmp_path / kind / "night" / f"0.{suffix}").is_file()
        again = convert_boxes(tmp_path / kind, tmp_path / "imgs", "coco", tmp_path / f"{kind}.json")
        assert {name: len(boxes) for name, boxes in again.boxes.items()} == {"day__0": 1, "night__0": 1}


@pytest.fixture
def flagged(pairs, tmp_path):
    """A plain and a flagged box on both images: flag -> (reader, path of the file or folder)."""

    def write(flag):
        if flag == "bbGt":
            for name in ("p0", "p1"):
                rows = "person 3 4 10 12 0 0 0 0 0 0 0\nperson 20 4 10 12 1 0 0 0 0 1 0\n"
                (tmp_path / f"{name}.txt").write_text(f"% bbGt version=3\n{rows}")
            return read_yolo, tmp_path
        if flag in ("crowd", "ignore"):
            boxes = [
                {"id": 2 * k + n, "image_id": k, "category_id": 1, "bbox": [3 + 17 * n, 4, 10, 12], **more}
                for k in (0, 1) for n, more in enumerate(({}, {"iscrowd" if flag == "crowd" else flag: 1}))
            ]  # fmt: skip
            images, categories = [{"id": k, "file_name": f"p{k}.png"} for k in (0, 1)], [{"id": 1, "name": "person"}]
            content = {"images": images, "annotations": boxes, "categories": categories}
            (tmp_path / "c.json").write_text(json.dumps(content))
            return read_coco, tmp_path / "c.json"
        for name in ("p0", "p1"):
            objects = "".join(
                f"<object><name>person</name><{flag}>{n}</{flag}>{bounds}</object>"
                for n, bounds in enumerate((BOUNDS.format(3, 4, 13, 16), BOUNDS.format(20, 4, 30, 16)))
            )
            (tmp_path / f"{name}.xml").write_text(VOC.format(objects))
        return read_voc, tmp_path

    return write


BOTH = (Box("person", 3, 4, 10, 12), Box("person", 20, 4, 10, 12))


@pytest.mark.parametrize(("form", "flag", "by_default"), [
    ("difficult", "difficult", "counted"), ("truncated", "truncated", "counted"), ("ignore", "ignore", "ignored"),
    ("bbGt", "ignore", "ignored"), ("crowd", "crowd", "crowd-box"),
])  # fmt: skip
def test_each_flag_has_a_policy_that_is_said(pairs, flagged, form, flag, by_default):
    read, path = flagged(form)
    truth, findings = read(path, pairs)
    assert [finding.kind for finding in defects(findings)] == (["crowd-box"] * 2 if by_default == "crowd-box" else [])
    if by_default != "crowd-box":
        assert truth.flags.startswith(f"2 boxes flagged {flag} are {by_default}")
        assert truth.flags in [finding.message for finding in findings]
    for ignore, boxes, ignored in (((flag,), BOTH[:1], {"p0": BOTH[1:], "p1": BOTH[1:]}), ((), BOTH, {})):
        if flag == "crowd" and not ignore:
            continue
        truth, findings = read(path, pairs, ignore=ignore)
        assert defects(findings) == []
        assert (truth.boxes["p0"], truth.ignored) == (boxes, ignored)


def test_files_without_flags_say_nothing_of_them(pairs, tmp_path):
    for name in ("p0", "p1"):
        plain = f"<object><name>a</name><difficult>0</difficult>{BOUNDS.format(1, 2, 9, 9)}</object>"
        (tmp_path / f"{name}.xml").write_text(VOC.format(plain))
    truth, findings = read_voc(tmp_path, pairs)
    assert (truth.flags, truth.ignored, defects(findings)) == ("", {}, [])
    assert not any("flag" in finding.kind for finding in findings)
    content = coco_truth(pairs, truth)
    assert "info" not in content
    assert {item["iscrowd"] for item in content["annotations"]} == {0}


def test_ignored_boxes_count_neither_way_in_evaluation(pairs, flagged):
    read, path = flagged("difficult")
    found = [{"image_id": k, "category_id": 1, "bbox": [3, 4, 10, 12], "score": 0.9} for k in (1, 2)]
    also = [{"image_id": k, "category_id": 1, "bbox": [20, 4, 10, 12], "score": 0.95} for k in (1, 2)]
    for ignore, results, ap in (
        (("difficult",), found, 1.0),
        (("difficult",), found + also, 1.0),
        ((), found, 51 / 101),
    ):
        truth, _ = read(path, pairs, ignore=ignore)
        scored = evaluate(coco_truth(pairs, truth), results)
        assert scored["AP"] == pytest.approx(ap)
        assert "boxes flagged difficult are " + ("ignored" if ignore else "counted") in scored["definition"]
        assert scored["per_class"]["person"]["instances"] == (2 if ignore else 4)


def test_the_flags_of_a_dataset_are_an_option(pairs, flagged):
    _, path = flagged("difficult")
    root = pairs[0].visible.parent.parent
    for ignore, count in ((None, 4), ("difficult", 2), ("none", 4)):
        dataset = load_dataset(root, "folder", annotations=path, ignore=ignore)
        assert sum(map(len, dataset.boxes.boxes.values())) == count
        assert dataset.boxes.flags in dataset.notes
    with pytest.raises(RequestError, match="'hard' is not a flag; give some of difficult,truncated,crowd,ignore"):
        load_dataset(root, "folder", annotations=path, ignore="hard")


def test_ignored_boxes_survive_conversion(pairs, flagged, tmp_path):
    _, path = flagged("ignore")
    truth = convert_boxes(path, pairs[0].visible.parent, "voc", tmp_path / "voc")
    again, _ = read_voc(tmp_path / "voc", pairs)
    assert (again.boxes, again.ignored) == (truth.boxes, truth.ignored)
    assert again.ignored["p0"] == BOTH[1:]
    convert_boxes(tmp_path / "voc", pairs[0].visible.parent, "coco", tmp_path / "d.json")
    assert read_coco(tmp_path / "d.json", pairs)[0].ignored == truth.ignored


def test_conversion_takes_flags_and_says_what_yolo_cannot_hold(pairs, flagged, tmp_path_factory, capsys):
    (_, path), out = flagged("difficult"), tmp_path_factory.mktemp("out") / "yolo"
    truth = convert_boxes(path, pairs[0].visible.parent, "yolo", out, ignore="difficult")
    assert sum(map(len, truth.ignored.values())) == 2
    assert "without the 2 ignored boxes" in capsys.readouterr().err
    assert sum(len(file.read_text().splitlines()) for file in out.glob("p*.txt")) == 2


@pytest.mark.parametrize(
    ("ignore", "ap", "said"),
    [
        (None, 51 / 101, ""),
        ("difficult", 1.0, "2 boxes flagged difficult are ignored"),
        ("none", 51 / 101, "2 boxes flagged difficult are counted"),
    ],
)
def test_flags_of_foreign_truth_are_an_option_of_evaluation(pairs, ignore, ap, said):
    boxes = [
        {"id": n, "image_id": n // 2, "category_id": 1, "bbox": [20 * (n % 2), 2, 9, 9], "difficult": n % 2}
        for n in range(4)
    ]
    truth = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 48} for n in (0, 1)],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": boxes,
    }
    found = [{"image_id": n, "category_id": 1, "bbox": [0, 2, 9, 9], "score": 0.9} for n in (0, 1)]
    scored = evaluate(truth, found, ignore=ignore)
    assert scored["AP"] == pytest.approx(ap)
    assert said in scored["definition"]
    boxes[1]["iscrowd"] = 1
    if ignore is None:
        assert evaluate(truth, found)["per_class"]["person"]["instances"] == 3
    else:
        with pytest.raises(RequestError, match="--ignore crowd ignores it"):
            evaluate(truth, found, ignore=ignore)


def test_ignored_boxes_given_by_an_option_move_with_the_image(pairs, flagged, tmp_path_factory, run_cli):
    (_, path), root = flagged("difficult"), pairs[0].visible.parent.parent
    out = tmp_path_factory.mktemp("out") / "moved"
    arguments = ("--annotations", path, "--ignore", "difficult", "--move", "visible", "-o", out)
    assert run_cli("data", "degrade", root, "--layout", "folder", "--kind", "misalign", "--level", 2, *arguments) == 0
    assert f"use --annotations {out / 'boxes.json'}" in run_cli.output
    moved = load_dataset(out, "folder", annotations=out / "boxes.json").boxes
    before = load_dataset(root, "folder", annotations=path, ignore="difficult").boxes
    for old, new in ((before.boxes, moved.boxes), (before.ignored, moved.ignored)):
        for pair in pairs:
            expected = [move_box(box, motion_of(0, pair.id, 2), pair.size) for box in old[pair.id]]
            assert [box.name for box in new[pair.id]] == [box.name for box in expected]
            for box, other in zip(new[pair.id], expected, strict=True):
                assert (box.x, box.y, box.w, box.h) == pytest.approx((other.x, other.y, other.w, other.h))


def test_boxes_in_fractions_are_refused(pairs, tmp_path):
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [0.1, 0.2, 0.3, 0.3]} for n in (0, 1)]
    truth = {"images": [{"id": n, "file_name": f"p{n}.png"} for n in (0, 1)], "annotations": boxes}
    truth["categories"] = [{"id": 1, "name": "car"}]
    (tmp_path / "c.json").write_text(json.dumps(truth))
    assert [finding.kind for finding in defects(read_coco(tmp_path / "c.json", pairs)[1])] == ["bad-box"]
    with pytest.raises(RequestError, match="not as fractions of the image"):
        evaluate(truth, [])


@pytest.mark.parametrize(("image", "own", "kind", "category"), [(7, "7", 1, 1), ("7", 7, 0, "0"), (7.0, 7, 1.0, 1)])
def test_ids_of_truth_are_one_as_numbers_and_as_text(pairs, tmp_path, image, own, kind, category):
    images = [{"id": image, "file_name": "p0.png"}, {"id": "x" if isinstance(image, str) else 9, "file_name": "p1.png"}]
    box = {"id": 1, "image_id": own, "category_id": category, "bbox": [1, 2, 9, 9]}
    truth = {"images": images, "annotations": [box], "categories": [{"id": kind, "name": "car"}]}
    (tmp_path / "c.json").write_text(json.dumps(truth))
    assert read_coco(tmp_path / "c.json", pairs)[0].boxes["p0"] == (Box("car", 1, 2, 9, 9),)
    found = [{"image_id": own, "category_id": category, "bbox": [1, 2, 9, 9], "score": 0.5}]
    assert evaluate(truth, found)["AP"] == pytest.approx(1)


def test_two_images_of_one_file_name_are_refused():
    images = [{"id": n, "file_name": "a.png"} for n in (0, 1)]
    with pytest.raises(RequestError, match="1 file names are those of two images"):
        evaluate({"images": images, "annotations": [], "categories": [{"id": 1, "name": "car"}]}, [])


def test_yolo_polygons_count_as_the_box_round_them_and_other_rows_are_refused(pairs, tmp_path):
    (tmp_path / "classes.txt").write_text("car\n")
    (tmp_path / "p0.txt").write_text("0 0.1 0.25 0.5 0.25 0.5 0.5\n0 0.1 0.25 0.5 0.25 0.5 0.5 0.2 0.75\n")
    (tmp_path / "p1.txt").write_text("")
    truth, findings = read_yolo(tmp_path, pairs)
    assert truth.boxes["p0"] == (Box("car", 4, 8, 16, 8), Box("car", 4, 8, 16, 16))
    assert any(finding.message.startswith("2 objects are polygons") for finding in findings)
    (tmp_path / "p1.txt").write_text("0 0.5 0.5 0.2 0.2 0.9\n")  # with a score
    assert [finding.kind for finding in defects(read_yolo(tmp_path, pairs)[1])] == ["bad-annotation"]
