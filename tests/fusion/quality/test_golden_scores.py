"""Every score of every profile keeps its number as long as it keeps its version; hashes follow versions, not words.

Where a test here fails because a score is meant to change: raise the score's `version`, and put the new version and
the new value into golden_scores.json. Results of older versions are then no longer taken for up to date.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fusion.quality.definitions import opencv_gray
from fusion.quality.profiles import PROFILES, STANDARD
from fusion.quality.scorer import score

GOLDEN = json.loads((Path(__file__).parent / "golden_scores.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def synthetic():
    """Grey infrared, colour visible and colour fused image of 184 x 200 pixels, made of whole numbers."""
    y, x = np.mgrid[:184, :200]
    tiles = x // 16 + y // 12
    planes = [x * (3 + c) + y * (5 - c) + (x * y * (c + 1)) // 7 + 31 * (tiles % (3 + c)) for c in range(3)]
    visible = np.stack(planes, axis=-1) % 256
    infrared = (x * x // 40 + 3 * y + 60 * ((x // 20) % 2) + (x * 37 + y * 91) % 23) % 256
    fused = ((visible * 3 + 2 * infrared[..., None]) // 5 + ((x * 17 + y * 29) % 9)[..., None]).clip(0, 255)
    return tuple(image.astype(np.uint8) for image in (infrared, visible, fused))


@pytest.mark.parametrize("profile", PROFILES)
def test_numbers_change_with_the_version_only(profile, synthetic):
    golden = GOLDEN[profile]
    versions = {name: entry["version"] for name, entry in golden.items()}
    assert {entry.name: entry.version for entry in PROFILES[profile].scores} == versions
    found = score(*synthetic, profile=profile)
    assert list(found) == list(golden)
    for name, value in found.items():
        # Sigmoids in float32 differ by processor.
        tolerance = 1e-6 if (profile, name) == ("ivif_zoo", "CE") else 1e-9
        assert value == pytest.approx(golden[name]["value"], rel=tolerance), name


def changed(**changes):
    scores = tuple(replace(found, **changes) if found.name == "Qabf" else found for found in STANDARD.scores)
    return replace(STANDARD, scores=scores)


def test_the_hash_is_of_versions_and_parameters():
    same = [
        changed(formula="another, comma"), changed(source="another paper"), changed(range="[0, 1]"),
        replace(STANDARD, about="other words", source="other words", channel="other words"),
    ]  # fmt: skip
    assert {profile.hash for profile in same} == {STANDARD.hash}
    version = STANDARD.chosen(["Qabf"])[0].version
    other = [
        changed(version=version + 1), changed(scale="0-1"), changed(name="QABF"),
        replace(STANDARD, scores=STANDARD.scores[1:]), replace(STANDARD, dtype="float32"),
        replace(STANDARD, prepare=opencv_gray), replace(STANDARD, name="other"),
    ]  # fmt: skip
    assert len({profile.hash for profile in (STANDARD, *other)}) == len(other) + 1
