"""The demo with everything made tiny: all steps, the report, going on where it stopped."""

import pytest

import fuse2task.config
import fuse2task.demo
from fuse2task.data.images import read_visible
from fuse2task.results.tables import ResultsTable

JUDGES = {"yolo-n": {"epochs": 1, "image_size": 64}, "unet": {"epochs": 1, "crop": [64, 64], "batch": 2}}
TINY = {
    "fusion/crossfuse-demo": ["stage1.epochs=1", "stage1.samples=4", "stage2.epochs=1", "stage2.samples=4",
                              "held_out=2", "sampling.size=32"],
    "bench/demo": ["intervals.replicates=50"] + [f"judges.{name}.overrides={JUDGES[name]}" for name in JUDGES],
}  # fmt: skip


@pytest.mark.slow
def test_the_loop_ends_with_the_report_and_goes_on_where_it_stopped(tmp_path, monkeypatch, run_cli):
    load = fuse2task.config.load_recipe

    def load_tiny(model, name, overrides=()):
        return load(model, name, [*overrides, *TINY.get(name, [])])

    monkeypatch.setattr(fuse2task.config, "load_recipe", load_tiny)
    for name, value in (("SIZE", (64, 64)), ("M3FD_SCENES", 12), ("MSRS_TRAIN", 4), ("MSRS_TEST", 2)):
        monkeypatch.setattr(fuse2task.demo, name, value)
    out = tmp_path / "demo"
    assert run_cli("demo", "-o", out) == 0, run_cli.error
    assert "crossfuse" in run_cli.output
    results = ResultsTable(out / "bench").read()
    assert set(results["method"]) == {"visible", "infrared", "average", "crossfuse"}
    assert set(results["task"]) == {"detection", "segmentation", "quality"}
    assert {"AP50", "AP", "IoU", "mIoU", "VIF"} <= set(results["metric"])
    assert results["value"].dropna().ge(-2).all()
    page = out / "bench" / "report" / "index.html"
    assert "crossfuse" in page.read_text("utf-8")
    assert read_visible(out / "sheet.png").shape == (8 * 64, 4 * 64, 3)
    table = (out / "bench" / "results.csv").read_bytes()
    page.unlink()
    monkeypatch.setattr("fuse2task.training.loop.StageRun.run", None)  # nothing is trained again
    assert run_cli("demo", "-o", out) == 0, run_cli.error
    assert (out / "bench" / "results.csv").read_bytes() == table
    assert page.is_file()
