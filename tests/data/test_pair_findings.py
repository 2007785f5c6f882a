"""What can be wrong with images and their pairing is found, one kind a test."""

import numpy as np
import pytest
from PIL import Image

from fuse2task.data.check import check_dataset
from fuse2task.data.loading import load_dataset, scan_dataset
from fuse2task.runtime.errors import RequestError


@pytest.fixture
def tree(tmp_path, pairs_in):
    """A sound folder dataset of two pairs."""
    pairs_in(tmp_path / "ir", tmp_path / "vi", "a.png", "b.png")
    return tmp_path


def scanned(root, **options):
    return [finding.kind for finding in scan_dataset(root, "folder", **options)[1]]


def checked(root, layout="folder"):
    return check_dataset(*scan_dataset(root, layout))


def kinds(root, layout="folder"):
    return [finding.kind for finding in checked(root, layout).findings]


def test_a_sound_tree_is_clean(tree):
    assert kinds(tree) == []


def test_missing_partner(tree):
    (tree / "vi" / "b.png").unlink()
    dataset, findings = scan_dataset(tree, "folder")
    assert [pair.id for pair in dataset.pairs] == ["a"]
    assert [finding.kind for finding in findings] == ["missing-partner"]
    assert str(tree / "ir" / "b.png") in findings[0].message
    with pytest.raises(RequestError, match="missing-partner") as refused:
        load_dataset(tree, "folder")
    assert refused.value.exit_code == 2


def test_missing_modality_folder_of_one_sequence(tmp_path, pairs_in, picture):
    pairs_in(tmp_path / "set00/V000/lwir", tmp_path / "set00/V000/visible", "I1.jpg")
    picture(tmp_path / "set00" / "V001" / "lwir" / "I1.jpg")
    assert kinds(tmp_path, "kaist") == ["missing-partner"]


def test_unequal_size(tree, picture):
    picture(tree / "ir" / "a.png", size=(24, 32))
    assert scanned(tree) == ["unequal-size"]


def test_file_that_is_no_image(tree):
    (tree / "ir" / "a.png").write_bytes(b"not a PNG")
    assert scanned(tree) == ["unusable-image"]


def test_truncated_png(tree, picture):
    path = picture(tree / "ir" / "a.png")
    path.write_bytes(path.read_bytes()[:300])
    assert kinds(tree) == ["unusable-image"]


def test_16_bit_infrared(tree):
    Image.fromarray(np.arange(768, dtype=np.uint16).reshape(24, 32)).save(tree / "ir" / "a.png")
    report = checked(tree)
    assert [finding.kind for finding in report.findings] == ["unusable-image"]
    assert "8 bits" in report.findings[0].message


def test_4_channel_mfnet_png(tree, picture):
    picture(tree / "vi" / "a.png", channels=4)
    report = checked(tree)
    assert [finding.kind for finding in report.findings] == ["unusable-image"]
    assert "fourth channel" in report.findings[0].message


def test_palette_png_is_fine(tree):
    with Image.open(tree / "vi" / "a.png") as image:
        image.quantize(64).save(tree / "vi" / "a.png")
    assert kinds(tree) == []


def test_empty_folders(tmp_path):
    (tmp_path / "ir").mkdir()
    (tmp_path / "vi").mkdir()
    assert scanned(tmp_path) == ["empty-folder", "empty-folder"]


def test_duplicate_ids(tree, picture):
    picture(tree / "ir" / "a.jpg")
    picture(tree / "vi" / "c__d.png")
    picture(tree / "ir" / "c__d.png")
    picture(tree / "vi" / "c" / "d.png")
    assert scanned(tree) == ["duplicate-id", "duplicate-id"]


def test_one_id_in_two_split_folders(tmp_path, pairs_in):
    for split in ("train", "test"):
        pairs_in(tmp_path / split / "ir", tmp_path / split / "vi", "1D.png")
    assert kinds(tmp_path, "msrs") == ["duplicate-id", "duplicate-id"]


def test_case_clash(tree):
    (tree / "ir" / "b.png").rename(tree / "ir" / "B.png")
    assert sorted(scanned(tree)) == ["case-clash", "missing-partner", "missing-partner"]


def test_name_that_cannot_be_an_id(tree, picture):
    picture(tree / "ir" / "a\tb.png")
    assert scanned(tree) == ["bad-name"]


def test_coloured_infrared(tree, picture):
    picture(tree / "ir" / "a.png", channels=3)
    assert kinds(tree) == ["coloured-infrared"]


def test_infrared_in_three_equal_channels_is_fine(tree):
    with Image.open(tree / "ir" / "a.png") as image:
        image.convert("RGB").save(tree / "ir" / "a.png")
    assert kinds(tree) == []


@pytest.mark.parametrize("value", [0, 77])
def test_constant_image(tree, value):
    Image.fromarray(np.full((24, 32, 3), value, np.uint8)).save(tree / "vi" / "a.png")
    assert kinds(tree) == ["constant-image"]


def test_the_same_image_in_two_splits(tmp_path, pairs_in):
    for split in ("train", "test"):
        pairs_in(tmp_path / split / "ir", tmp_path / split / "vi", f"{split}1D.png", f"{split}2D.png")
    source = tmp_path / "train" / "vi" / "train1D.png"
    (tmp_path / "test" / "vi" / "test1D.png").write_bytes(source.read_bytes())
    report = checked(tmp_path, "msrs")
    assert [finding.kind for finding in report.findings] == ["duplicate-image"]
    assert "train1D.png (train)" in report.findings[0].message


def test_the_same_image_twice_in_a_split_is_a_note(tree):
    (tree / "vi" / "b.png").write_bytes((tree / "vi" / "a.png").read_bytes())
    report = checked(tree)
    assert report.findings == []
    assert "1 images are copies of another image of their split" in report.notes


def test_names_in_a_list_that_are_not_on_disk(tree):
    (tree / "list.txt").write_text("train\ta\ntest\tz\n")
    dataset, findings = scan_dataset(tree, "folder", split=str(tree / "list.txt"))
    assert [(finding.kind, "'z'" in finding.message) for finding in findings] == [("not-on-disk", True)]
    assert [(pair.id, pair.split) for pair in dataset.pairs] == [("a", "train")]


def test_own_list_that_leads_out_or_repeats(tmp_path, pairs_in):
    pairs_in(tmp_path / "ir", tmp_path / "vi", "a.png")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "train.txt").write_text("a.png\n../../secret.png\n")
    (tmp_path / "meta" / "val.txt").write_text("a.png\n")
    assert kinds(tmp_path, "m3fd") == ["bad-split-list", "bad-split-list"]


def test_a_hundred_findings_make_one_readable_message(tmp_path, picture):
    for number in range(100):
        picture(tmp_path / "ir" / f"{number}.png", size=(2, 2))
    picture(tmp_path / "vi" / "x.png", size=(2, 2))
    with pytest.raises(RequestError, match="101 findings") as refused:
        load_dataset(tmp_path, "folder")
    assert str(refused.value).count("\n") == 21
    assert str(refused.value).endswith("... and 81 more")
