"""Class masks: sizes, values, channels, and which class list holds."""

import numpy as np
import pytest
from PIL import Image

from fuse2task.data.check import count
from fuse2task.data.classes import FMB, FMB_PALETTE, M3FD, MSRS, MSRS_PALETTE, PALETTES
from fuse2task.data.images import read_mask
from fuse2task.data.loading import load_dataset, scan_dataset
from fuse2task.runtime.errors import RequestError


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


@pytest.fixture
def folder(tmp_path, pairs_in):
    """Layout folder with two pairs, and a place for their masks: values -> options of `scan_dataset`."""
    pairs_in(tmp_path / "ir", tmp_path / "vi", "a.png", "b.png")

    def write(**masks):
        (tmp_path / "m").mkdir()
        for name, pixels in masks.items():
            Image.fromarray(np.resize(np.array(pixels, np.uint8), (24, 32, *np.shape(pixels)[1:]))).save(
                tmp_path / "m" / f"{name}.png"
            )
        return tmp_path, {"masks": tmp_path / "m"}

    return write


def kinds_of(root, **options):
    return [finding.kind for finding in scan_dataset(root, "folder", **options)[1]]


def test_masks_of_0_and_255_are_refused_or_read_with_a_palette(folder):
    root, given = folder(a=[0, 255, 0], b=[0, 0])
    assert kinds_of(root, **given) == ["binary-mask"]
    (root / "classes.txt").write_text("background\nobject\n")
    assert kinds_of(root, **given) == ["binary-mask"]
    dataset = load_dataset(root, "folder", palette="binary", **given)
    assert count(dataset)["pixels"] == {"background": 1280, "object": 256}
    (root / "classes.txt").write_text("background\nobject\nother\n")
    with pytest.raises(RequestError, match="3 classes named, palette binary has 2"):
        scan_dataset(root, "folder", palette="binary", **given)


def test_255_is_ignored_where_another_class_is_there_and_what_is_absent_is_said(folder):
    root, given = folder(a=[0, 255], b=[0, 1])
    (root / "classes.txt").write_text("background\nobject\nother\n")
    dataset, findings = scan_dataset(root, "folder", **given)
    assert findings == []
    assert any("no pixel is other; some are 255" in note for note in dataset.notes)


def test_classes_that_nothing_names_are_called_by_their_index(folder):
    root, given = folder(a=[0, 3], b=[1, 255])
    dataset, findings = scan_dataset(root, "folder", **given)
    assert (findings, dataset.masks.classes) == ([], ("0", "1", "2", "3"))
    assert any("no classes.txt names the classes" in note for note in dataset.notes)


def test_colour_masks_by_a_palette(folder):
    red = [MSRS_PALETTE[1], MSRS_PALETTE[8], MSRS_PALETTE[0]]
    root, given = folder(a=red, b=[MSRS_PALETTE[0]])
    assert kinds_of(root, **given) == ["bad-mask"]  # b is grey: all black
    dataset = load_dataset(root, "folder", palette="msrs", **given)
    assert count(dataset)["pixels"] == {**dict.fromkeys(MSRS, 0), "car": 256, "bump": 256, "background": 256 + 768}
    (_, (finding,)) = scan_dataset(root, "folder", palette="fmb", **given)
    assert finding.kind == "bad-mask"
    assert "colours (64, 0, 128), (192, 64, 0) are not in palette fmb" in finding.message
    with pytest.raises(RequestError, match="unknown palette 'mrss'; known are msrs"):
        scan_dataset(root, "folder", palette="mrss", **given)
    with pytest.raises(RequestError, match="palette msrs: for masks"):
        scan_dataset(root, "folder", palette="msrs")


def test_palettes_have_a_colour_for_every_class_and_none_twice():
    for palette in PALETTES.values():
        assert len(set(palette.colours + palette.void)) == len(palette.colours + palette.void)
        assert len(palette.colours) == len(palette.classes) or not palette.classes
    # https://host.robots.ox.ac.uk/pascal/VOC/voc2012/segexamples: aeroplane, person, tvmonitor
    assert [PALETTES["voc"].colours[k] for k in (1, 15, 20)] == [(128, 0, 0), (192, 128, 128), (0, 64, 128)]


def test_void_colours_and_palette_images(tmp_path):
    void = Image.fromarray(np.array([[(224, 224, 192), (128, 0, 0), (0, 0, 0)]], np.uint8))
    void.save(tmp_path / "rgb.png")
    assert read_mask(tmp_path / "rgb.png", "voc").tolist() == [[255, 1, 0]]
    indexed = Image.fromarray(np.array([[7, 5]], np.uint8), "P")  # colours in an order of their own
    indexed.putpalette([0] * 15 + [128, 0, 0, 0, 0, 0, 0, 0, 0])
    indexed.save(tmp_path / "p.png")
    assert read_mask(tmp_path / "p.png").tolist() == [[7, 5]]
    assert read_mask(tmp_path / "p.png", "voc").tolist() == [[0, 1]]


def test_binary_masks_in_every_form(tmp_path):
    for name, image in {
        "255": np.array([[0, 255]], np.uint8), "1": np.array([[0, 1]], np.uint8), "bit": np.array([[False, True]]),
        "rgb": np.array([[(0, 0, 0), (255, 255, 255)]], np.uint8),
    }.items():  # fmt: skip
        Image.fromarray(image).save(tmp_path / f"{name}.png")
        assert read_mask(tmp_path / f"{name}.png", "binary").tolist() == [[0, 1]], name
    Image.fromarray(np.array([[0, 1, 255]], np.uint8)).save(tmp_path / "both.png")
    with pytest.raises(RequestError, match=r"values \[0, 1, 255\]; palette binary"):
        read_mask(tmp_path / "both.png", "binary")


@pytest.mark.parametrize(("name", "options"), [
    ("a.jpg", {}), ("a.webp", {"quality": 90}), ("a.tif", {"compression": "jpeg"}),
])  # fmt: skip
def test_lossy_masks_are_refused(tmp_path, name, options):
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(tmp_path / name, **options)
    with pytest.raises(RequestError, match="save masks as PNG"):
        read_mask(tmp_path / name)


def test_lossless_webp_and_tiff_masks_are_read(tmp_path):
    mask = np.arange(24 * 32, dtype=np.uint8).reshape(24, 32) % 9
    Image.fromarray(np.repeat(mask[..., None], 3, 2)).save(tmp_path / "a.webp", lossless=True, exif=b"Exif\0\0")
    Image.fromarray(mask).save(tmp_path / "a.tif", compression="tiff_lzw")
    for path in tmp_path.iterdir():
        assert (read_mask(path) == mask).all(), path


def test_a_palette_of_index_masks_gives_names_and_changes_nothing_else(folder):
    root, given = folder(a=[0, 3], b=[1, 255])
    named, plain = load_dataset(root, "folder", palette="mfnet", **given), load_dataset(root, "folder", **given)
    assert (named.masks.classes, named.masks.palette, named.masks.masks) == (MSRS, None, plain.masks.masks)


@pytest.mark.parametrize(
    ("values", "kind"), [((255,), "binary-mask"), ((0, 128, 255), "mask-value"), ((0, 8, 255), None)]
)
def test_masks_that_hold_no_classes_are_findings(tmp_path, pairs_in, mask, values, kind):
    pairs_in(tmp_path / "ir", tmp_path / "vi", "a.png")
    mask(tmp_path / "masks" / "a.png", values)
    _, findings = scan_dataset(tmp_path, "folder", masks=tmp_path / "masks")
    assert [finding.kind for finding in findings] == ([kind] if kind else [])
