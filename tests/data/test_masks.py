"""Class masks: sizes, values, channels, and which class list holds."""

import pytest

from fuse2task.data.check import count
from fuse2task.data.classes import FMB, FMB_PALETTE, M3FD, MSRS, MSRS_PALETTE
from fuse2task.data.loading import load_dataset, scan_dataset


@pytest.fixture
def tree(tmp_path, pairs_in, mask):
    """MSRS with one labelled test pair."""
    pairs_in(tmp_path / "test" / "ir", tmp_path / "test" / "vi", "1N.png")
    mask(tmp_path / "test" / "Segmentation_labels" / "1N.png", (0, 1, 1, 255))
    return tmp_path


def scanned(root, **options):
    return [finding.kind for finding in scan_dataset(root, "msrs", **options)[1]]


def test_class_lists_and_palettes():
    assert (len(MSRS), len(FMB), len(M3FD)) == (9, 15, 6)
    assert (len(set(MSRS_PALETTE)), len(set(FMB_PALETTE))) == (9, 15)
    assert MSRS_PALETTE[MSRS.index("person")] == (64, 64, 0)
    assert FMB_PALETTE[FMB.index("Bus")] == (152, 97, 155)


def test_pixels_by_class(tree):
    counts = count(load_dataset(tree, "msrs"))
    assert counts["pixels"] == {**dict.fromkeys(MSRS, 0), "background": 192, "car": 384, "ignored": 192}


def test_values_that_are_no_class(tree, mask):
    mask(tree / "test" / "Segmentation_labels" / "1N.png", (0, 9, 254))
    (finding,) = scan_dataset(tree, "msrs")[1]
    assert finding.kind == "mask-value"
    assert "[9, 254]" in finding.message


def test_another_size(tree, mask):
    mask(tree / "test" / "Segmentation_labels" / "1N.png", (0,), size=(24, 32))
    assert scanned(tree) == ["mask-size"]


def test_a_coloured_picture_of_labels(tree, picture):
    picture(tree / "test" / "Segmentation_labels" / "1N.png", channels=3)
    assert scanned(tree) == ["bad-mask"]


def test_damaged_and_missing_masks(tree, pairs_in):
    path = tree / "test" / "Segmentation_labels" / "1N.png"
    path.write_bytes(path.read_bytes()[:60])
    pairs_in(tree / "test" / "ir", tree / "test" / "vi", "2N.png")
    assert scanned(tree) == ["bad-mask", "missing-truth"]


def test_pointed_at_masks_replace_the_layouts_own(tree, mask):
    mask(tree / "mine" / "1N.png", (0, 2))
    dataset = load_dataset(tree, "msrs", masks=tree / "mine")
    assert dataset.masks.masks == {"1N": tree / "mine" / "1N.png"}
    assert dataset.masks.classes == MSRS


def test_pointed_at_masks_with_class_names_of_their_own(tree, mask):
    mask(tree / "mine" / "1N.png", (0, 1))
    (tree / "mine" / "classes.txt").write_text("road\ncar\n")
    assert load_dataset(tree, "msrs", masks=tree / "mine").masks.classes == ("road", "car")
    mask(tree / "mine" / "1N.png", (0, 2))
    assert scanned(tree, masks=tree / "mine") == ["mask-value"]


def test_boxes_replace_the_layouts_own_masks(tree):
    (tree / "boxes").mkdir()
    (tree / "boxes" / "classes.txt").write_text("car\n")
    (tree / "boxes" / "1N.txt").write_text("")
    dataset = load_dataset(tree, "msrs", boxes=tree / "boxes")
    assert dataset.masks is None
    assert dataset.boxes.boxes == {"1N": ()}
