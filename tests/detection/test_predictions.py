"""Result files of other tools: which image and class is meant, boxes at the border, what belongs elsewhere."""

import json

import pytest

from detection.average_precision import evaluate
from detection.coco import read_truth
from detection.predictions import read_predictions
from fuse2task.runtime.errors import RequestError


def make_truth(names, ids=None):
    """One box of class `person` in each image of 640x480; ids from 1 in the order of the names unless given."""
    ids = ids or range(1, len(names) + 1)
    return {
        "images": [
            {"id": n, "file_name": name, "width": 640, "height": 480} for n, name in zip(ids, names, strict=True)
        ],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {"id": k, "image_id": n, "category_id": 1, "bbox": [10 * k, 10 * k, 50, 100], "area": 5000, "iscrowd": 0}
            for k, n in enumerate(ids, 1)
        ],
    }


def perfect(truth, **changed):
    return [
        {"image_id": box["image_id"], "category_id": 1, "bbox": box["bbox"], "score": 0.9} | changed
        for box in truth["annotations"]
    ]


def test_file_names_decide_where_the_number_is_that_of_the_name():
    names = sorted(f"{n}.png" for n in range(1, 13))  # 1, 10, 11, 12, 2, ...: ids of the truth are not these numbers
    truth = make_truth(names)
    as_ultralytics = [
        row | {"image_id": int(name[:-4]), "file_name": name} for row, name in zip(perfect(truth), names, strict=True)
    ]
    assert evaluate(truth, as_ultralytics)["AP"] == 1
    for row in as_ultralytics:
        del row["file_name"]
    assert evaluate(truth, as_ultralytics)["AP"] < 0.3  # numbers alone are taken as the truth's


@pytest.mark.parametrize("name", ["00007.png", "images/test/00007.png", "00007.jpg"])
def test_a_padded_name_in_a_folder_or_of_another_suffix_is_found(name):
    truth = make_truth(["00003.png", "00007.png"])
    rows = [perfect(truth)[1] | {"image_id": 7, "file_name": name}]
    assert read_predictions(rows, read_truth(truth))[0]["image_id"] == 2


def test_a_file_name_that_contradicts_the_number_or_is_unknown_is_refused():
    truth = read_truth(make_truth(["3.png", "7.png"]))
    row = perfect(truth)[0]
    with pytest.raises(RequestError, match=r"image_id 9 is not that of file_name '7\.png', 2"):
        read_predictions([row | {"image_id": 9, "file_name": "7.png"}], truth)
    with pytest.raises(
        RequestError, match=r"'8\.png' is not in the truth.*\n.*of the truth: '3\.png', '7\.png'"
    ) as found:
        read_predictions([row | {"image_id": 8, "file_name": "8.png"}], truth)
    assert "images of the predictions: '8.png'" in str(found.value)


def test_a_text_is_the_name_of_a_file_or_an_id_and_refused_where_these_are_two_images():
    truth = read_truth(make_truth(["000000.png", "Gru\u0308n.png"]))
    rows = perfect(truth)
    for first, second in (("000000", "Grün"), ("000000.png", "vi/Gru\u0308n.jpg"), ("1", "2")):
        found = read_predictions([rows[0] | {"image_id": first}, rows[1] | {"image_id": second}], truth)
        assert [row["image_id"] for row in found] == [1, 2]
    truth = read_truth(make_truth(["2.png", "1.png"]))
    with pytest.raises(RequestError, match="image_id '1' is one image's id and another's name; add file_name"):
        read_predictions(perfect(truth, image_id="1"), truth)


def test_numbers_that_may_be_those_of_the_names_are_said(tmp_path, capsys):
    for names, said in (("2.png", "1.png"), True), (("1.png", "2.png"), False), (("a.png", "1.png"), False):
        truth = read_truth(make_truth(names))
        (tmp_path / "dets.json").write_text(json.dumps(perfect(truth)))
        read_predictions(tmp_path / "dets.json", truth)
        assert ("taken as the truth's ids" in capsys.readouterr().err) is said


@pytest.mark.parametrize(
    ("own", "given"), [(3, 3.0), (3, "3"), ("97", 97), ("FLIR_97", "FLIR_97"), (0, 0), (1_000_000, "1000000")]
)
def test_ids_are_one_as_numbers_and_as_text(own, given):
    truth = read_truth(make_truth(["a.png"], [own]))
    found = read_predictions(perfect(truth, image_id=given, category_id=1.0), truth)
    assert (found[0]["image_id"], found[0]["category_id"]) == (own, 1)
    assert type(found[0]["image_id"]) is type(own)


@pytest.mark.parametrize("given", [True, None, 3.5, [3], "03", float("nan")])
def test_what_is_no_id_of_the_truth_is_refused(given):
    with pytest.raises(RequestError, match="is not in the truth"):
        read_predictions(perfect(make_truth(["a.png"], [3]), image_id=given), read_truth(make_truth(["a.png"], [3])))


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ([-12.5, 20, 12.1, 30], "1 of 4 predictions lie outside"),
        ([-5, -5, 60, 60], ""),
        ([30, 30, -1e-5, 10], "1 of 4 predictions have a negative size"),
        ([30, 30, 0, 0], ""),
    ],
)
def test_boxes_at_the_border_count_as_in_pycocotools(box, said, tmp_path, capsys, pycocotools_run):
    truth = make_truth(["0.png", "1.png", "2.png"], [0, 1, 2])
    results = [
        row | {"bbox": [row["bbox"][0] + 1, row["bbox"][1] + 1, 50, 98], "score": 0.9 - 0.1 * n}
        for n, row in enumerate(perfect(truth))
    ] + [{"image_id": 0, "category_id": 1, "bbox": box, "score": 0.01}]
    ap = evaluate(truth, results)["AP"]
    assert said in capsys.readouterr().err
    for name, content in (("truth", truth), ("results", results)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    assert ap == pytest.approx(pycocotools_run(tmp_path).stats[0], abs=1e-12)
    assert ap == pytest.approx(0.9, abs=1e-9)


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ([400, 300, 500, 400], "2 of 2 predictions reach far beyond their image, as [x1, y1, x2, y2] would"),
        ([0.6, 0.6, 0.2, 0.2], "not fractions of the image"),
        ([400, 300, 250, 190], ""),
    ],
)
def test_boxes_of_another_form_are_said(box, said, capsys):
    truth = read_truth(make_truth(["a.png", "b.png"]))
    read_predictions(perfect(truth, bbox=box), truth)
    err = capsys.readouterr().err
    assert said in err if said else not err


def test_images_without_a_detection_are_counted(tmp_path, capsys):
    truth = read_truth(make_truth(["a.png", "b.png", "c.png"]))
    (tmp_path / "dets.json").write_text(json.dumps(perfect(truth)[:1]))
    read_predictions(tmp_path / "dets.json", truth)
    assert "nothing found in 2 of 3 images of the truth" in capsys.readouterr().err
