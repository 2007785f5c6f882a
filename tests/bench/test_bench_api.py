"""bench.compare and `--json`: the rows of the files, and nothing else on standard output."""

import json

import pandas as pd
import pytest
import yaml

from fuse2task import bench


@pytest.fixture
def recipe_file(recipe_values, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(recipe_values()))
    return path


@pytest.mark.slow
def test_compare_returns_what_the_file_holds(recipe_file, tmp_path, run_cli, capsys):
    plan = ("bench", "run", recipe_file, "-o", tmp_path / "run", "--dry-run", "--json")
    assert run_cli(*plan) == 0, run_cli.error
    jobs = json.loads(run_cli.output)["jobs"]
    assert {job["job"] for job in jobs} == {"fuse", "evaluate"}
    assert not any(job["done"] for job in jobs)

    table = bench.compare(recipe_file, tmp_path / "run", ["intervals.replicates=50"], device="cpu")
    capsys.readouterr()  # compare prints its tables, as a notebook shows them
    written = pd.read_csv(tmp_path / "run" / "comparisons.csv")
    assert len(table) == len(written) > 0
    assert table["difference"].tolist() == pytest.approx(written["difference"].tolist(), nan_ok=True)
    assert set(table["b"]) == {"average", "visible", "infrared"}

    assert run_cli("bench", "report", tmp_path / "run", "--json") == 0, run_cli.error
    found = json.loads(run_cli.output)
    assert (tmp_path / "run" / "report").is_dir()
    assert len(found["comparisons"]) == len(written)
    assert {row["method"] for row in found["results"]} == {"average", "visible", "infrared"}

    again = ("bench", "run", recipe_file, "-o", tmp_path / "run", "intervals.replicates=50", "--json")
    assert run_cli(*again) == 0, run_cli.error
    assert json.loads(run_cli.output)["finished"] is True
