"""Ultralytics' semantic task on a fused folder with masks, and its network as a frozen judge."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from fuse2task.data.fused import open_fused
from fuse2task.runtime.packages import quiet_ultralytics
from segmentation.frozen import SegmenterFile


@pytest.mark.slow
def test_it_trains_from_its_model_file_and_judges_as_torchscript(make_fused, tmp_path, monkeypatch):
    quiet_ultralytics()
    from ultralytics import YOLO

    monkeypatch.setenv("FUSE2TASK_TRUST_PICKLE", "1")
    data = open_fused(make_fused(train=2, val=1))
    copy = tmp_path / "copy"  # Ultralytics puts caches beside the masks
    shutil.copytree(data.root, copy)
    folders = {"path": str(copy), "train": "images/train", "val": "images/val", "masks_dir": "masks"}
    (copy / "data.yaml").write_text(yaml.safe_dump({**folders, "names": dict(enumerate(data.classes))}))
    network = YOLO("yolo26n-sem.yaml", task="semantic")
    network.train(
        data=str(copy / "data.yaml"), epochs=1, imgsz=64, batch=2, workers=0, device="cpu", plots=False, amp=False,
        pretrained=False, project=str(tmp_path), name="run", exist_ok=True, verbose=False,
    )  # fmt: skip
    best = YOLO(str(tmp_path / "run" / "weights" / "best.pt"))
    exported = Path(best.export(format="torchscript", imgsz=64, device="cpu"))
    names = tmp_path / "names.txt"
    names.write_text("\n".join(data.classes) + "\n")
    judge = SegmenterFile(exported, str(names), size=(64, 64), mean=(0, 0, 0), std=(1, 1, 1), device="cpu")
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    found = np.asarray(judge.segment(image))
    assert found.shape[-2:] == (64, 64)
    (expected,) = YOLO(str(tmp_path / "run" / "weights" / "best.pt")).predict(
        np.ascontiguousarray(image[..., ::-1]), imgsz=64, device="cpu", verbose=False
    )
    classes = found.argmax(0) if found.ndim == 3 else found
    assert (classes == np.asarray(expected.semantic_mask.data.cpu()).reshape(64, 64)).mean() > 0.99
