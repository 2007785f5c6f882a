"""The whole loop on synthetic scenes: train CrossFuse, fuse, train judges on every method's images, compare, report."""

import shutil
import time
from pathlib import Path

import numpy as np

from fuse2task.data.images import read_visible, write_image
from fuse2task.runtime.files import write_text
from fuse2task.runtime.progress import say

SIZE, SEED = (256, 208), 0
M3FD_SCENES, MSRS_TRAIN, MSRS_TEST = 96, 48, 16


def run_demo(out: Path) -> Path:
    """Run or continue the demo in `out`; prints tables, leaves sheet.png and the bench folder, returns the report."""
    from fuse2task.bench.api import report_bench, run_bench
    from fuse2task.bench.recipe import BenchRecipe
    from fuse2task.config import load_recipe
    from fusion.recipe import FusionRecipe
    from fusion.training.run import train

    started, out = time.monotonic(), Path(out)
    m3fd, msrs = _draw_scenes(out / "scenes")
    _write_sheet(out / "scenes.png", [
        (f"{dataset.name}, {camera}", dataset / folder)
        for dataset, folders in ((m3fd, ("Vis", "Ir")), (msrs, ("test/vi", "test/ir")))
        for camera, folder in zip(("visible", "infrared"), folders, strict=True)
    ])  # fmt: skip
    say(f"{out}/scenes.png: some of them")
    say("2/3 CrossFuse: two auto-encoders, then cross attention and fusion decoder")
    overrides = [f"data.0.root={m3fd}", f"data.0.split={m3fd / 'split.txt'}", f"data.1.root={msrs}"]
    weights = train(load_recipe(FusionRecipe, "fusion/crossfuse-demo", overrides), out / "crossfuse")
    say("3/3 four methods: fused, scored, YOLO-n and a U-Net trained on the images of each, compared")
    overrides = [f"datasets.m3fd.root={m3fd}", f"datasets.m3fd.split={m3fd / 'split.txt'}"]
    overrides += [f"datasets.msrs.root={msrs}", f"methods.3.checkpoint={weights}"]
    run_bench(load_recipe(BenchRecipe, "bench/demo", overrides), out / "bench")
    page = report_bench(out / "bench")
    fused = out / "bench" / "fused"
    _write_sheet(out / "sheet.png", [
        (method, fused / dataset / method / "images" / "test")
        for dataset in ("m3fd", "msrs") for method in ("visible", "infrared", "average", "crossfuse")
    ])  # fmt: skip
    say("Synthetic scenes, one seed, minutes of training: a look at the loop, not a ranking of methods.")
    say(f"{page} and {out}/sheet.png; {(time.monotonic() - started) / 60:.1f} minutes")
    return page


def _draw_scenes(folder: Path) -> tuple[Path, Path]:
    from fuse2task.data.synthetic.writing import write_m3fd, write_msrs

    say("1/3 synthetic scenes: by night people and engines show in infrared only, cones and lamps in visible only")
    m3fd, msrs = folder / "m3fd", folder / "msrs"
    # The last files that each writer makes: a folder without them is what a killed run left.
    if not (m3fd / "split.txt").is_file():
        shutil.rmtree(m3fd, ignore_errors=True)
        write_m3fd(m3fd, M3FD_SCENES, SEED, SIZE)
    if not (folder / "msrs-done").is_file():
        shutil.rmtree(msrs, ignore_errors=True)
        write_msrs(msrs, MSRS_TRAIN, MSRS_TEST, SEED, SIZE)
        write_text(folder / "msrs-done", "")
    return m3fd, msrs


def _write_sheet(path: Path, rows: list[tuple[str, Path]], columns: int = 4) -> None:
    """One row for each label and folder of images: the same scenes in each column, by day and by night in turn."""
    import cv2

    sheet = []
    for label, folder in rows:
        images = sorted(folder.glob("*.png"))
        # Every other scene is by night.
        places = [number * len(images) // columns // 2 * 2 + number % 2 for number in range(columns)]
        chosen = (np.atleast_3d(read_visible(images[min(place, len(images) - 1)])) for place in places)
        row = np.concatenate([np.broadcast_to(image, (*image.shape[:2], 3)) for image in chosen], axis=1)
        cv2.putText(row, label, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 0), 1, cv2.LINE_AA)
        sheet.append(row)
    write_image(path, np.concatenate(sheet, axis=0))
