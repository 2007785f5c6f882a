"""Curves of a training in TensorBoard, Weights & Biases or MLflow, through accelerate's trackers."""

import os
from pathlib import Path
from typing import Any, Literal, Protocol

from fuse2task.runtime.errors import RequestError

TrackerName = Literal["tensorboard", "wandb", "mlflow"]


class Tracker(Protocol):
    """What a trainer needs: numbers by name at a step, and an end."""

    def log(self, values: dict[str, float], step: int | None) -> None:
        """Add one point to each curve."""

    def finish(self) -> None:
        """Flush and close."""


def open_tracker(name: TrackerName, folder: Path, recipe: dict[str, Any]) -> Tracker:
    """A tracker that writes into `folder`, with the recipe kept beside the curves.

    Nothing is sent anywhere unless WANDB_MODE or MLFLOW_TRACKING_URI ask for it: W&B works offline (`wandb sync`
    uploads later), MLflow in a file of its own.

    Raises:
        RequestError: its package is missing.
    """
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    PartialState()  # trackers write on the main process alone, and ask which one that is
    if name == "wandb":
        os.environ.setdefault("WANDB_MODE", "offline")
        options: dict[str, Any] = {"run_name": "fuse2task", "dir": str(folder), "name": folder.parent.name}
    elif name == "mlflow":
        os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{folder.resolve()}/mlflow.db")
        options = {"experiment_name": "fuse2task", "logging_dir": str(folder), "run_name": folder.parent.name}
    else:
        options = {"run_name": ".", "logging_dir": str(folder)}
    try:
        tracker = LOGGER_TYPE_TO_CLASS[name](**options)
        tracker.start()
    except ImportError:
        raise RequestError(f"tracking with {name} needs its package: pip install 'fuse2task[{name}]'") from None
    tracker.store_init_configuration(_flat(recipe))
    return tracker


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, str | int | float]:
    """Nested values by dotted name; what is neither number nor text becomes text."""
    flat: dict[str, str | int | float] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str | int | float) else str(value)
    return flat
