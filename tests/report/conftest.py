"""A small bench folder made by hand: five methods, one of them and one class with names that look like markup."""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fuse2task.data.images import write_image
from fuse2task.results.schema import (
    COMPARISONS,
    CONDITIONS,
    CORRELATIONS,
    COSTS,
    OLD_RESULTS,
    OPENINGS,
    ROBUSTNESS,
    TO_BASELINE,
)

HOSTILE = "<img src=x onerror=alert(1)>"
CLASSES = ("person", "<script>alert(1)</script>")
AP = {"visible": 0.30, "infrared": 0.34, "average": 0.40, "sum_100%": 0.41, HOSTILE: 0.20}
KEYS = {
    "run": "run1", "dataset": "toy", "split_hash": "split0", "truth_hash": "truth0", "image_size": "64x48",
    "color": "rgb", "task": "detection", "protocol": "frozen", "judge": "yolo", "judge_hash": "judge0",
    "recipe_hash": "recipe0",
}  # fmt: skip
TRUTHS = {
    "truth0": {"dataset": "toy", "name": "fusion", "kind": "boxes", "classes": list(CLASSES), "primary": True},
    "truth1": {"dataset": "toy", "name": "visible", "kind": "boxes", "classes": list(CLASSES), "primary": False},
    "masks0": {"dataset": "pixels", "name": "dataset", "kind": "masks", "classes": ["ground", "car"], "primary": True},
}


def result(method: str, metric: str, value: float, **other: Any) -> dict[str, Any]:
    """A row of results.csv; keys, class, condition, seed and interval can be set."""
    row = {
        **KEYS, "method": method, "method_hash": f"hash of {method}", "seed": "", "metric": metric, "class": "all",
        "condition": "all", "value": value, "ci_low": value - 0.05, "ci_high": value + 0.05,
        "ci_method": "bca, 1000 replicates, 0.95, seed 0", "n_images": 12, "versions_hash": "versions0",
    }  # fmt: skip
    return row | other


def comparison(a: str, difference: float, p_holm: float, **other: Any) -> dict[str, Any]:
    """A row of comparisons.csv, against `average`."""
    row = {
        **KEYS, "a": a, "b": "average", "metric": "AP", "class": "all", "condition": "all", "difference": difference,
        "ci_low": difference - 0.03, "ci_high": difference + 0.03, "p_value": p_holm / 3, "p_holm": p_holm,
        "smallest_detectable": 0.045, "n_images": 12, "seeds": 1, "resampled": "images",
    }  # fmt: skip
    return row | other


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """Rows of results.csv: frozen with two truths, retrained with two seeds, segmented, scored."""
    found = []
    for method, value in AP.items():
        found += [result(method, metric, value + 0.1 * shift) for shift, metric in enumerate(("AP", "AP50", "AP75"))]
        found += [result(method, "AP", value + 0.05, **{"class": name}) for name in CLASSES]
        found += [
            result(method, "AP", value - 0.02 * number, condition=name)
            for number, name in enumerate(("day", "night", "small", "large", "scene:bridge"))
        ]
        # By the boxes drawn on visible images the single camera comes first, the others keep their order.
        other = 0.5 if method == "visible" else value
        found.append(result(method, "AP", other, truth_hash="truth1"))
    retrained = {"protocol": "retrain", "judge": "yolo-n", "judge_hash": "judge1", "recipe_hash": "recipe1"}
    for method, values in {"visible": (0.2, 0.24), "infrared": (0.1, 0.12), "average": (0.3, 0.31)}.items():
        for seed, value in enumerate(values):
            found += [result(method, metric, value, seed=seed, **retrained) for metric in ("AP", "AP50")]
    pixels = {
        "dataset": "pixels", "truth_hash": "masks0", "task": "segmentation", "judge": "unet", "judge_hash": "judge2",
    }  # fmt: skip
    found += [result(method, "mIoU", value + 0.3, **pixels) for method, value in AP.items() if method != HOSTILE]
    scored = {"task": "quality", "truth_hash": "", "protocol": "", "judge": "standard", "recipe_hash": ""}
    for method, value in AP.items():
        found += [result(method, "EN", 7 * value, **scored), result(method, "Nabf", value, **scored)]
    return found


