"""YOLO and RT-DETR networks on disk: our safetensors (no pickle) and Ultralytics' .pt."""

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fuse2task.runtime.checkpoints import (
    check_finite,
    load_checkpoint,
    load_into,
    refuse_compressed,
    save_checkpoint,
)
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.packages import quiet_ultralytics
from fuse2task.runtime.progress import say
from fuse2task.runtime.reading import NOT_FETCHED, check_regular, one_line, refuse_untrusted

FORMAT = "fuse2task.yolo"
TORCHVISION_FORMAT = "fuse2task.torchvision"  # of `torchvision_networks`
MOST_LAYERS, MOST_REPEATS = 500, 100
FETCHING = {"TorchVision", "CLIP", "MobileCLIP"}  # layers that fetch weights from the network when they are built


@dataclass(frozen=True)
class Network:
    """A detection network in eval mode, FP32, on the CPU. module: Ultralytics' DetectionModel or RTDETRDetectionModel.
    names: classes in index order. image_size: side of the square input that it was trained for, in pixels."""

    module: torch.nn.Module
    names: tuple[str, ...]
    image_size: int

    @property
    def is_rtdetr(self) -> bool:
        """Whether it gives boxes as centre and size in fractions of its input, which need no suppression."""
        return type(self.module).__name__ == "RTDETRDetectionModel"


def load_network(path: Path) -> Network:
    """The network in a `.safetensors` file of a training run, or in an Ultralytics `.pt` file.

    A `.pt` is a pickle, and refused unless the user trusts it (`--trust-pickle`). Even then it is read by
    PyTorch's restricted unpickler, which builds Ultralytics' own classes and nothing else. RequestError: no such file
    (nothing is ever downloaded), damaged, of another kind or task, not trusted, weights that are not finite numbers.
    """
    path = Path(path)
    check_regular(path, "weights file", hint=NOT_FETCHED)
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    if path.suffix == ".pt":
        refuse_untrusted(path)
        say(f"warning: {path} is a pickle; only Ultralytics' classes are read from it; safetensors is safer")
        return _load_pickle(path)
    raise RequestError(f"{path}: weights are .safetensors (of a training run) or .pt (of Ultralytics)")


def save_network(path: Path, checkpoint: Path, image_size: int, recipe: dict[str, Any]) -> str:
    """Write the network of an Ultralytics `checkpoint` as safetensors, its values unchanged; returns the tensor hash.
    Metadata: format, version, model (the architecture, as JSON), names, image_size, recipe, tensor hash."""
    network = _load_pickle(checkpoint)  # Ultralytics' trainer has written it in this process
    # The trainer stores half precision, so halving its FP32 copy loses nothing.
    state = copy.deepcopy(network.module).half().state_dict()
    model = {key: value for key, value in network.module.yaml.items() if key != "yaml_file"}  # type: ignore[union-attr, operator]
    about = {"model": model, "names": list(network.names), "image_size": image_size, "recipe": recipe}
    return save_checkpoint(path, state, FORMAT, **about)


def _load_safetensors(path: Path) -> Network:
    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel, RTDETRDetectionModel

    tensors, about = load_checkpoint(path, FORMAT)
    with _unreadable(path):
        names = {index: str(name) for index, name in enumerate(about["names"])}
        image_size = int(about["image_size"])
        check_architecture(about["model"], len(names), tensors)
        kind = RTDETRDetectionModel if about["model"]["head"][-1][2] == "RTDETRDecoder" else DetectionModel
        module = kind(about["model"], ch=3, nc=len(names), verbose=False)
    load_into(module, tensors, path)
    module.names = names
    return Network(module.float().eval(), tuple(names.values()), image_size)


def _load_pickle(path: Path) -> Network:
    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel, RTDETRDetectionModel, load_checkpoint

    refuse_compressed(path)
    with _unreadable(path):
        module, _ = load_checkpoint(path)
        if type(module) not in (DetectionModel, RTDETRDetectionModel):
            raise RequestError(f"{path}: holds a {type(module).__name__}; a YOLO detection network is needed")
        side = module.args.get("imgsz")
        names = module.names if isinstance(module.names, dict) else dict(enumerate(module.names))
        ordered = tuple(str(names[index]) for index in sorted(names))
        check_finite(path, module.state_dict())
    return Network(module.float().eval(), ordered, side if isinstance(side, int) else 640)


@contextlib.contextmanager
def _unreadable(path: Path) -> Iterator[None]:
    # Whatever a damaged or foreign file makes the libraries raise is one thing to the user.
    try:
        yield
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(f"{path}: not readable as YOLO detection weights ({one_line(error)})") from None


def check_architecture(model: Any, classes: int, tensors: Mapping[str, torch.Tensor]) -> None:
    """Refuse an architecture whose layers are unknown, too many, or not those of `tensors`, before any is made.

    The layers are laid out on PyTorch's meta device, which takes no memory. model: Ultralytics' model file as a
    mapping, with backbone and head. classes: how many. tensors: the weights, named as in DetectionModel. ValueError:
    refused; what Ultralytics' parser raises for other mistakes passes through.
    """
    from ultralytics.nn import modules
    from ultralytics.nn.tasks import parse_model

    known = set(modules.__all__) - FETCHING
    rows = [*model["backbone"], *model["head"]]
    if len(rows) > MOST_LAYERS:
        raise ValueError(f"{len(rows)} layers")
    for _, repeats, name, _ in rows:
        if name not in known and not name.startswith(("nn.", "torchvision.ops.")):
            raise ValueError(f"unknown layer {str(name)[:60]}")
        if not 0 < repeats <= MOST_REPEATS:
            raise ValueError(f"{str(repeats)[:60]} repeats of a layer")
    scaled = [model.get("depth_multiple", 1.0), *(row[0] for row in dict(model.get("scales") or {}).values())]
    if not all(0 < depth <= 10 for depth in scaled):
        raise ValueError(f"depth multiple {scaled}")
    with torch.device("meta"):
        layers, _ = parse_model({**copy.deepcopy(model), "nc": classes}, ch=3, verbose=False)
    shapes = {f"model.{name}": value.shape for name, value in layers.state_dict().items()}
    if shapes != {name: value.shape for name, value in tensors.items()}:
        raise ValueError("its architecture is not that of its weights")
