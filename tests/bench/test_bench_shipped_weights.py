"""CrossFuse-plus in a benchmark without a checkpoint: the shipped weights, timed as a network, named in the report."""

import pytest

from fuse2task.bench.api import report_bench, run_bench
from fuse2task.bench.scheduler import CROSSFUSE_FUSE, FUSE, full_images, make_jobs, make_plan
from fuse2task.bench.workspace import Workspace
from fuse2task.data.fused import open_fused
from fusion.weights import DEFAULT, TASK, shipped_weights


@pytest.mark.slow
def test_networks_without_a_checkpoint(tmp_path, make_recipe):
    recipe = make_recipe(methods=["crossfuse-plus", "crossfuse-task"])
    bench = Workspace(recipe, tmp_path / "run", "cpu")
    steps = {step.job.method: step for step in make_plan(bench, make_jobs(bench)) if step.job.kind == "fuse"}
    pairs = full_images(bench.dataset("tiny").dataset.pairs)
    for method, guess in {"crossfuse-plus": CROSSFUSE_FUSE, "crossfuse-task": CROSSFUSE_FUSE, "average": FUSE}.items():
        assert steps[method].seconds == pytest.approx(pairs * guess)
    assert run_bench(recipe, tmp_path / "run")
    hashes = {weights.name: weights.card["tensor_hash"] for weights in shipped_weights()}
    page = report_bench(tmp_path / "run").read_text("utf-8")
    for method, weights in {"crossfuse-plus": DEFAULT, "crossfuse-task": TASK}.items():
        manifest = open_fused(tmp_path / "run" / "fused" / "tiny" / method).manifest
        assert manifest["method"]["checkpoint"] == hashes[weights]
        assert f"checkpoint {hashes[weights][:12]} ({weights})" in page
