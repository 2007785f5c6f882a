"""Every layout is read from a tiny tree: ids, splits, conditions and the truth that it comes with."""

import json

import pytest

from fuse2task.data.classes import FMB, M3FD, MSRS
from fuse2task.data.loading import LAYOUTS, load_dataset, load_pairs, scan_dataset
from fuse2task.runtime.errors import RequestError


def ids(dataset):
    return [(pair.split, pair.id) for pair in dataset.pairs]


def test_the_contract_names_these_layouts():
    assert set(LAYOUTS) == {
        "m3fd", "msrs", "roadscene", "tno", "llvip", "kaist", "fmb", "flir", "pst900", "mfnet", "dronevehicle", "vedai",
        "smod",        "awmm", "folder",
    }  # fmt: skip


def test_m3fd_official_tree(tmp_path, pairs_in, voc):
    pairs_in(tmp_path / "Ir", tmp_path / "Vis", "00000.png", "00330.png")
    voc(tmp_path / "Annotation" / "00000.xml", ("Lamp", 1, 2, 11, 22))
    voc(tmp_path / "Annotation" / "00330.xml")
    dataset = load_dataset(tmp_path, "m3fd")
    assert ids(dataset) == [("test", "00000"), ("test", "00330")]
    assert dataset.pairs[0].size == (32, 24)
    assert dataset.pairs[0].infrared == tmp_path / "Ir" / "00000.png"
    assert dataset.pairs[0].conditions == ("overcast", "scene:overcast")
    assert dataset.pairs[1].conditions == ("night", "scene:night")
    assert dataset.boxes.classes == M3FD
    (box,) = dataset.boxes.boxes["00000"]
    assert (box.name, box.x, box.y, box.w, box.h) == ("Lamp", 1, 2, 10, 20)
    assert dataset.boxes.boxes["00330"] == ()


def test_m3fd_meta_tree_with_foreign_id_order(tmp_path, pairs_in):
    pairs_in(tmp_path / "ir", tmp_path / "vi", *(f"{n:05d}.png" for n in range(5)))
    (tmp_path / "meta").mkdir()
    for name, text in {
        "train": "00000.png\n00001.png\n",
        "val": "00002\n",
        "pred": "00002.png\n00003.png\n",
    }.items():
        (tmp_path / "meta" / f"{name}.txt").write_text(text)
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "classes.txt").write_text("People\nCar\nBus\nLamp\nMotorcycle\nTruck\n")
    for number in range(4):
        (labels / f"{number:05d}.txt").write_text("3 0.5 0.5 0.25 0.25\n")
    dataset = load_dataset(tmp_path, "m3fd")
    assert ids(dataset) == [("pred", "00003"), ("train", "00000"), ("train", "00001"), ("val", "00002")]
    assert dataset.splits == ("train", "val", "pred")
    assert dataset.boxes.classes == M3FD
    assert [box.name for box in dataset.boxes.boxes["00000"]] == ["Lamp"]


def test_m3fd_scenes_of_another_set_in_the_same_layout(tmp_path, pairs_in):
    pairs_in(tmp_path / "Ir", tmp_path / "Vis", "00000.png", "00001.png")
    (tmp_path / "scenes.tsv").write_text("00001\t00001\tnight\n")
    pairs = load_dataset(tmp_path, "m3fd").pairs
    assert [pair.conditions for pair in pairs] == [(), ("night", "scene:night")]
    assert [pair.sequence for pair in pairs] == ["", "1-1"]
    (tmp_path / "scenes.tsv").write_text("00001 00001 night\n")
    other = tmp_path / "other"
    pairs_in(other / "Ir", other / "Vis", "00000.png")
    (other / "scenes.tsv").write_text("00003\t00001\tnight\n")
    with pytest.raises(RequestError, match="overlap"):
        load_dataset(other, "m3fd")