@pytest.fixture
def true_ap() -> dict[str, float]:
    """AP of each method in the first table."""
    return AP


@pytest.fixture
def bench(tmp_path, rows) -> Path:
    """The bench folder, with two scenes of 64x48 pixels for the viewer."""
    folder = tmp_path / "bench"
    write_csv(folder / "results.csv", OLD_RESULTS, rows)
    pairs = {"visible": (-0.10, 0.001), "infrared": (-0.06, 0.2), "sum_100%": (0.01, 0.9), HOSTILE: (-0.2, 0.0001)}
    write_csv(folder / "comparisons.csv", COMPARISONS, [comparison(a, *pair) for a, pair in pairs.items()])
    costs = [{"method": method, "parameters": 0, "ms": ms, "device": "cpu"} for method, ms in zip(AP, (1, 2, 3, 200))]  # noqa: B905
    write_csv(folder / "costs.csv", COSTS, costs)
    write_csv(folder / "openings.csv", OPENINGS, [
        {"run": run, "dataset": "toy", "split": "test", "split_hash": "split0", "truth_hash": "truth0",
         "evaluations": 5}
        for run in ("run1", "run2")
    ])  # fmt: skip
    write_csv(folder / "conditions.csv", CONDITIONS, sweep_points())
    write_csv(folder / "robustness.csv", ROBUSTNESS, sweep_areas())
    write_csv(folder / "correlations.csv", CORRELATIONS, [
        {"dataset": "toy", "profile": "standard", "score": score, "task": "detection", "judge": "yolo", "metric": "AP",
         "truth_hash": "truth0", "spearman": value, "spearman_low": value - 0.1,
         "spearman_high": value, "predicted": value, "spearman_p": 1 - value, "kendall": value, "kendall_p": 1 - value,
         "methods": 5} for score, value in (("EN", 0.99), ("Nabf", 0.1))
    ])  # fmt: skip
    ranking = {
        "dataset": "toy", "task": "detection", "judge": "yolo", "metric": "AP50", "truth_hash": "truth0",
        "methods": list(AP), "ranks": [3.5, 3.4, 1.6, 1.5, 5.0], "p_value": 0.002, "critical_difference": 1.7,
        "blocks": "images", "n": 12,
    }  # fmt: skip
    extremes = [
        {"dataset": "toy", "task": "detection", "judge": "yolo", "metric": "AP50", "a": "average", "b": "visible",
         "image": image, "difference": difference} for image, difference in (("p1", 0.5), ("p2", -0.25))
    ]  # fmt: skip
    for name, value in {"truths": TRUTHS, "ranking": [ranking], "extremes": extremes}.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    (folder / "recipe.yaml").write_text("baseline: average\nnote: <script>alert(2)</script>\n")
    definitions = {"EN": {"better": "higher"}, "Nabf": {"better": "lower"}}
    (folder / "scores" / "toy").mkdir(parents=True)
    (folder / "scores" / "toy" / "standard.json").write_text(json.dumps({"definitions": definitions}))
    for number, method in enumerate(AP):
        write_toy_fused(folder / "fused" / "toy" / method, 40 * number)
        write_toy_detections(folder / "predictions" / "toy" / method / "yolo")
    return folder


SWEPT = {"visible": -0.08, "infrared": 0.0, "average": -0.04, HOSTILE: -0.05}
"""Method -> fall of AP from one level to the next."""
SWEEP = {key: KEYS[key] for key in KEYS if key not in ("split_hash", "truth_hash", "run")} | {"image_size": "640"}
VERDICTS = {"haze": ("below", "not_told_apart", "above"), "rain": ("above", "above", "not_told_apart")}


