"""The viewer's scenes: order, boxes, masks, and nothing from outside the bench folder."""

import base64
import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image

from fuse2task.data.classes import MSRS, MSRS_PALETTE, class_colours
from fuse2task.data.fused import open_fused
from fuse2task.data.images import write_image
from fuse2task.overlays import MaskOverlays
from fuse2task.report import viewer
from fuse2task.report.contents import read_contents
from fuse2task.report.viewer import viewer_scenes


def decoded(uri: str) -> Image.Image:
    head, data = uri.split(",", 1)
    assert head in ("data:image/webp;base64", "data:image/png;base64")
    return Image.open(io.BytesIO(base64.b64decode(data)))


def with_extremes(bench, *changes):
    contents = read_contents(bench)
    entries = [contents.extremes[0] | change for change in changes]
    return dataclasses.replace(contents, extremes=entries)


def test_scenes_hold_every_picture_with_truth_and_detections(bench, true_ap):
    first, second = viewer_scenes(read_contents(bench))
    assert (first["image"], second["image"]) == ("p1", "p2")
    assert [item["name"] for item in first["pictures"]][:2] == ["infrared", "visible"]
    assert {item["name"] for item in first["pictures"]} == set(true_ap)
    assert first["truth"]["boxes"] == [[8, 8, 20, 30, 0, None]]
    assert second["truth"]["boxes"] == [[8, 8, 20, 30, 1, None]]
    for picture in first["pictures"]:
        assert picture["boxes"] == [[9, 9, 20, 30, 0, 0.88]]  # the one with confidence .05 is not drawn
    assert first["notes"] == ["average wins over visible by 0.50 AP50 on this image"]
    assert second["notes"] == ["average loses to visible by 0.25 AP50 on this image"]
    visible = np.asarray(decoded(first["pictures"][1]["uri"]))
    assert visible.shape == (48, 64, 3)
    assert abs(int(visible.mean()) - 10) <= 1  # the flat grey that the fixture drew


def test_large_pictures_shrink_and_keep_their_shape(bench):
    write_image(bench / "fused/toy/visible/images/test/p1.png", np.full((750, 1000, 3), 90, np.uint8))
    picture = viewer_scenes(read_contents(bench))[0]["pictures"][1]
    assert decoded(picture["uri"]).size == (640, 480)


def test_wins_and_losses_take_turns_and_the_page_stays_small(bench, monkeypatch):
    order = [
        {"image": "p1", "difference": 0.1},
        {"image": "p2", "difference": -0.05},
        {"image": "p1", "difference": 0.3},
    ]
    scenes = viewer_scenes(with_extremes(bench, *order))
    assert [(scene["image"], scene["gain"], len(scene["notes"])) for scene in scenes] == [
        ("p1", 0.3, 2),
        ("p2", -0.05, 1),
    ]
    monkeypatch.setattr(viewer, "SCENES", 1)
    assert len(viewer_scenes(read_contents(bench))) == 1
    monkeypatch.setattr(viewer, "BYTES", 100)
    assert viewer_scenes(read_contents(bench)) == []


@pytest.mark.parametrize("change", [
    {"image": "../../secret"}, {"image": ".."}, {"dataset": "../fused/toy"}, {"judge": "*"}, {"image": "missing"},
    {"dataset": "other"}, {"truth_hash": "truth1"},
])  # fmt: skip
def test_files_elsewhere_files_that_are_gone_and_other_truths_are_left_out(bench, change):
    assert viewer_scenes(with_extremes(bench, change)) == []


def test_masks_become_palette_pictures(tmp_path):
    root = tmp_path / "fused"
    mask = np.array([[0, 1, 2], [8, 255, 0]], np.uint8)
    write_image(root / "masks" / "test" / "p1.png", mask)
    write_image(tmp_path / "judge" / "masks" / "p1.png", mask[::-1].copy())
    manifest = {
        "format": "fuse2task.fused", "version": 1, "truth": {"kind": "masks", "classes": list(MSRS)},
        "files": [{"id": "p1", "split": "test"}],
    }  # fmt: skip
    (root / "manifest.json").write_text(json.dumps(manifest))
    overlays = MaskOverlays(open_fused(root), "test")
    seen = np.asarray(decoded(overlays.truth("p1")["mask"]).convert("RGBA"))
    for y, x in np.ndindex(mask.shape):
        assert seen[y, x, 3] == (0 if mask[y, x] in (0, 255) else 255)
        if seen[y, x, 3]:
            assert tuple(seen[y, x, :3]) == MSRS_PALETTE[mask[y, x]]
    found = np.asarray(decoded(overlays.predictions(tmp_path / "judge", "p1")["mask"]).convert("RGBA"))
    assert (found == seen[::-1]).all()
    assert overlays.predictions(tmp_path / "nobody", "p1") == {}
    assert overlays.classes()[1] == {"name": "car", "colour": "#400080"}


def test_the_general_palette_is_pascal_vocs():
    # The first colours of the VOC devkit's colour map.
    assert class_colours(tuple("abcdefghij")) == (
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128), (128, 128, 128),
        (64, 0, 0), (192, 0, 0),
    )  # fmt: skip
