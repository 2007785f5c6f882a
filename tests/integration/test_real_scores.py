"""`fusion pairs` and `fusion score` on RoadScene's 50 test pairs against figures from another implementation."""

import json

import pytest

from fuse2task.data.dataset import Dataset
from fuse2task.data.loading import load_pairs
from fusion.loose_pairs import fuse_pairs
from fusion.methods import make_method
from fusion.quality.scorer import score_folders

# The data's own README: EN / SD / MI / SCD / VIF / Qabf of the grey images. One unit of the last printed digit is
# left for how luma and average were rounded, which it does not say.
PUBLISHED = {
    "average": {"EN": 6.450, "SD": 28.53, "MI": 2.879, "SCD": 1.416, "VIF": 0.570, "Qabf": 0.382},
    "maximum": {"EN": 7.032, "SD": 44.02, "MI": 7.376, "SCD": 1.411, "VIF": 0.853, "Qabf": 0.604},
}


@pytest.mark.slow
def test_roadscene_means_are_the_known_ones(shared_path, tmp_path):
    root = shared_path("data", "RoadScene")
    wanted = {line.strip().rsplit(".", 1)[0] for line in (root / "test50.txt").read_text().splitlines() if line.strip()}
    pairs = tuple(pair for pair in load_pairs(root, "roadscene") if pair.id in wanted)
    assert len(pairs) == 50
    for method in PUBLISHED:
        fuse_pairs(Dataset("roadscene", root, pairs), make_method(method), tmp_path / method, "gray")
    names = list(PUBLISHED["average"])
    score_folders(pairs, {name: tmp_path / name for name in PUBLISHED}, "standard", tmp_path / "s.csv", names)
    summary = json.loads((tmp_path / "s.json").read_text())
    for method, expected in PUBLISHED.items():
        for name, value in expected.items():
            unit = 0.01 if name == "SD" else 0.001
            assert summary["methods"][method][name]["mean"] == pytest.approx(value, abs=unit), (method, name)