def test_msrs(tmp_path, pairs_in, mask):
    for split, name in (("train", "00001D"), ("test", "00002N")):
        pairs_in(tmp_path / split / "ir", tmp_path / split / "vi", f"{name}.png")
        mask(tmp_path / split / "Segmentation_labels" / f"{name}.png", (0, 8, 255))
    dataset = load_dataset(tmp_path, "msrs")
    assert ids(dataset) == [("test", "00002N"), ("train", "00001D")]
    assert {pair.id: pair.conditions for pair in dataset.pairs} == {"00001D": ("day",), "00002N": ("night",)}
    assert dataset.boxes is None
    assert dataset.masks.classes == MSRS
    assert dataset.masks.masks["00001D"] == tmp_path / "train" / "Segmentation_labels" / "00001D.png"


def test_msrs_without_labels_or_train(tmp_path, pairs_in):
    pairs_in(tmp_path / "test" / "ir", tmp_path / "test" / "vi", "00002N.png")
    dataset = load_dataset(tmp_path, "msrs")
    assert (dataset.boxes, dataset.masks, dataset.splits) == (None, None, ("test",))


def test_roadscene_and_its_thumbs_db(tmp_path, pairs_in):
    pairs_in(tmp_path / "cropinfrared", tmp_path / "crop_LR_visible", "FLIR_1.jpg")
    (tmp_path / "crop_LR_visible" / "Thumbs.db").write_bytes(b"\xd0\xcf")
    assert ids(load_dataset(tmp_path, "roadscene")) == [("test", "FLIR_1")]


def test_tno_plain_and_flat(tmp_path, pairs_in, picture):
    pairs_in(tmp_path / "a" / "ir", tmp_path / "a" / "vi", "01.png")
    assert ids(load_dataset(tmp_path / "a", "tno")) == [("test", "01")]
    for name in ("IR1.png", "VIS1.png", "IR10.png", "VIS10.bmp"):
        picture(tmp_path / "b" / name)
    assert ids(load_dataset(tmp_path / "b", "tno")) == [("test", "1"), ("test", "10")]
    picture(tmp_path / "b" / "other.png")
    picture(tmp_path / "b" / "IR1.bmp")
    found = scan_dataset(tmp_path / "b", "tno")[1]
    assert sorted(finding.kind for finding in found) == ["bad-name", "duplicate-id"]


def test_llvip(tmp_path, pairs_in, voc):
    for split, name in (("train", "010001"), ("test", "190001")):
        pairs_in(tmp_path / "infrared" / split, tmp_path / "visible" / split, f"{name}.jpg")
        voc(tmp_path / "Annotations" / f"{name}.xml", ("person", 0, 0, 5, 9))
    dataset = load_dataset(tmp_path, "llvip")
    assert ids(dataset) == [("test", "190001"), ("train", "010001")]
    assert [pair.sequence for pair in dataset.pairs] == ["19", "01"]
    assert dataset.boxes.classes == ("person",)


def test_kaist(tmp_path, pairs_in):
    for sequence in ("set00/V000", "set03/V001"):
        pairs_in(tmp_path / sequence / "lwir", tmp_path / sequence / "visible", "I00001.jpg")
    dataset = load_dataset(tmp_path, "kaist")
    assert ids(dataset) == [("test", "set00__V000__I00001"), ("test", "set03__V001__I00001")]
    assert [pair.conditions for pair in dataset.pairs] == [("day",), ("night",)]
    assert [pair.sequence for pair in dataset.pairs] == ["set00__V000", "set03__V001"]


XYWH = "<annotation><object><name>{}</name><bndbox><x>1</x><y>2</y><w>9</w><h>8</h></bndbox></object></annotation>"


