"""CrossFuse checkpoints: the paper's network and CrossFuse-plus, and their auto-encoders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch

from fuse2task.runtime.checkpoints import load_checkpoint, load_into, pack_int8, save_checkpoint, unpack_int8
from fusion.network.crossfuse import CrossFuseNetwork
from fusion.network.layers import AutoEncoder
from fusion.network.plus import CrossFusePlus, PlusAutoEncoder

Network = TypeVar("Network", bound=torch.nn.Module)
AnyCrossFuse = CrossFuseNetwork | CrossFusePlus
AnyAutoEncoder = AutoEncoder | PlusAutoEncoder
CROSSFUSE, PLUS = "fuse2task.crossfuse", "fuse2task.crossfuse-plus"
AUTOENCODER, PLUS_AUTOENCODER = "fuse2task.autoencoder", "fuse2task.autoencoder-plus"
NETWORKS: dict[str, type[AnyCrossFuse]] = {CROSSFUSE: CrossFuseNetwork, PLUS: CrossFusePlus}
AUTOENCODERS: dict[str, type[AnyAutoEncoder]] = {AUTOENCODER: AutoEncoder, PLUS_AUTOENCODER: PlusAutoEncoder}


def save_crossfuse(path: Path, network: AnyCrossFuse, recipe: Any, storage: Literal["fp32", "int8"] = "fp32") -> str:
    """Write `network` with its recipe (JSON values); returns the tensor hash. storage: int8 takes a quarter of the
    room (`pack_int8`), to ship weights."""
    tensors, kind = network.state_dict(), _kind(NETWORKS, network)
    if storage == "int8":
        return save_checkpoint(path, pack_int8(tensors), kind, recipe=recipe, storage=storage)
    return save_checkpoint(path, tensors, kind, recipe=recipe)


def load_crossfuse(path: Path) -> tuple[AnyCrossFuse, str]:
    """Network (eval mode, CPU) and tensor hash of a checkpoint. Raises RequestError: missing, damaged or another."""
    return _load(path, NETWORKS)


def network_name(network: torch.nn.Module) -> str:
    """Name of the method that the network of a checkpoint is: `crossfuse` (the paper's) or `crossfuse-plus` (ours)."""
    return _kind(NETWORKS, network).removeprefix("fuse2task.")


def save_autoencoder(path: Path, network: AnyAutoEncoder, modality: str) -> str:
    """Write one modality's auto-encoder."""
    return save_checkpoint(path, network.state_dict(), _kind(AUTOENCODERS, network), modality=modality)


def load_autoencoder(path: Path) -> AnyAutoEncoder:
    """The auto-encoder of a checkpoint, in eval mode on the CPU."""
    return _load(path, AUTOENCODERS)[0]


def _kind(kinds: Mapping[str, type], network: torch.nn.Module) -> str:
    return next(kind for kind, made in kinds.items() if type(network) is made)


def _load(path: Path, kinds: Mapping[str, type[Network]]) -> tuple[Network, str]:
    tensors, about = load_checkpoint(path, *kinds)
    if about.get("storage") == "int8":
        tensors = unpack_int8(tensors, path)
    network = kinds[about["format"]]()
    load_into(network, tensors, path)
    return network.eval(), about["tensor_hash"]