def sweep_points() -> list[dict[str, Any]]:
    """conditions.csv: two kinds, levels 0 to 2, with two fused methods and both cameras; EN beside."""
    found = []
    for kind, verdicts in VERDICTS.items():
        for method, fall in SWEPT.items():
            for level, verdict in enumerate(verdicts):
                value = 0.4 + fall * level
                row = SWEEP | {
                    "kind": kind, "level": level, "method": method, "metric": "AP", "class": "all", "value": value,
                    "ci_low": value - 0.03, "ci_high": value + 0.03, "n_images": 12, "seeds": 1,
                }  # fmt: skip
                fused = method not in ("visible", "infrared")
                versus = {"best_single": "infrared", "difference": 0.1, "p_holm": 0.01, "verdict": verdict}
                found.append(row | (versus if fused else {}))
                found.append(row | {"task": "quality", "judge": "standard", "metric": "EN", "value": 7 + value})
    return found


def sweep_areas() -> list[dict[str, Any]]:
    """robustness.csv for `sweep_points`."""
    found = []
    for kind, verdicts in VERDICTS.items():
        for method, fall in SWEPT.items():
            row = SWEEP | {
                "kind": kind, "levels": "0 1 2", "method": method, "metric": "AP", "class": "all", "area": 0.4 + fall,
                "ci_low": 0.37 + fall, "ci_high": 0.43 + fall, "drop": -2 * fall, "drop_low": 0, "drop_high": 0.2,
                "n_images": 12, "seeds": 1,
            }  # fmt: skip
            at = {
                name: " ".join(str(level) for level, told in enumerate(verdicts) if told == name) for name in verdicts
            }
            versus = at | {"best_single": "infrared", "difference": fall, "p_holm": 0.02 if kind == "haze" else 0.3,
                           "difference_low": fall - 0.02, "difference_high": fall + 0.02}  # fmt: skip
            beside = dict(zip(TO_BASELINE, ("average", fall - SWEPT["average"], -0.2, 0.1, 0.03, 0.06), strict=True))
            row_of_task = row | (versus if method not in ("visible", "infrared") else {})
            found.append(row_of_task | (beside if method != "average" else {}))
            found.append(row | {"task": "quality", "judge": "standard", "metric": "EN", "area": 7.4 + fall})
    return found


def write_toy_fused(root: Path, grey: int) -> None:
    """A fused dataset of two flat images with one box each."""
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
    images = [{"id": number, "file_name": f"p{number}.png", "width": 64, "height": 48} for number in (1, 2)]
    boxes = [
        {"id": number, "image_id": number, "category_id": number, "bbox": [8, 8, 20, 30], "area": 600, "iscrowd": 0}
        for number in (1, 2)
    ]
    annotations = {"images": images, "annotations": boxes, "categories": categories}
    for number in (1, 2):
        pixels = np.full((48, 64, 3), grey + 10 * number, np.uint8)
        write_image(root / "images" / "test" / f"p{number}.png", pixels)
    (root / "annotations").mkdir()
    (root / "annotations" / "test.json").write_text(json.dumps(annotations))
    manifest = {
        "format": "fuse2task.fused", "version": 1, "method": {"name": "toy", "hash": "abc", "checkpoint": "f" * 64},
        "truth": {"kind": "boxes", "classes": list(CLASSES)}, "source": {"layout": "folder"}, "split": {"name": "toy"},
        "files": [{"id": f"p{number}", "split": "test"} for number in (1, 2)], "versions": {"numpy": "2"},
    }  # fmt: skip
    (root / "manifest.json").write_text(json.dumps(manifest))


def write_toy_detections(folder: Path) -> None:
    """One sure detection of each image, and one below what the viewer draws."""
    found = [
        {"image_id": number, "category_id": number, "bbox": [9, 9, 20, 30], "score": score}
        for number in (1, 2)
        for score in (0.05, 0.875)
    ]
    folder.mkdir(parents=True)
    (folder / "dets.json").write_text(json.dumps(found))
