"""CrossFuse weights that come with the package: safetensors files, each with a JSON card of the same name."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import file_digest

FOLDER = Path(__file__).parent / "weights"
DEFAULT, TASK = "crossfuse-plus", "crossfuse-task"


@dataclass(frozen=True)
class ShippedWeights:
    """One file of weights. card: how they were made, how good they are, what their data's owners ask (JSON)."""

    name: str
    file: Path
    card: dict[str, Any]

    def check(self) -> None:
        """Raise RequestError unless the file has the sha256 that its card states."""
        if not self.file.is_file() or file_digest(self.file) != self.card["sha256"]:
            raise RequestError(f"{self.file}: not the weights that its card describes; install fuse2task again")


def shipped_weights() -> list[ShippedWeights]:
    """All shipped weights, the default first."""
    cards = sorted(FOLDER.glob("*.json"), key=lambda path: (path.stem != DEFAULT, path.stem))
    texts = ((path, path.read_text("utf-8")) for path in cards)
    return [ShippedWeights(path.stem, path.with_suffix(".safetensors"), json.loads(text)) for path, text in texts]


def find_checkpoint(reference: Path | None) -> Path:
    """The file behind `--checkpoint`: a path, the name of shipped weights, or (None) the default ones.

    Raises RequestError: shipped weights that differ from their card. (A path is checked when it is loaded.)
    """
    if reference is not None and reference.is_file():
        return reference
    name = DEFAULT if reference is None else str(reference)
    for weights in shipped_weights():
        if weights.name == name:
            weights.check()
            return weights.file
    if reference is not None and name not in (DEFAULT, TASK):
        return reference
    raise RequestError(f"{FOLDER}: the shipped weights {name} are missing; install fuse2task again")


def detectors(name: str, checkpoint: Path | None = None) -> tuple[str, ...]:
    """What the method's weights were trained through: file name and first 12 digits of the sha256 of a detector.

    name: of a method. checkpoint: its file, or the name of shipped weights; of a file, the name in its recipe. Empty
    for what has no weights, and for a file that is not there any more.
    """
    if checkpoint is not None and checkpoint.is_file():
        from fuse2task.runtime.checkpoints import load_checkpoint
        from fusion.checkpoint import NETWORKS

        recipe = load_checkpoint(checkpoint, *NETWORKS)[1].get("recipe")
        task = recipe.get("task") if isinstance(recipe, dict) else None
        return (Path(str(task["detector"])).name,) if isinstance(task, dict) and task.get("detector") else ()
    reference = name if checkpoint is None else str(checkpoint)
    for weights in shipped_weights():
        if weights.name == reference:
            through = weights.card.get("trained_through", {})
            return tuple(text for file, digest in through.items() for text in (file, digest[:12]))
    return ()
