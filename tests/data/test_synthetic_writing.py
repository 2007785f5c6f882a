"""Synthetic datasets on disk: the files of M3FD and MSRS, and the command that writes them."""

from pathlib import Path

import numpy as np
import pytest
import typer
from defusedxml import ElementTree
from PIL import Image
from typer.testing import CliRunner

from fuse2task.cli.data import synth
from fuse2task.data.classes import M3FD, MSRS
from fuse2task.data.loading import load_dataset
from fuse2task.data.synthetic.scene import render
from fuse2task.data.synthetic.writing import write_m3fd, write_msrs
from fuse2task.runtime.errors import RequestError

SIZE = (98, 81)


@pytest.fixture(scope="module")
def m3fd(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "m3fd"
    write_m3fd(root, 12, seed=4, size=SIZE)
    return root


@pytest.fixture(scope="module")
def msrs(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "msrs"
    write_msrs(root, train=8, test=4, seed=4, size=SIZE)
    return root


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_m3fd_has_the_real_tree(m3fd):
    names = [f"{number:05d}" for number in range(12)]
    expected = {f"{folder}/{name}.png" for folder in ("Ir", "Vis") for name in names}
    assert set(files(m3fd)) == expected | {f"Annotation/{n}.xml" for n in names} | {"split.txt", "scenes.tsv"}
    for name in names:
        with (
            Image.open(m3fd / "Ir" / f"{name}.png") as infrared,
            Image.open(m3fd / "Vis" / f"{name}.png") as visible,
        ):
            assert infrared.mode == visible.mode == "RGB"
            assert infrared.size == visible.size == SIZE
            red, green, blue = infrared.split()
            assert red.tobytes() == green.tobytes() == blue.tobytes()


def test_m3fd_xml_has_the_form_of_the_real_one(m3fd, shared_path):
    def outline(path: Path) -> dict[str, list[str]]:
        tree = ElementTree.parse(path).getroot()
        return {element.tag: [child.tag for child in element] for element in tree.iter()}

    real = outline(shared_path("data", "M3FD", "Annotation", "00000.xml"))
    ours = outline(m3fd / "Annotation" / "00000.xml")
    assert set(ours.pop("annotation")) == set(real.pop("annotation"))
    assert ours == real


def test_m3fd_boxes_are_edges_of_the_scene(m3fd):
    for index in range(12):
        scene = render(4, index, SIZE, index % 2 == 1, "detection")
        tree = ElementTree.parse(m3fd / "Annotation" / f"{index:05d}.xml").getroot()
        assert [tree.findtext(f"size/{side}") for side in ("width", "height", "depth")] == ["98", "81", "3"]
        corners = [
            (
                entry.findtext("name"),
                *(int(entry.findtext(f"bndbox/{edge}")) for edge in ("xmin", "ymin", "xmax", "ymax")),
            )
            for entry in tree.findall("object")
        ]
        assert corners == [(b.name, b.x, b.y, b.x + b.w, b.y + b.h) for b in scene.boxes]
        pixels = np.asarray(Image.open(m3fd / "Vis" / f"{index:05d}.png"))
        assert np.array_equal(pixels, scene.visible)
        assert np.array_equal(np.asarray(Image.open(m3fd / "Ir" / f"{index:05d}.png"))[..., 1], scene.infrared)


def test_m3fd_loads_without_findings(m3fd):
    dataset = load_dataset(m3fd, "m3fd", split=str(m3fd / "split.txt"))
    assert {name: len(dataset.part(name)) for name in dataset.splits} == {"train": 7, "val": 2, "test": 3}
    assert dataset.boxes is not None
    assert dataset.boxes.classes == M3FD
    assert {box.name for boxes in dataset.boxes.boxes.values() for box in boxes} == set(M3FD)
    assert dataset.boxes.clipped == 0
    nights = {pair.id for pair in dataset.pairs if "night" in pair.conditions}
    assert nights == {f"{number:05d}" for number in range(1, 12, 2)}
    assert all("daytime" in pair.conditions for pair in dataset.pairs if pair.id not in nights)


def test_msrs_has_the_real_tree(msrs):
    names = [f"{number:05d}{'ND'[number % 2]}.png" for number in range(1, 13)]
    expected = {
        f"{'train' if place < 8 else 'test'}/{folder}/{name}"
        for place, name in enumerate(names)
        for folder in ("vi", "ir", "Segmentation_labels")
    }
    assert set(files(msrs)) == expected
    for path in expected:
        with Image.open(msrs / path) as image:
            assert image.mode == ("RGB" if "/vi/" in path else "L")
            assert image.size == SIZE


def test_msrs_masks_hold_class_indices(msrs):
    seen: set[int] = set()
    for path in (msrs / "train" / "Segmentation_labels").iterdir():
        scene = render(4, int(path.stem[:-1]) - 1, SIZE, path.stem.endswith("N"), "segmentation")
        mask = np.asarray(Image.open(path))
        assert np.array_equal(mask, scene.mask)
        seen |= set(np.unique(mask).tolist())
    assert seen == set(range(9))


def test_msrs_loads_without_findings(msrs):
    dataset = load_dataset(msrs, "msrs")
    assert {name: len(dataset.part(name)) for name in dataset.splits} == {"train": 8, "test": 4}
    assert dataset.masks is not None
    assert dataset.masks.classes == MSRS
    assert {pair.conditions for pair in dataset.pairs} == {("day",), ("night",)}


def test_same_seed_same_bytes(m3fd, msrs, tmp_path):
    write_m3fd(tmp_path / "a", 12, seed=4, size=SIZE)
    write_msrs(tmp_path / "b", train=8, test=4, seed=4, size=SIZE)
    write_msrs(tmp_path / "c", train=8, test=4, seed=5, size=SIZE)
    assert files(tmp_path / "a") == files(m3fd)
    assert files(tmp_path / "b") == files(msrs)
    assert files(tmp_path / "c") != files(msrs)


def test_used_folders_and_too_few_scenes_are_refused(tmp_path):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "note.txt").write_text("mine")
    for write in (
        lambda root: write_m3fd(root, 3, 0, (64, 64)),
        lambda root: write_msrs(root, 1, 1, 0, (64, 64)),
    ):
        with pytest.raises(RequestError, match="not an empty folder"):
            write(tmp_path / "used")
        with pytest.raises(RequestError, match="not an empty folder"):
            write(tmp_path / "used" / "note.txt")
    assert set(files(tmp_path)) == {"used/note.txt"}
    with pytest.raises(RequestError, match="too few"):
        write_m3fd(tmp_path / "new", 2, 0)
    with pytest.raises(RequestError, match="at least one"):
        write_msrs(tmp_path / "new", 1, 0, 0)
    assert not (tmp_path / "new").exists()


app = typer.Typer()
app.command()(synth)


@pytest.mark.parametrize(("layout", "images"), [("m3fd", "Vis/*.png"), ("msrs", "*/vi/*.png")])
def test_command_writes_what_was_asked_for(tmp_path, layout, images):
    root = tmp_path / "new"
    done = CliRunner().invoke(app, [str(root), "--layout", layout, "--count", "5", "--size", "80x64", "--seed", "9"])
    assert done.exit_code == 0, done.output
    paths = sorted(root.glob(images))
    assert len(paths) == 5
    assert Image.open(paths[0]).size == (80, 64)
    task = "detection" if layout == "m3fd" else "segmentation"
    first = next(path for path in paths if path.stem in ("00000", "00001D"))
    assert np.array_equal(np.asarray(Image.open(first)), render(9, 0, (80, 64), False, task).visible)


@pytest.mark.parametrize("size", ["80", "80x", "x64", "80x64x3", "-80x64", "80.5x64", "²x64", "32x64"])
def test_command_refuses_bad_sizes(tmp_path, size):
    done = CliRunner().invoke(app, [str(tmp_path / "new"), "--layout", "m3fd", f"--size={size}"])
    assert isinstance(done.exception, RequestError)
    assert size in str(done.exception)
    assert not (tmp_path / "new").exists()


def test_command_refuses_unknown_layouts(tmp_path):
    done = CliRunner().invoke(app, [str(tmp_path / "new"), "--layout", "kaist"])
    assert done.exit_code == 2
