"""YOLO networks on disk: our safetensors (no pickle), and Ultralytics' own .pt."""

import contextlib
import copy
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from detection.architecture import check_architecture
from fuse2task.runtime.checkpoints import check_finite, load_checkpoint, load_into, save_checkpoint
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.offline import quiet_ultralytics
from fuse2task.runtime.progress import say
from fuse2task.runtime.reading import check_regular, one_line
from fuse2task.runtime.state_dicts import refuse_compressed
from fuse2task.runtime.trust import refuse_untrusted

FORMAT = "fuse2task.yolo"


@dataclass(frozen=True)
class Network:
    """A detection network in eval mode, FP32, on the CPU.

    module: Ultralytics' DetectionModel. names: classes in index order. image_size: side of the square input
    that it was trained for, in pixels.
    """

    module: torch.nn.Module
    names: tuple[str, ...]
    image_size: int


def load_network(path: Path) -> Network:
    """The network in a `.safetensors` file of a training run, or in an Ultralytics `.pt` file.

    A `.pt` is a pickle, and refused unless the user trusts it (`fuse2task.runtime.trust`). Even then it is read by
    PyTorch's restricted unpickler, which builds Ultralytics' own classes and nothing else.

    Raises:
        RequestError: no such file (nothing is ever downloaded), damaged, of another kind or task, not trusted,
            weights that are not finite numbers.
    """
    path = Path(path)
    if not os.path.lexists(path):
        raise RequestError(f"{path}: no such weights file; nothing is downloaded, put the file there yourself")
    check_regular(path, "weights file")
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    if path.suffix == ".pt":
        refuse_untrusted(path)
        say(f"warning: {path} is a pickle; only Ultralytics' classes are read from it; safetensors is safer")
        return _load_pickle(path)
    raise RequestError(f"{path}: weights are .safetensors (of a training run) or .pt (of Ultralytics)")


def save_network(path: Path, checkpoint: Path, image_size: int, recipe: dict[str, Any]) -> str:
    """Write the network of an Ultralytics `checkpoint` as safetensors, its values unchanged.

    Returns the tensor hash.
    Metadata: format, version, model (the architecture, as JSON), names, image_size, recipe, tensor hash.
    """
    network = _load_pickle(checkpoint)  # Ultralytics' trainer has written it in this process
    # The trainer stores half precision, so halving its FP32 copy loses nothing.
    state = copy.deepcopy(network.module).half().state_dict()
    model = {key: value for key, value in network.module.yaml.items() if key != "yaml_file"}  # type: ignore[union-attr, operator]
    return save_checkpoint(
        path, state, FORMAT, model=model, names=list(network.names), image_size=image_size, recipe=recipe
    )


def _load_safetensors(path: Path) -> Network:
    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel

    tensors, about = load_checkpoint(path, FORMAT)
    with _unreadable(path):
        names = {index: str(name) for index, name in enumerate(about["names"])}
        image_size = int(about["image_size"])
        check_architecture(about["model"], len(names), tensors)
        module = DetectionModel(about["model"], ch=3, nc=len(names), verbose=False)
    load_into(module, tensors, path)
    module.names = names
    return Network(module.float().eval(), tuple(names.values()), image_size)


def _load_pickle(path: Path) -> Network:
    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel, load_checkpoint

    refuse_compressed(path)
    with _unreadable(path):
        module, _ = load_checkpoint(path)
        if type(module) is not DetectionModel:
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
