"""torchvision's detectors: built offline, and on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torchvision.models import detection, mobilenet_v2
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops import FrozenBatchNorm2d

from detection.recipe import MOBILENET_V2, TORCHVISION
from detection.weights import TORCHVISION_FORMAT as FORMAT
from fuse2task.runtime.checkpoints import (
    check_finite,
    load_checkpoint,
    load_into,
    read_safetensors,
    read_state_dict,
    save_checkpoint,
)
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.reading import NOT_FETCHED, check_regular, one_line

MOST_CLASSES = 1000
REGIONS = 64  # of an image that train Faster R-CNN, as in Fast R-CNN; of torchvision's 512 nearly all are background
# Sized by the number of classes: they start fresh where the classes are others.
CLASSIFIERS = ("roi_heads.box_predictor.", "head.classification_head.")
# Of a classifier's file: what follows its last feature map.
UNUSED = ("classifier.", "fc.")
# MobileNetV2's last block of stride 8, of stride 16, and its last layer (stride 32), with their channels, and how many
# blocks stay as they were given, those up to stride 8. People far away are lost at torchvision's first stride, 16.
MAPS, CHANNELS, GIVEN_BLOCKS = {"6": "0", "13": "1", "18": "2"}, [32, 96, 1280], 7
ANCHORS = ((24,), (48,), (96,), (192,))  # of the three maps and the pooled one, in pixels


@dataclass(frozen=True)
class TorchvisionNetwork:
    """A detector of torchvision. model: the name of its builder. names: classes in index order (torchvision counts from
    1, 0 is its background). image_size: side of the square input in pixels. frozen_norms: batch normalisation keeps the
    statistics of the weights that it began with."""

    module: torch.nn.Module
    model: str
    names: tuple[str, ...]
    image_size: int
    frozen_norms: bool

    def save(self, path: Path, recipe: Mapping[str, Any]) -> str:
        """Write as safetensors with all that `load_torchvision` needs; returns the tensor hash."""
        about = {"model": self.model, "names": list(self.names), "image_size": self.image_size}
        about |= {"frozen_norms": self.frozen_norms, "recipe": dict(recipe)}
        return save_checkpoint(path, self.module.state_dict(), FORMAT, **about)


def build(model: str, classes: Sequence[str], image_size: int, frozen_norms: bool = False) -> TorchvisionNetwork:
    """A network with random weights, which takes squares of `image_size` as they are."""
    module: Any  # torchvision's attributes are Tensor or Module to a type checker
    if model == MOBILENET_V2:
        module = _on_mobilenet_v2(len(classes) + 1)
    else:
        module = getattr(detection, model)(weights=None, weights_backbone=None, num_classes=len(classes) + 1)
    # SSDlite's builder takes no sizes: its default boxes are relative to the input.
    module.transform.min_size, module.transform.max_size = (image_size,), image_size
    module.transform.fixed_size = (image_size, image_size)
    if hasattr(module, "roi_heads"):
        module.roi_heads.fg_bg_sampler.batch_size_per_image = REGIONS
    if frozen_norms:
        _freeze_norms(module)
    return TorchvisionNetwork(module, model, tuple(classes), image_size, frozen_norms)


def build_from(model: str, classes: Sequence[str], image_size: int, weights: Path) -> TorchvisionNetwork:
    """A network that starts from a local file: of a run of ours, of torchvision's COCO detector of this name, or of the
    ImageNet classifier that is its backbone. The layers that know the classes start fresh where these are others. As in
    torchvision batch normalisation is frozen then, but for SSDlite, and so are MobileNetV2's blocks up to stride 8.

    RequestError: no such file, or other names or shapes than the network's.
    """
    network = build(model, classes, image_size, frozen_norms="ssdlite" not in model)
    given, own = _read(weights), network.module.state_dict()
    given = {name: value for name, value in given.items() if not name.endswith("num_batches_tracked")}
    needed = {name for name in own if not name.endswith("num_batches_tracked")}
    if any(name.startswith("backbone.") for name in given):
        fresh = {name for name in needed if name.startswith(CLASSIFIERS)
                 and name in given and given[name].shape != own[name].shape}  # fmt: skip
        given = {name: value for name, value in given.items() if name not in fresh}
    else:
        given = {f"backbone.body.{name.removeprefix('features.')}": value for name, value in given.items()
                 if not name.startswith(UNUSED)}  # fmt: skip
        needed, fresh = {name for name in needed if name.startswith("backbone.body.")}, set()
    problems = [f"{name}: missing" for name in needed - fresh - given.keys()]
    problems += [f"{name}: unknown" for name in given.keys() - needed]
    problems += [f"{name}: {tuple(given[name].shape)} instead of {tuple(own[name].shape)}"
                 for name in given.keys() & needed if given[name].shape != own[name].shape]  # fmt: skip
    if problems:
        raise RequestError(f"{weights}: not weights of {model} or of its backbone\n{listing(sorted(problems), 5)}")
    network.module.load_state_dict(given, strict=False)
    if model == MOBILENET_V2:
        backbone: Any = network.module.backbone
        for block in list(backbone.body.values())[:GIVEN_BLOCKS]:
            block.requires_grad_(False)
    return network


def load_torchvision(path: Path) -> TorchvisionNetwork:
    """The network in a `.safetensors` file of a training run, in eval mode. RequestError: as `load_checkpoint`."""
    tensors, about = load_checkpoint(path, FORMAT)
    try:
        model, size, frozen = str(about["model"]), int(about["image_size"]), bool(about["frozen_norms"])
        names = [str(name) for name in about["names"]]
        if model not in TORCHVISION or not 0 < len(names) <= MOST_CLASSES:
            raise ValueError(f"model {model[:60]} with {len(names)} classes")
    except (KeyError, TypeError, ValueError) as error:
        raise RequestError(f"{path}: not readable as a detector of torchvision ({one_line(error)})") from None
    network = build(model, names, size, frozen)
    load_into(network.module, tensors, path)
    network.module.eval()
    return network


def _on_mobilenet_v2(classes: int) -> torch.nn.Module:
    """Faster R-CNN on MobileNetV2 with a feature pyramid, of torchvision's parts; torchvision has no builder for it."""
    body = BackboneWithFPN(mobilenet_v2(weights=None).features, MAPS, CHANNELS, 256)
    anchors = AnchorGenerator(ANCHORS, ((0.5, 1.0, 2.0),) * len(ANCHORS))
    return detection.FasterRCNN(
        body, classes, rpn_anchor_generator=anchors, rpn_pre_nms_top_n_train=1000, rpn_post_nms_top_n_train=500,
        rpn_pre_nms_top_n_test=500, rpn_post_nms_top_n_test=200,
    )  # fmt: skip


def _freeze_norms(module: torch.nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, torch.nn.BatchNorm2d):
            setattr(module, name, FrozenBatchNorm2d(child.num_features))
        else:
            _freeze_norms(child)


def _read(path: Path) -> dict[str, torch.Tensor]:
    check_regular(path, "weights file", hint=NOT_FETCHED)
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise RequestError(f"{path}: weights are .safetensors, .pt or .pth")
    tensors = read_safetensors(path)[0] if path.suffix == ".safetensors" else read_state_dict(path)
    check_finite(path, tensors)
    return tensors
