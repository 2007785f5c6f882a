"""A fusion network as a file that runs without fuse2task: ONNX, or PyTorch's exported program.

Both take infrared and visible luma, (1, 1, H, W) float32 in [0, 255], of any equal size from 16x16 up, and give the
fused luma of that shape and range. The files that `fusion apply` writes hold its floor.
"""

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.files import atomic_path
from fusion.export_shapes import size_free
from fusion.network.crossfuse import MIN_SIDE

Format = Literal["onnx", "torch-export"]
OPSET = 20
INPUTS, OUTPUT = ("infrared", "visible"), "fused"
EXAMPLE = (333, 600)  # an odd size of several tiles, so that nothing in the trace is one by chance


def export_network(network: nn.Module, path: Path, kind: Format, about: Mapping[str, str] | None = None) -> None:
    """Write `network`, a module with forward(infrared, visible), atomically to `path`.

    about: texts for the metadata of the file: where the weights come from, say.

    Raises:
        RequestError: onnx or onnxscript is missing (kind onnx).
        Fuse2TaskError: the network decides something by the image size, and cannot be exported for all sizes.
    """
    if kind == "onnx":
        _write_onnx(network, Path(path), dict(about or {}))
    else:
        program = exported(network)
        with atomic_path(Path(path)) as temporary, temporary.open("wb") as handle:
            torch.export.save(program, handle, extra_files={key: str(value) for key, value in (about or {}).items()})


def exported(network: nn.Module) -> ExportedProgram:
    """The program of a network in eval mode on the CPU, for one pair of any size.

    Raises:
        Fuse2TaskError: as `export_network`.
    """
    from torch.fx.experimental import _config

    network = network.cpu().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    example = tuple(torch.rand(1, 1, *EXAMPLE, generator=generator) * 255 for _ in INPUTS)
    sides = {2: Dim("height", min=MIN_SIDE), 3: Dim("width", min=MIN_SIDE)}
    try:
        # Sizes that could be 0 or 1 (tiles across) are not to be told apart from others.
        with size_free(), _config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
            program = torch.export.export(network, example, dynamic_shapes=(sides, sides))
    except (RuntimeError, ValueError) as error:
        name, reason = type(network).__name__, str(error).strip().splitlines()[0]
        raise Fuse2TaskError(f"{name} cannot be exported for every image size: {reason}") from None
    # What is left says that both images are of one size; that there is more than one tile was the example's.
    program._guards_code[:] = [guard for guard in program._guards_code if "!=" not in guard]
    return program


def _write_onnx(network: nn.Module, path: Path, about: dict[str, str]) -> None:
    try:
        import onnx
        import onnxscript  # noqa: F401 - what torch.onnx translates with
    except ImportError:
        raise RequestError("ONNX export needs onnx and onnxscript: pip install 'fuse2task[onnx]'") from None
    program = exported(network)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(None):
        made = torch.onnx.export(
            program, dynamo=True, input_names=INPUTS, output_names=[OUTPUT], opset_version=OPSET, verbose=False
        )
    assert made is not None
    model = made.model_proto
    onnx.helper.set_model_props(model, {"inputs": "luma in [0, 255]", "output": "fused luma in [0, 255)", **about})
    onnx.checker.check_model(model)
    with atomic_path(path) as temporary:
        onnx.save(model, temporary)
