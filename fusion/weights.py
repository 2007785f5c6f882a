"""CrossFuse weights: checkpoints, and the files that come with the package."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fuse2task.runtime.checkpoints import load_checkpoint, load_into, save_checkpoint
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import file_digest
from fusion.network.crossfuse import CrossFuseNetwork
from fusion.network.layers import AutoEncoder
from fusion.network.plus import CrossFusePlus, PlusAutoEncoder

AnyCrossFuse = CrossFuseNetwork | CrossFusePlus
AnyAutoEncoder = AutoEncoder | PlusAutoEncoder
CROSSFUSE, PLUS = "fuse2task.crossfuse", "fuse2task.crossfuse-plus"
AUTOENCODER, PLUS_AUTOENCODER = "fuse2task.autoencoder", "fuse2task.autoencoder-plus"
NETWORKS: dict[str, type[AnyCrossFuse]] = {CROSSFUSE: CrossFuseNetwork, PLUS: CrossFusePlus}
AUTOENCODERS: dict[str, type[AnyAutoEncoder]] = {AUTOENCODER: AutoEncoder, PLUS_AUTOENCODER: PlusAutoEncoder}


def save_crossfuse(path: Path, network: AnyCrossFuse, recipe: Any) -> str:
    """Write `network` with its recipe (JSON values); returns the tensor hash."""
    return save_checkpoint(path, network.state_dict(), _kind(NETWORKS, network), recipe=recipe)


def load_crossfuse(path: Path) -> tuple[AnyCrossFuse, str]:
    """The network of a checkpoint (faithful or plus), in eval mode on the CPU, and its tensor hash.

    Raises:
        RequestError: missing, damaged, or a checkpoint of another network.
    """
    tensors, about = load_checkpoint(path, *NETWORKS)
    network = NETWORKS[about["format"]]()
    load_into(network, tensors, path)
    return network.eval(), about["tensor_hash"]


def save_autoencoder(path: Path, network: AnyAutoEncoder, modality: str) -> str:
    """Write one modality's auto-encoder."""
    return save_checkpoint(path, network.state_dict(), _kind(AUTOENCODERS, network), modality=modality)


def load_autoencoder(path: Path) -> AnyAutoEncoder:
    """The auto-encoder of a checkpoint, in eval mode on the CPU."""
    tensors, about = load_checkpoint(path, *AUTOENCODERS)
    network = AUTOENCODERS[about["format"]]()
    load_into(network, tensors, path)
    return network.eval()


def _kind(kinds: Mapping[str, type], network: torch.nn.Module) -> str:
    return next(kind for kind, made in kinds.items() if type(network) is made)


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
    return [
        ShippedWeights(path.stem, path.with_suffix(".safetensors"), json.loads(path.read_text("utf-8")))
        for path in cards
    ]


def find_checkpoint(reference: Path | None) -> Path:
    """The file behind `--checkpoint`: a path, the name of shipped weights, or (None) the default ones.

    Raises:
        RequestError: shipped weights that differ from their card. (A path is checked when it is loaded.)
    """
    if reference is not None and reference.is_file():
        return reference
    name = DEFAULT if reference is None else str(reference)
    for weights in shipped_weights():
        if weights.name == name:
            weights.check()
            return weights.file
    if reference is None:
        raise RequestError(f"{FOLDER}: the default weights {DEFAULT} are missing; install fuse2task again")
    return reference