@pytest.mark.parametrize("kind", ["annotations-xml-new-sanitized", "annotations-xml-15", "annotations"])
def test_kaist_in_a_folder_of_images_with_either_kind_of_annotation(tmp_path, pairs_in, kind):
    for sequence in ("set00/V000", "set03/V001"):
        home = tmp_path / "images" / sequence
        pairs_in(home / "lwir", home / "visible", "I00001.jpg")
        text = "% bbGt version=3\nperson 1 2 9 8 0 0 0 0 0 0 0\n" if kind == "annotations" else XYWH.format("person")
        path = tmp_path / kind / sequence / f"I00001.{'txt' if kind == 'annotations' else 'xml'}"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    dataset = load_dataset(tmp_path, "kaist")
    assert ids(dataset) == [("test", "set00__V000__I00001"), ("test", "set03__V001__I00001")]
    assert [pair.conditions for pair in dataset.pairs] == [("day",), ("night",)]
    for (box,) in dataset.boxes.boxes.values():
        assert (box.name, box.x, box.y, box.w, box.h) == ("person", 1, 2, 9, 8)


def test_pst900(tmp_path, pairs_in, mask, picture):
    for split, name in (("train", "31_bag1a_rect_rgb_frame0000000007"), ("test", "32_bag2_rect_rgb_frame0000000001")):
        pairs_in(tmp_path / split / "thermal", tmp_path / split / "rgb", f"{name}.png")
        mask(tmp_path / split / "labels" / f"{name}.png", (0, 4))
        picture(tmp_path / split / "thermal_raw" / f"{name}.png")
    dataset = load_dataset(tmp_path, "pst900")
    assert [pair.split for pair in dataset.pairs] == ["test", "train"]
    assert dataset.masks.classes[1:] == ("fire-extinguisher", "backpack", "hand-drill", "survivor")


def test_mfnet_split_into_cameras_leaves_flipped_copies_out(tmp_path, pairs_in, mask):
    names = ("00001D", "00001D_flip", "00002N")
    pairs_in(tmp_path / "ir", tmp_path / "vi", *(f"{name}.png" for name in names))
    for name in names:
        mask(tmp_path / "labels" / f"{name}.png", (0, 8))
    (tmp_path / "train.txt").write_text("00001D\n")
    (tmp_path / "test.txt").write_text("00002N\n")
    dataset = load_dataset(tmp_path, "mfnet")
    assert ids(dataset) == [("test", "00002N"), ("train", "00001D")]
    assert [pair.conditions for pair in dataset.pairs] == [("night",), ("day",)]
    assert any("1 pairs that the split list does not name" in note for note in dataset.notes)


def test_dronevehicle_numbers_each_split_anew_and_spells_classes_its_own_way(tmp_path, pairs_in, voc):
    for split in ("train", "val", "test"):
        home = tmp_path / split
        pairs_in(home / f"{split}imgr", home / f"{split}img", "00001.jpg")
        voc(home / f"{split}labelr" / "00001.xml", ("feright car", 1, 2, 11, 22), ("truvk", 3, 2, 11, 22))
        voc(home / f"{split}label" / "00001.xml", ("car", 1, 2, 11, 22))
    dataset = load_dataset(tmp_path, "dronevehicle")
    assert ids(dataset) == [("test", "test__00001"), ("train", "train__00001"), ("val", "val__00001")]
    assert dataset.boxes.classes == ("car", "truck", "bus", "van", "freight_car")
    assert [box.name for box in dataset.boxes.boxes["val__00001"]] == ["freight_car", "truck"]
    assert any("3 'feright car' as freight_car" in note for note in dataset.notes)


def test_vedai_has_both_cameras_in_one_folder(tmp_path, picture):
    for name in ("00000000", "00000001"):
        picture(tmp_path / "Vehicules512" / f"{name}_ir.png")
        picture(tmp_path / "Vehicules512" / f"{name}_co.png", channels=3)
    dataset = load_dataset(tmp_path, "vedai")
    assert ids(dataset) == [("test", "00000000"), ("test", "00000001")]
    assert (dataset.boxes, dataset.notes) == (None, ())


