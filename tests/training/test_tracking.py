"""Curves in TensorBoard's own files, and what the other trackers are asked for."""

import os

import pytest

from fuse2task.runtime.errors import RequestError
from fuse2task.training.acceleration import open_tracker


def test_tensorboard_reads_the_curves(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = open_tracker("tensorboard", tmp_path / "curves", {"stage1": {"lr": 0.1}, "data": [1, 2]})
    for step in range(3):
        tracker.log({"stage1/val_total": 10.0 - step}, step=step)
    tracker.finish()
    read = EventAccumulator(str(tmp_path / "curves"))
    read.Reload()
    points = read.Scalars("stage1/val_total")
    assert [(point.step, point.value) for point in points] == [(0, 10.0), (1, 9.0), (2, 8.0)]


def test_others_stay_offline_unless_asked(tmp_path, monkeypatch):
    import accelerate.tracking

    asked = {}

    class Recorder:
        def __init__(self, **options):
            asked.update(options, mode=os.environ.get("WANDB_MODE"))

        def start(self):
            asked["started"] = True

        def store_init_configuration(self, values):
            asked["recipe"] = values

    monkeypatch.setitem(accelerate.tracking.LOGGER_TYPE_TO_CLASS, "wandb", Recorder)
    monkeypatch.setenv("WANDB_MODE", "")
    monkeypatch.delenv("WANDB_MODE")
    open_tracker("wandb", tmp_path / "run" / "curves", {"a": {"b": 1, "c": None}})
    assert (asked["mode"], asked["name"], asked["started"]) == ("offline", "run", True)
    assert asked["recipe"] == {"a.b": 1, "a.c": "None"}


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    import accelerate.tracking

    def missing(**_):
        raise ModuleNotFoundError("No module named 'mlflow'")

    monkeypatch.setitem(accelerate.tracking.LOGGER_TYPE_TO_CLASS, "mlflow", missing)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "unused")
    with pytest.raises(RequestError, match=r"pip install 'fuse2task\[mlflow\]'"):
        open_tracker("mlflow", tmp_path, {})
