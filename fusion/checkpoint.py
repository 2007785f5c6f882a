"""CrossFuse weights on disk."""

from pathlib import Path
from typing import Any

from fuse2task.runtime.checkpoints import load_checkpoint, load_into, save_checkpoint
from fusion.network.autoencoder import AutoEncoder
from fusion.network.crossfuse import CrossFuse

CROSSFUSE, AUTOENCODER = "fuse2task.crossfuse", "fuse2task.autoencoder"


def save_crossfuse(path: Path, network: CrossFuse, recipe: Any) -> str:
    """Write `network` with its recipe (JSON values); returns the tensor hash."""
    return save_checkpoint(path, network.state_dict(), CROSSFUSE, recipe=recipe)


def load_crossfuse(path: Path) -> tuple[CrossFuse, str]:
    """The network of a checkpoint, in eval mode on the CPU, and its tensor hash.

    Raises:
        RequestError: missing, damaged, or a checkpoint of another network.
    """
    tensors, about = load_checkpoint(path, CROSSFUSE)
    network = CrossFuse()
    load_into(network, tensors, path)
    return network.eval(), about["tensor_hash"]


def save_autoencoder(path: Path, network: AutoEncoder, modality: str) -> str:
    """Write one modality's auto-encoder."""
    return save_checkpoint(path, network.state_dict(), AUTOENCODER, modality=modality)


def load_autoencoder(path: Path) -> AutoEncoder:
    """The auto-encoder of a checkpoint, in eval mode on the CPU."""
    tensors, _ = load_checkpoint(path, AUTOENCODER)
    network = AutoEncoder()
    load_into(network, tensors, path)
    return network.eval()
