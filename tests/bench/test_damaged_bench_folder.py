"""`bench report` on a folder with a damaged file: one readable line that names it, exit code 2; or it is mended."""

import json

import pytest

RAW = {
    "empty": b"", "binary": b"\x00\xff\xfe\x80" * 50, "deep": b"[" * 200_000, "list": b"[null]",
    "mapping": b'{"a": null}'
}  # fmt: skip
READ = (
    "truths.json", "results.csv", "recipe.yaml", "predictions/tiny/visible/places/predicted.json",
    "predictions/tiny/visible/places/replicates.npz", "predictions/tiny/visible/places/matches.npz",
    "fused/tiny/visible/manifest.json", "costs.csv", "openings.csv", "scores/tiny/standard.csv",
    "scores/tiny/standard.json",
)  # fmt: skip
REWRITTEN = (
    "ranking.json", "extremes.json", "published.json", "comparisons.csv", "correlations.csv", "conditions.csv",
    "robustness.csv",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_source):
    """A finished bench folder with every file that a report reads."""
    from fuse2task.bench.api import report_bench, run_bench
    from fuse2task.bench.recipe import BenchRecipe

    boxes, judge = tiny_source / "boxes" / "fusion", tiny_source.parent / "judge.onnx"
    published = {"label": "paper", "dataset": "tiny", "judge": "places", "metric": "AP", "method": "average",
                 "value": 0.5, "source": "a paper", "caveat": "other data"}  # fmt: skip
    recipe = {
        "datasets": {"tiny": {"root": str(tiny_source), "layout": "msrs", "boxes": str(boxes)}},
        "methods": ["maximum", "laplacian"], "open_test": True, "intervals": {"replicates": 60},
        "judges": {"places": {"task": "detection", "protocol": "frozen", "weights": str(judge)}},
        "scores": {"names": ["EN", "SD"]}, "conditions": {"kind": "night", "levels": [0, 5]}, "published": [published],
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert run_bench(BenchRecipe.model_validate(recipe), folder)
    report_bench(folder)
    return folder


@pytest.fixture
def damaged(whole):
    """`damaged(name, data)`: the path of a file that is damaged until the test ends."""
    before = {}

    def write(name: str, data: bytes):
        before.setdefault(whole / name, (whole / name).read_bytes())
        (whole / name).write_bytes(data)
        return whole / name

    yield write
    for path, data in before.items():
        path.write_bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("name", READ)
def test_a_damaged_file_is_named(whole, damaged, run_cli, name):
    data = (whole / name).read_bytes()
    # A table may well end where a row ends: it is cut within the last one.
    half = data[: data.rindex(b",") if name.endswith("csv") else len(data) // 2]
    for damage, damaged_data in {**RAW, "half": half}.items():
        if (name, damage) == ("scores/tiny/standard.json", "mapping"):
            continue  # definitions may be missing
        damaged(name, damaged_data)
        assert run_cli("bench", "report", whole) == 2, (damage, run_cli.error)
        _, _, told = run_cli.error.partition("error: ")  # before it, how many comparisons there are
        first, *more = told.splitlines()
        assert name in first, (damage, first)
        assert len(more) == 0 or first.endswith("bad recipe"), (damage, told)


@pytest.mark.slow
@pytest.mark.parametrize("damage", RAW)
def test_what_follows_from_the_results_is_written_anew(whole, damaged, run_cli, damage):
    before = {name: (whole / name).read_bytes() for name in REWRITTEN}
    for name in REWRITTEN:
        damaged(name, RAW[damage])
    assert run_cli("bench", "report", whole) == 0, run_cli.error
    assert {name: (whole / name).read_bytes() for name in REWRITTEN} == before


@pytest.mark.slow
def test_wrong_types_in_the_list_of_truths(whole, damaged, run_cli):
    truths = json.loads((whole / "truths.json").read_text())
    key = next(iter(truths))
    for change in (None, 7, [], {}, {**truths[key], "name": 7}, {**truths[key], "primary": {}}):
        path = damaged("truths.json", json.dumps(truths | {key: change}).encode())
        assert run_cli("bench", "report", whole) == 2, change
        assert f"{path}: not a readable file of the bench ({key}" in run_cli.error
    path = damaged("truths.json", b"{}")
    assert run_cli("bench", "report", whole) == 2
    assert f"{path}: says nothing about truth {key}" in run_cli.error
