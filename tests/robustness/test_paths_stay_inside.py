"""Wherever an id or a name of a file becomes a path, it stays in its folder."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuse2task.bench.recipe import BenchRecipe
from fuse2task.config.recipes import load_recipe
from fuse2task.data.dataset import is_safe_id, is_split_name, path_id
from fuse2task.data.fused import open_fused
from fuse2task.data.images import SUFFIXES, write_image
from fuse2task.data.loading import scan_dataset
from fuse2task.data.splits import read_split
from fuse2task.data.truth.coco import read_coco
from fuse2task.runtime.errors import RequestError

LEADING_OUT = [
    "../a",
    "..",
    "/etc/passwd",
    "a/../../b",
    "a/b",
    ".a",
    "a\\b",
    "",
    " ",
    "a\n",
    "\x1b[2J",
    "\udcff",
    "~/a\0",
    "a" * 300,
]


def manifest(root: Path, name: str = "p1", split: str = "test") -> Path:
    row = {"id": name, "split": split, "image": "0" * 64}
    truth = {"kind": "none", "classes": [], "hash": ""}
    (root / "manifest.json").write_text(
        json.dumps({"format": "fuse2task.fused", "version": 1, "truth": truth, "files": [row]})
    )
    return root


@pytest.mark.parametrize("name", LEADING_OUT)
@pytest.mark.parametrize("key", ["name", "split"])
def test_a_manifest_leads_nowhere_else(tmp_path, name, key):
    assert open_fused(manifest(tmp_path)).ids("test") == ["p1"]
    with pytest.raises(RequestError, match=r"manifest\.json: damaged"):
        open_fused(manifest(tmp_path, **{key: name}))


@given(st.text(max_size=12))
@example("a/../b")
def test_an_id_that_counts_as_safe_is_one_name_in_its_folder(name):
    for good in (is_safe_id, is_split_name):
        if good(name):
            assert Path("/folder", f"{name}.png").parent == Path("/folder")
            assert Path("/folder", f"{name}.png").name == f"{name}.png"
            assert name.isprintable()


@given(st.lists(st.sampled_from(["..", "a", "b c", ".h", "é"]), min_size=1, max_size=4), st.booleans())
def test_the_id_of_a_path_is_safe_or_refused(parts, absolute):
    key = path_id("/" * absolute + "/".join(parts) + ".png", SUFFIXES)
    assert "/" not in key
    assert not is_safe_id(key) or Path("/x", key).parent == Path("/x")


@pytest.mark.parametrize("name", LEADING_OUT)
def test_a_split_list_names_nothing_outside(tmp_path, name):
    (tmp_path / "split.txt").write_bytes(f"test\t{name}\n".encode("utf-8", "surrogateescape"))
    with pytest.raises(RequestError, match=r"split\.txt"):
        read_split(tmp_path / "split.txt")
    (tmp_path / "split.txt").write_text(f"../{name.strip()}\tp1\n", "utf-8", "replace")
    with pytest.raises(RequestError, match=r"split\.txt"):
        read_split(tmp_path / "split.txt")


def test_a_name_of_a_coco_file_is_looked_up_and_never_opened(tmp_path):
    images = [{"id": 1, "file_name": "../../../../etc/passwd", "width": 1, "height": 1}]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    truth, findings = read_coco(tmp_path / "a.json", ())
    assert (truth.boxes, findings) == ({}, [])


def test_names_with_control_characters_are_findings_in_every_layout(tmp_path):
    plane = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for name in ("IR1.png", "VIS1.png", "IR\x1b[2J.png", "VIS .png"):
        write_image(tmp_path / "tno" / name, plane)
    for side in ("ir", "vi"):
        write_image(tmp_path / "folder" / side / "a\nb.png", plane)
        write_image(tmp_path / "folder" / side / "good.png", plane)
    for layout in ("tno", "folder"):
        dataset, findings = scan_dataset(tmp_path / layout, layout)
        assert len(dataset.pairs) == 1
        assert {finding.kind for finding in findings} == {"bad-name"}
        assert all(finding.message.isprintable() for finding in findings)


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", "..", ".a", "a\n", ""])
def test_names_of_a_bench_recipe_are_no_paths(tmp_path, name):
    values = {"datasets": {"toy": {"root": "data", "layout": "folder"}}, "methods": []}
    for changed in (
        {**values, "datasets": {name: values["datasets"]["toy"]}},
        {**values, "methods": [{"name": name, "folder": "x"}]},
        {**values, "judges": {name: {"task": "detection", "protocol": "frozen", "weights": "w"}}},
        {**values, "datasets": {"toy": {**values["datasets"]["toy"], "truth_name": name}}},
    ):
        (tmp_path / "bench.yaml").write_text(json.dumps(changed))
        with pytest.raises(RequestError, match=r"bench\.yaml: bad recipe"):
            load_recipe(BenchRecipe, str(tmp_path / "bench.yaml"))


@pytest.mark.parametrize("reference", ["/no/such/recipe", "../../etc/none", "x" * 5000, "a\0b", "**/x", "fusion/../x"])
def test_a_recipe_that_is_none(reference):
    with pytest.raises(RequestError, match="no such recipe"):
        load_recipe(BenchRecipe, reference)


def test_a_circle_of_links_is_no_dataset(tmp_path, folder_dataset):
    root = folder_dataset(2)
    (root / "self").symlink_to("self")
    (root / "ir" / "again").symlink_to(root)
    dataset, findings = scan_dataset(root, "folder")
    assert [pair.id for pair in dataset.pairs] == ["p0", "p1"]
    assert [finding.kind for finding in findings] == ["linked-loop"]
    assert str(root / "ir" / "again") in findings[0].message
