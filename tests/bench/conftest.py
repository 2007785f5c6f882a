"""A tiny MSRS with boxes, and a judge of a few ONNX nodes whose AP differs from method to method."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fuse2task.bench.recipe import BenchRecipe
from fuse2task.data.images import write_image

SIDE = 64
PLACES = ((8, 8), (40, 8), (8, 40), (40, 40))  # left, top of the 16 px squares that the judge looks at
CLASSES = ("person", "car")


def _write_pair(root: Path, split: str, name: str, rng: np.random.Generator) -> None:
    visible = rng.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
    infrared = rng.integers(0, 60, (SIDE, SIDE), dtype=np.uint8)
    lines = {"fusion": [], "infrared": []}
    for x, y in PLACES:
        area = slice(y, y + 16), slice(x, x + 16)
        draw = rng.random()
        if draw < 0.5:  # people are warm, cars are blue; one in three is faint
            number = int(draw < 0.25)
            level = int(rng.integers(60, 255))
            if number == 0:
                infrared[area] = level
                lines["infrared"].append((number, x, y))
            else:
                visible[area] = (20, 20, level)
            lines["fusion"].append((number, x, y))
    write_image(root / split / "vi" / f"{name}.png", visible)
    write_image(root / split / "ir" / f"{name}.png", infrared)
    for annotator, boxes in lines.items():
        folder = root / "boxes" / annotator
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{k} {(x + 8) / SIDE} {(y + 8) / SIDE} {16 / SIDE} {16 / SIDE}\n" for k, x, y in boxes)
        (folder / f"{name}.txt").write_text(text)
        (folder / "classes.txt").write_text("person\ncar\n")


def write_judge(path: Path) -> Path:
    """An ONNX detector: a box at each of PLACES; person is as likely as it is red there, car as blue."""
    import onnx
    from onnx import TensorProto, helper

    nodes, columns = [], []
    constants = [helper.make_tensor("axes", TensorProto.INT64, (2,), [2, 3])]
    for k, (x, y) in enumerate(PLACES):
        constants += [
            helper.make_tensor(f"from{k}", TensorProto.INT64, (2,), [y, x]),
            helper.make_tensor(f"to{k}", TensorProto.INT64, (2,), [y + 16, x + 16]),
        ]
        nodes += [
            helper.make_node("Slice", ["images", f"from{k}", f"to{k}", "axes"], [f"area{k}"]),
            helper.make_node("ReduceMean", [f"area{k}"], [f"mean{k}"], axes=[3], keepdims=0),
            helper.make_node("ReduceMean", [f"mean{k}"], [f"rgb{k}"], axes=[2], keepdims=1),
        ]
        columns.append(f"rgb{k}")
    boxes = np.array([(x + 8, y + 8, 16, 16) for x, y in PLACES], np.float32).T
    constants += [
        helper.make_tensor("boxes", TensorProto.FLOAT, (1, 4, len(PLACES)), boxes.ravel()),
        helper.make_tensor("channels", TensorProto.INT64, (2,), [0, 2]),
    ]
    nodes += [
        helper.make_node("Concat", columns, ["rgb"], axis=2),
        helper.make_node("Gather", ["rgb", "channels"], ["scores"], axis=1),
        helper.make_node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "places",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, SIDE, SIDE))],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, (1, 6, len(PLACES)))],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    names = str(dict(enumerate(CLASSES)))
    helper.set_model_props(model, {"names": names, "imgsz": f"[{SIDE}, {SIDE}]", "task": "detect"})
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def tiny_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """msrs layout, 10 train and 12 test pairs by day and night, boxes/{fusion,infrared}; judge.onnx beside it."""
    pytest.importorskip("onnxruntime")
    base = tmp_path_factory.mktemp("bench")
    rng = np.random.default_rng(3)
    for number in range(22):
        split = "train" if number < 10 else "test"
        _write_pair(base / "source", split, f"{number:05d}{'DN'[number % 2]}", rng)
    write_judge(base / "judge.onnx")
    return base / "source"


@pytest.fixture(scope="session")
def tiny_masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic MSRS with masks: 4 train, 4 test scenes of 64x64."""
    from fuse2task.data.synthetic.writing import write_msrs

    root = tmp_path_factory.mktemp("masks") / "msrs"
    write_msrs(root, 4, 4, 0, (64, 64))
    return root


@pytest.fixture
def recipe_values(tiny_source: Path) -> Callable[..., dict[str, Any]]:
    """`recipe_values(**changes)`: values of a frozen benchmark on the tiny source with three methods."""

    def make(**changes: Any) -> dict[str, Any]:
        values = {
            "datasets": {
                "tiny": {
                    "root": str(tiny_source), "layout": "msrs", "boxes": str(tiny_source / "boxes" / "fusion"),
                    "truth_name": "fusion", "truths": {"infrared": str(tiny_source / "boxes" / "infrared")},
                }
            },
            "judges": {"places": {"task": "detection", "protocol": "frozen",
                                  "weights": str(tiny_source.parent / "judge.onnx")}},
            "scores": None, "open_test": True, "costs": False,
            "intervals": {"replicates": 60, "level": 0.9, "seed": 1},
        }  # fmt: skip
        return values | changes

    return make


@pytest.fixture
def make_recipe(recipe_values: Callable[..., dict[str, Any]]) -> Callable[..., BenchRecipe]:
    """`make_recipe(**changes)`: the checked recipe of `recipe_values`."""
    return lambda **changes: BenchRecipe.model_validate(recipe_values(**changes))


@pytest.fixture(scope="session")
def finished(tiny_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """`finished(to)`: a copy of a bench folder that a run has finished (made once)."""
    from fuse2task.bench.api import run_bench

    kept: list[Path] = []

    def copy(to: Path, recipe: BenchRecipe) -> Path:
        if not kept:
            folder = tmp_path_factory.mktemp("finished") / "run"
            assert run_bench(recipe, folder)
            kept.append(folder)
        shutil.copytree(kept[0], to)
        return to

    return copy