def test_fmb(tmp_path, pairs_in, mask):
    pairs_in(tmp_path / "Infrared", tmp_path / "Visible", "00001.png", "00002.png")
    for name in ("00001", "00002"):
        mask(tmp_path / "Label" / f"{name}.png", (0, 14))
    (tmp_path / "train.txt").write_text("00001.png\n")
    (tmp_path / "test.txt").write_text("00002.png\n")
    dataset = load_dataset(tmp_path, "fmb")
    assert ids(dataset) == [("test", "00002"), ("train", "00001")]
    assert dataset.masks.classes == FMB
    assert len(FMB) == 15


def test_fmb_as_released(tmp_path, pairs_in, mask):
    for split, name in (("train", "00001"), ("test", "00101")):
        pairs_in(tmp_path / split / "Infrared", tmp_path / split / "Visible", f"{name}.png")
        mask(tmp_path / split / "Label" / f"{name}.png", (0, 14))
    dataset = load_dataset(tmp_path, "fmb")
    assert ids(dataset) == [("test", "00101"), ("train", "00001")]
    assert dataset.masks.masks["00001"] == tmp_path / "train" / "Label" / "00001.png"
    for half in ("train", "test"):
        with pytest.raises(RequestError, match=rf"{half}: one half .* give the folder that it lies in"):
            load_dataset(tmp_path / half, "fmb")


def test_half_of_msrs_is_refused_by_name(tmp_path, pairs_in):
    pairs_in(tmp_path / "train" / "ir", tmp_path / "train" / "vi", "00001D.png")
    with pytest.raises(RequestError, match=r"one half \(train/\) of layout msrs"):
        load_dataset(tmp_path / "train", "msrs")


def flir_coco(path, *names):
    images = [{"id": name, "file_name": f"{name}.jpg", "width": 32, "height": 24} for name in names]
    boxes = [
        {"id": n, "image_id": name, "category_id": 3, "bbox": [-1, 2, 11, 9], "area": 99, "iscrowd": 0}
        for n, name in enumerate(names)
    ]
    categories = [{"id": n, "name": name} for n, name in enumerate(("person", "bike", "car"), 1)]
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))


def flir_pairs(infrared, visible, picture):
    for name in ("FLIR_00001", "FLIR_00002"):
        picture(infrared / f"{name}_PreviewData.jpg")
        picture(visible / f"{name}_RGB.jpg", channels=3)


def test_flir_aligned_in_two_folders(tmp_path, picture):
    flir_pairs(tmp_path / "thermal", tmp_path / "RGB", picture)
    flir_coco(tmp_path / "annotations.json", "FLIR_00002_PreviewData", "FLIR_00001_PreviewData")
    dataset = load_dataset(tmp_path, "flir")
    assert ids(dataset) == [("test", "FLIR_00001"), ("test", "FLIR_00002")]
    assert dataset.boxes.classes == ("person", "bike", "car")
    assert dataset.boxes.clipped == 2  # one whole pixel, as its converter leaves them
    (box,) = dataset.boxes.boxes["FLIR_00001"]
    assert (box.name, box.x, box.y, box.w, box.h) == ("car", 0, 2, 10, 9)


@pytest.mark.parametrize("below", ["", "align"])
def test_flir_aligned_as_released(tmp_path, picture, voc, below):
    home = tmp_path / below
    flir_pairs(home / "JPEGImages", home / "JPEGImages", picture)
    for name, split in (("FLIR_00001", "train"), ("FLIR_00002", "validation")):
        voc(home / "Annotations" / f"{name}_PreviewData.xml", ("bicycle", 1, 2, 11, 22))
        (home / f"align_{split}.txt").write_text(f"{name}_PreviewData\n")
    dataset = load_dataset(tmp_path, "flir")
    assert ids(dataset) == [("train", "FLIR_00001"), ("validation", "FLIR_00002")]
    assert {box.name for boxes in dataset.boxes.boxes.values() for box in boxes} == {"bicycle"}
    assert dataset.notes == ()


