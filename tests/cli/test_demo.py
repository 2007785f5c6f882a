"""The demo with everything made tiny: all steps, the summary, going on where it stopped."""

import csv

import pytest

import fuse2task.config
import fuse2task.demo
from fuse2task.data.images import read_visible

TINY = {
    "fusion/crossfuse-demo": ["stage1.epochs=1", "stage1.samples=4", "stage2.epochs=1", "stage2.samples=4",
                              "held_out=2", "sampling.size=32"],
    "detection/yolo-n-demo": ["epochs=1", "image_size=64"],
    "segmentation/unet-demo": ["epochs=1", "crop=[64,64]", "batch=2"],
}  # fmt: skip


@pytest.mark.slow
def test_the_loop_ends_with_table_and_sheet_and_goes_on_where_it_stopped(tmp_path, monkeypatch, run_cli):
    load = fuse2task.config.load_recipe
    monkeypatch.setattr(
        fuse2task.config, "load_recipe", lambda model, name, overrides=(): load(model, name, [*overrides, *TINY[name]])
    )
    for name, value in (("SIZE", (64, 64)), ("M3FD_SCENES", 12), ("MSRS_TRAIN", 4), ("MSRS_TEST", 2)):
        monkeypatch.setattr(fuse2task.demo, name, value)
    out = tmp_path / "demo"
    assert run_cli("demo", "-o", out) == 0, run_cli.error
    assert "crossfuse" in run_cli.output
    with (out / "summary.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["method"] for row in rows] == ["visible", "infrared", "average", "crossfuse"]
    assert {"AP50", "AP", "AP50 Lamp", "mIoU", "IoU bump"} <= set(rows[0])
    assert all(0 <= float(row["mIoU"]) <= 1 for row in rows)
    assert read_visible(out / "sheet.png").shape == (8 * 64, 4 * 64, 3)
    summary = (out / "summary.csv").read_bytes()
    (out / "summary.csv").unlink()
    monkeypatch.setattr("fusion.training.trainer.StageRun.run", None)  # nothing is trained again
    assert run_cli("demo", "-o", out) == 0, run_cli.error
    assert (out / "summary.csv").read_bytes() == summary
