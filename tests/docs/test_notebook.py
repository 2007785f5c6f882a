"""The notebook: its cells run in order, and none of its outputs is kept."""

import ast
import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebooks" / "python-api.ipynb"


@pytest.fixture
def cells():
    return [cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


@pytest.fixture
def default_weights(monkeypatch, tmp_path):
    """The default weights, or random ones where the checkout has none."""
    from fusion.weights import shipped_weights

    if shipped_weights():
        return
    from fusion.checkpoint import save_crossfuse
    from fusion.network.crossfuse import CrossFuseNetwork

    save_crossfuse(tmp_path / "weights.safetensors", CrossFuseNetwork(), {})
    monkeypatch.setattr("fusion.crossfuse.find_checkpoint", lambda _: tmp_path / "weights.safetensors")


def test_outputs_are_cleared(cells):
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)


@pytest.mark.slow
def test_the_cells_run(cells, default_weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "notebook"}
    values = []
    for number, cell in enumerate(cells):
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"cell {number}", "exec"), names)
        values.append(eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names) if last else None)
    assert values[2] == ((96, 128, 3), "uint8")
    assert values[3].size == (3 * 128, 96)
    assert set(values[4]) == {"crossfuse-plus", "visible"}
    assert values[5]["AP50"] > values[5]["AP"] > 0
    assert 0 < values[6]["mIoU"] < 1
    assert set(values[7]["a"]) >= {"laplacian", "infrared"}