def test_awmm_by_weather(tmp_path, pairs_in, picture):
    for folder in ("Rain", "Test_haze_snow"):
        pairs_in(tmp_path / folder / "ir", tmp_path / folder / "vi", "1.png")
        picture(tmp_path / folder / "gt_vi" / "1.png")
    dataset = load_dataset(tmp_path, "awmm")
    assert [(pair.id, pair.conditions) for pair in dataset.pairs] == [
        ("Rain__1", ("rain",)), ("Test_haze_snow__1", ("haze", "snow")),
    ]  # fmt: skip
    (alone,) = load_dataset(tmp_path / "Rain", "awmm").pairs
    assert (alone.id, alone.conditions) == ("1", ("rain",))


def test_awmm_train_is_no_rain(tmp_path, pairs_in):
    pairs_in(tmp_path / "train" / "ir", tmp_path / "train" / "vi", "1.png")
    assert load_dataset(tmp_path, "awmm").pairs[0].conditions == ()


@pytest.mark.parametrize("names", [("ir", "vi"), ("infrared", "visible")])
def test_folder(tmp_path, pairs_in, names):
    pairs_in(tmp_path / names[0], tmp_path / names[1], "a/1.png", "b.png")
    assert ids(load_dataset(tmp_path, "folder")) == [("test", "a__1"), ("test", "b")]


def test_two_loose_folders_with_other_suffixes(tmp_path, picture):
    picture(tmp_path / "x" / "1.png")
    picture(tmp_path / "y" / "1.bmp")
    dataset = load_dataset(tmp_path, "folder", infrared=tmp_path / "x", visible=tmp_path / "y")
    assert ids(dataset) == [("test", "1")]
    assert dataset.pairs[0].visible.name == "1.bmp"


def test_split_command_sees_pairs_that_no_list_names(tmp_path, pairs_in):
    pairs_in(tmp_path / "ir", tmp_path / "vi", "1.png", "2.png")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "train.txt").write_text("1.png\n")
    assert ids(load_dataset(tmp_path, "m3fd")) == [("train", "1")]
    assert [pair.id for pair in load_pairs(tmp_path, "m3fd")] == ["1", "2"]


def test_wrong_requests(tmp_path, pairs_in):
    with pytest.raises(RequestError, match="unknown layout 'coco'"):
        scan_dataset(tmp_path, "coco")
    with pytest.raises(RequestError, match="no such folder"):
        scan_dataset(tmp_path / "nowhere", "m3fd")
    with pytest.raises(RequestError, match=r"its folders are \{Ir,Vis\}/ or \{ir,vi\}/"):
        scan_dataset(tmp_path, "m3fd")
    with pytest.raises(RequestError, match="together"):
        scan_dataset(tmp_path, "folder", infrared=tmp_path)
    pairs_in(tmp_path / "ir", tmp_path / "vi", "1.png")
    with pytest.raises(RequestError, match="no such folder of truth"):
        scan_dataset(tmp_path, "folder", boxes=tmp_path / "nowhere")
    with pytest.raises(RequestError, match="not several"):
        scan_dataset(tmp_path, "folder", boxes=tmp_path, masks=tmp_path)
    with pytest.raises(RequestError, match="neither COCO"):
        scan_dataset(tmp_path, "folder", annotations=tmp_path)
    pairs_in(tmp_path / "infrared", tmp_path / "visible", "1.png")
    with pytest.raises(RequestError, match="two trees"):
        scan_dataset(tmp_path, "folder")


def test_folder_names_are_told_apart_by_case(tmp_path, pairs_in):
    pairs_in(tmp_path / "IR", tmp_path / "VI", "1.png")
    with pytest.raises(RequestError, match="its folders are"):
        scan_dataset(tmp_path, "folder")
