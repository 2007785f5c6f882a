"""Flicker of fused sequences: values by hand, and what methods and tone mappings make of a constructed sequence."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fuse2task.data.images import read_infrared, write_image
from fuse2task.data.loading import load_pairs
from fuse2task.rig.importing import ImportRecipe, import_pairs
from fusion.quality.scorer import score_folders
from fusion.quality.temporal import flicker

LEVELS = arrays(np.float64, 6, elements=st.floats(0, 255))


def test_values_by_hand():
    infrared, visible = np.array([10.0, 20, 20, 20]), np.array([50.0, 50, 50, 40])
    fused = np.array([30.0, 35, 38, 20])  # between both; 3 where both stand still; 8 below the darker step
    assert flicker(infrared, visible, fused).tolist() == [0, 3, 8]
    frames = np.broadcast_to(fused[:, None, None], (4, 5, 6))
    assert flicker(infrared, visible, frames).tolist() == [0, 3, 8]


@given(LEVELS, LEVELS, st.floats(0, 1), st.floats(0, 255))
def test_any_fixed_mean_of_the_sources_is_stable_and_what_is_added_alternately_is_found(a, b, share, added):
    mean = share * a + (1 - share) * b
    assert flicker(a, b, mean) == pytest.approx(0, abs=1e-9)
    assert flicker(a, a, a + added * (np.arange(6) % 2)) == pytest.approx(added)


def test_the_scorer_tells_it_of_sequences_in_natural_order(tmp_path, run_cli):
    rng = np.random.default_rng(0)
    for sequence, offsets in {"street": (0, 6, 0), "yard": (0, 2, 4), "alone": (0,)}.items():
        still = rng.integers(50, 200, (2, 24, 24), dtype=np.uint8)
        for number, offset in zip((1, 2, 10), offsets, strict=False):
            for folder, image in zip(
                ("ir", "vi", "steady", "unsteady"), (*still, still[0], still[1] + offset), strict=True
            ):
                where = tmp_path / folder / (sequence if folder in ("ir", "vi") else "")
                name = f"{number}.png" if folder in ("ir", "vi") else f"{sequence}__{number}.png"
                write_image(where / name, np.ascontiguousarray(image, dtype=np.uint8))
    options = ("--ir", tmp_path / "ir", "--visible", tmp_path / "vi", "--scores", "EN", "-o", tmp_path / "s.csv")
    fused = ("--fused", tmp_path / "steady", "--fused", tmp_path / "unsteady")
    assert run_cli("fusion", "score", *options, *fused) == 0, run_cli.error
    assert "flicker ↓ (2 sequences)" in run_cli.output
    found = json.loads((tmp_path / "s.json").read_text())["flicker"]
    assert found["sequences"] == 2
    assert found["methods"]["steady"]["mean"] == 0
    assert found["methods"]["unsteady"] == {
        "mean": pytest.approx(4),
        "standard_error": pytest.approx(2),
        "undefined": 0,
    }
    assert run_cli("fusion", "score", "--explain", "flicker") == 0
    assert "Rockinger" in run_cli.output
    pairs = load_pairs(tmp_path, "folder", infrared=tmp_path / "ir" / "alone", visible=tmp_path / "vi" / "alone")
    (tmp_path / "one").mkdir()
    (tmp_path / "steady" / "alone__1.png").rename(tmp_path / "one" / "1.png")
    assert "flicker" not in score_folders(pairs, {"one": tmp_path / "one"}, "standard", tmp_path / "o.csv", ["EN"])


def test_a_range_of_the_whole_set_does_not_flicker_and_one_of_each_frame_does(tmp_path):
    rng = np.random.default_rng(3)
    still = cv2.resize(rng.uniform(28800, 29600, (6, 8)).astype(np.float32), (64, 48), interpolation=cv2.INTER_CUBIC)
    for number in range(6):
        kelvin = still + rng.normal(0, 3, still.shape)
        kelvin[40:, 64 - 8 * number :] = 31500  # something hot drives in
        for folder, image in (("ir", np.rint(kelvin).astype(np.uint16)), ("vi", np.full((48, 64), 90, np.uint8))):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / f"{number}.png"), image)
    found = {}
    for each in (False, True):
        recipe = {"infrared": str(tmp_path / "ir"), "visible": str(tmp_path / "vi"),
                  "radiometry": {"unit": "centikelvin", "per_frame": each}}  # fmt: skip
        import_pairs(ImportRecipe.model_validate(recipe), tmp_path / f"{each}")
        frames = np.stack([read_infrared(tmp_path / f"{each}" / "infrared" / f"{n}.png") for n in range(6)])
        scene = np.zeros(6)  # the upper part stands still
        found[each] = flicker(scene, scene, frames[:, :36]).max()
    assert found[False] < 1 < 10 < found[True]
