"""Six newcomers' first hours, from an installed wheel in an empty folder: each is a script beside this file."""

import csv
import importlib.util
import json
from pathlib import Path

import pytest

from fuse2task.data.images import image_size, read_visible

pytestmark = pytest.mark.slow


def rows(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_own_pairs(journey):
    said = journey("own_pairs")
    assert "no findings" in said
    fused = sorted((journey.folder / "fused" / "laplacian").glob("*.png"))
    assert len(fused) == 3
    assert image_size(fused[0]) == (96, 64)
    scores = rows(journey.folder / "scores.csv")
    assert [row["method"] for row in scores] == ["average"] * 3 + ["laplacian"] * 3
    assert float(scores[0]["SD"]) < float(scores[3]["SD"]), "a pyramid has more contrast than a mean"


def test_new_method(journey):
    journey("new_method")
    folder = journey.folder
    results = rows(folder / "bench" / "results.csv")
    assert {row["method"] for row in results} == {"visible", "infrared", "average", "warmest", "mine"}
    warmest, mine = folder / "fused" / "warmest", folder / "fused" / "mine"
    name = next((warmest / "images" / "test").glob("*.png")).relative_to(warmest)
    assert (read_visible(warmest / name) != read_visible(mine / name)).any()
    manifest = json.loads((warmest / "manifest.json").read_text())
    assert manifest["method"]["margin"] == 32


def test_new_judge(journey):
    journey("new_judge")
    results = rows(journey.folder / "bench" / "results.csv")
    chosen = [row for row in results if row["metric"] == "AP50" and row["class"] == row["condition"] == "all"]
    values = {(row["judge"], row["method"]): float(row["value"]) for row in chosen}
    assert len(values) == 9
    assert all(
        abs(values["mine", method] - values["low", method]) < 1e-9 for method in ("visible", "infrared", "average")
    )
    assert len({row["judge_hash"] for row in results}) == 3
    (entry,) = json.loads((journey.folder / "bench" / "judges.json").read_text())
    assert {"low", "mine"} <= set(entry["judges"])
    assert "judges · truth" in (journey.folder / "bench" / "report" / "summary.md").read_text()


def test_paper(journey):
    said = journey("paper")
    report = journey.folder / "results" / "report"
    assert "\\begin{table" in said or "\\begin{tabular" in (report / "summary.tex").read_text()
    assert "laplacian" in (report / "summary.tex").read_text()
    assert "<html" in (report / "index.html").read_text()[:500]
    results = rows(journey.folder / "results" / "results.csv")
    compared = [row for row in results if row["metric"] == "mIoU" and row["class"] == row["condition"] == "all"]
    assert {row["method"] for row in compared} == {"visible", "infrared", "average", "laplacian"}
    assert all(row["ci_low"] for row in compared)


def write_judge(path):
    """The detector of a few ONNX nodes that the benchmark's own tests use."""
    pytest.importorskip("onnxruntime")
    source = Path(__file__).parents[1] / "bench" / "conftest.py"
    spec = importlib.util.spec_from_file_location("bench_fixtures", source)
    assert spec is not None
    assert spec.loader is not None
    fixtures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fixtures)
    fixtures.write_judge(path)


def test_new_dataset(journey):
    write_judge(journey.folder / "judge.onnx")
    said = journey("new_dataset")
    assert "layout rig" in said
    folder = journey.folder
    boxes = json.loads((folder / "boxes.json").read_text())
    assert len(boxes["images"]) == 4
    assert len(boxes["annotations"]) == sum((folder / "rig" / "xml" / f"0000{n}.xml").read_text().count("<object>")
                                            for n in range(4))  # fmt: skip
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["images"] == 2
    assert metrics["per_class"]["Bus"]["AP"] is None
    assert any(row["judge"] == "mine" for row in rows(folder / "bench" / "results.csv"))


def test_two_cameras(journey):
    write_judge(journey.folder / "judge.onnx")
    said = journey("two_cameras")
    assert "infrared: counts 28500 to 31560 (285 to 315.6 K) by percentiles" in said
    assert "2 defective pixels repaired" in said
    assert "no findings" in said
    folder = journey.folder
    done = json.loads((folder / "pairs" / "import.json").read_text())
    assert done["residuals"]["after"]["median"] < 1 < 5 < done["residuals"]["before"]["median"]
    assert image_size(folder / "pairs" / "contact_sheet.png") == (3 * 154, 3 * (124 + 24))
    sides = {
        tuple(reversed(line.split("__")[0].split("\t"))) for line in (folder / "split.txt").read_text().splitlines()
    }
    assert sorted(dict(sides)) == ["gate", "street", "yard"]
    assert len(sides) == 3, "a sequence is on both sides"
    # The grid begins at x 6 of the infrared image, and truth that was drawn there with it.
    truth = json.loads((folder / "pairs" / "annotations.json").read_text())
    (first,) = (image["id"] for image in truth["images"] if image["file_name"] == "street__000.png")
    assert [96, 67, 41, 22] in [box["bbox"] for box in truth["annotations"] if box["image_id"] == first]
    results = rows(folder / "bench" / "results.csv")
    assert {row["method"] for row in results if row["metric"] == "AP"} == {"visible", "infrared", "average"}
    assert "<html" in (folder / "bench" / "report" / "index.html").read_text()[:500]
