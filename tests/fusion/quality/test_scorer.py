"""The streaming scorer: equal to one by one, resumable, strict about what it is given."""

import csv
import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fusion.quality.scorer as scorer
from fuse2task.data.images import read_visible, write_image
from fuse2task.data.loading import load_pairs
from fuse2task.runtime.errors import RequestError
from fusion.quality.definitions import definition
from fusion.quality.profiles import PROFILES, find_profile
from fusion.quality.scorer import score, score_folders

SOME = ["EN", "MI", "VIF", "Qabf", "SSIM"]


@pytest.fixture
def scene(tmp_path):
    """Sources of two sizes, and two methods' folders."""
    rng = np.random.default_rng(1)
    for number, (height, width) in enumerate([(48, 64), (44, 70), (48, 64), (44, 70), (48, 64)]):
        images = rng.integers(0, 256, (4, height, width, 3), dtype=np.uint8)
        write_image(tmp_path / "ir" / f"p{number}.png", np.ascontiguousarray(images[0, ..., 0]))
        write_image(tmp_path / "vi" / f"p{number}.png", images[1])
        write_image(tmp_path / "one" / f"p{number}.png", (images[0] // 2 + images[1] // 2))
        write_image(tmp_path / "two" / f"p{number}.png", np.ascontiguousarray(images[3, ..., 0]))
    return tmp_path


def pairs_of(scene):
    return load_pairs(scene, "folder", infrared=scene / "ir", visible=scene / "vi")


def run(scene, name="scores.csv", methods=("one", "two"), **options):
    folders = {method: scene / method for method in methods}
    return score_folders(
        pairs_of(scene), folders, "standard", scene / name, options.pop("names", SOME), "cpu", **options
    )


def test_table_holds_every_image_as_scored_alone(scene):
    summary = run(scene)
    rows = list(csv.DictReader((scene / "scores.csv").open()))
    assert list(rows[0]) == ["method", "image", *SOME]
    assert [(row["method"], row["image"]) for row in rows] == [(m, f"p{n}") for m in ("one", "two") for n in range(5)]
    for row in rows:
        files = [scene / folder / f"{row['image']}.png" for folder in ("ir", "vi", row["method"])]
        alone = score(*(read_visible(path) for path in files), names=SOME)
        assert {name: float(row[name]) for name in SOME} == pytest.approx(alone, rel=1e-12)
    values = [float(row["EN"]) for row in rows if row["method"] == "one"]
    found = summary["methods"]["one"]["EN"]
    assert found["mean"] == pytest.approx(np.mean(values))
    assert found["standard_error"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(5))
    assert json.loads((scene / "scores.json").read_text()) == summary
    assert not list(scene.glob(".scores*"))


def test_interrupted_scoring_goes_on_where_it_was(scene, monkeypatch):
    run(scene, "whole.csv")
    calls = []
    original = scorer.score_batch

    def broken(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(scorer, "score_batch", broken)
    monkeypatch.setattr(scorer, "PIXELS", {"cpu": 1})  # one image a batch
    with pytest.raises(KeyboardInterrupt):
        run(scene, "scores.csv")
    assert not (scene / "scores.csv").exists()
    journal = scene / ".scores.csv.journal.jsonl"
    journal.write_text(journal.read_text() + '{"key": "cut sh')  # what a kill leaves
    calls[:] = [1] * 10
    run(scene, "scores.csv")
    assert len(calls) == 10 + 8  # 2 of 10 were done
    assert (scene / "scores.csv").read_bytes() == (scene / "whole.csv").read_bytes()
    assert not journal.exists()


def test_a_changed_image_or_profile_is_scored_anew(scene, monkeypatch):
    monkeypatch.setattr(scorer.Journal, "remove", lambda self: None)
    before = run(scene, methods=("one",))
    shutil.copy(scene / "one" / "p0.png", scene / "one" / "p2.png")
    after = run(scene, methods=("one",))
    assert before["methods"]["one"]["MI"]["mean"] != after["methods"]["one"]["MI"]["mean"]
    fewer = run(scene, methods=("one",), names=["EN"])
    assert list(fewer["methods"]["one"]) == ["EN"]


def test_undefined_values_are_nan_and_counted(scene):
    for number in range(5):
        shape = read_visible(scene / "two" / f"p{number}.png").shape
        write_image(scene / "two" / f"p{number}.png", np.full(shape, 40, dtype=np.uint8))
    summary = run(scene, names=["EN", "CC", "MS_SSIM"])
    assert summary["methods"]["two"]["CC"] == {"mean": None, "standard_error": None, "undefined": 5}
    assert summary["methods"]["two"]["EN"]["mean"] == 0
    assert "nan" in (scene / "scores.csv").read_text()


def test_what_does_not_match_is_listed(scene):
    (scene / "one" / "p1.png").unlink()
    write_image(scene / "two" / "extra.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(
        RequestError, match=r"(?s)2 fused images do not fit.*no fused image p1.*extra\.png: there is no such pair"
    ):
        run(scene)
    write_image(scene / "one" / "p1.png", np.zeros((44, 71), np.uint8))
    (scene / "two" / "extra.png").unlink()
    with pytest.raises(RequestError, match=r"p1\.png: 71x44, but the pair is 70x44"):
        run(scene)
    with pytest.raises(RequestError, match="no such folder"):
        run(scene, methods=("three",))
    with pytest.raises(RequestError, match="does not define Beauty"):
        run(scene, names=["Beauty"])
    with pytest.raises(RequestError, match="no profile 'best'; there are standard"):
        find_profile("best")
    assert not (scene / "scores.csv").exists()


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_defines_each_score_in_words(profile):
    chosen = PROFILES[profile]
    assert len(set(chosen.names)) == len(chosen.names)
    for entry in chosen.scores:
        assert all(text for text in definition(chosen, entry).values()), entry.name
    assert len({found.hash for found in PROFILES.values()}) == len(PROFILES)


def flat(value: int):
    return lambda shape: np.full(shape, value, dtype=np.uint8)


def noise(shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


CASES = {
    "constant": (flat(90), flat(30), flat(60)),
    "black sources": (flat(0), flat(0), noise),
    "black": (flat(0), flat(0), flat(0)),
    "identical": (noise, noise, noise),
    "flat fused": (noise, lambda shape: noise(shape)[::-1].copy(), flat(255)),
}


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", [(16, 16), (48, 50)])
def test_degenerate_images_give_finite_numbers_or_nan(profile, case, shape):
    for value in score(*(make(shape) for make in CASES[case]), profile=profile).values():
        assert not np.isinf(value)


@settings(max_examples=15)
@given(st.integers(4, 40), st.integers(4, 40), st.sampled_from(sorted(PROFILES)))
def test_any_size_gives_a_number_or_nan(height, width, profile):
    rng = np.random.default_rng(height * 100 + width)
    images = rng.integers(0, 256, (3, height, width), dtype=np.uint8)
    values = score(*images, profile=profile)
    assert set(values) == set(PROFILES[profile].names)
    assert not np.isinf(list(values.values())).any()


def test_sizes_that_differ_are_refused():
    with pytest.raises(RequestError, match="different shapes"):
        score(np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8), np.zeros((8, 9), np.uint8))
