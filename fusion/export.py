"""A fusion network as a file that runs without fuse2task: ONNX, or PyTorch's exported program.

Both take infrared and visible luma, (1, 1, H, W) float32 in [0, 255], of any equal size from 16x16 up, and give the
fused luma of that shape and range. The files that `fusion apply` writes hold its floor.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.files import atomic_path
from fusion.network import attention, layers
from fusion.network.attention import STRIDE, TILE, window
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
    """The program of a network in eval mode on the CPU, for one pair of any size; errors as `export_network`."""
    from torch.fx.experimental import _config

    network = network.cpu().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    example = tuple(torch.rand(1, 1, *EXAMPLE, generator=generator) * 255 for _ in INPUTS)
    sides = {2: Dim("height", min=MIN_SIDE), 3: Dim("width", min=MIN_SIDE)}
    try:
        # Sizes that could be 0 or 1 (tiles across) are to be treated like others.
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
    model = made.model_proto  # type: ignore[union-attr]
    onnx.helper.set_model_props(model, {"inputs": "luma in [0, 255]", "output": "fused luma in [0, 255)", **about})
    onnx.checker.check_model(model)
    with atomic_path(path) as temporary:
        onnx.save(model, temporary)


@contextlib.contextmanager
def size_free() -> Iterator[None]:
    """While the block runs, every module of `fusion.network` uses the functions of this file."""
    equals: dict[Callable[..., Tensor], Callable[..., Tensor]] = {
        layers.pad_reflect: pad_reflect,
        layers.pad_to: pad_to,
        attention.to_tiles: to_tiles,
        attention.from_tiles: from_tiles,
        attention.to_overlapping_tiles: to_overlapping_tiles,
        attention.from_overlapping_tiles: from_overlapping_tiles,
    }
    replaced = [
        (module, name, value)
        for path, module in list(sys.modules.items())
        if path.startswith("fusion.network.")
        for name, value in vars(module).items()
        if callable(value) and any(value is own for own in equals)
    ]
    try:
        for module, name, value in replaced:
            setattr(module, name, equals[value])
        yield
    finally:
        for module, name, value in replaced:
            setattr(module, name, value)


def pad_reflect(x: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
    """As `layers.pad_reflect`, for maps of 2x2 and more."""
    if all(type(amount) is int and amount <= 1 for amount in (left, right, top, bottom)):  # a convolution's
        return F.pad(x, (left, right, top, bottom), mode="reflect")
    rows, columns = _sources((x.shape[-2], top, bottom), (x.shape[-1], left, right))
    return x.index_select(-2, rows).index_select(-1, columns)


def pad_to(x: Tensor, height: int, width: int) -> Tensor:
    """As `layers.pad_to`."""
    dy, dx = height - x.shape[-2], width - x.shape[-1]
    return pad_reflect(x, dx // 2, dx - dx // 2, dy // 2, dy - dy // 2)


def _tiles(length: int) -> int:
    # Not -(-length // TILE): ONNX divides towards zero.
    return (length + TILE - 1) // TILE


def _overlapping(length: int) -> int:
    beyond: Any = torch.sym_max(length - TILE + STRIDE - 1, 0)  # max() would be decided by the example
    return 1 + beyond // STRIDE


def to_tiles(x: Tensor) -> Tensor:
    """As `attention.to_tiles`, for (1, C, H, W)."""
    return _cut(x, _tiles(x.shape[-2]), _tiles(x.shape[-1]), TILE)


def from_tiles(tiles: Tensor, batch: int, height: int, width: int) -> Tensor:
    """As `attention.from_tiles`, for a batch of one."""
    across = _tiles(width)
    y, x = torch.arange(height, device=tiles.device)[:, None], torch.arange(width, device=tiles.device)
    places = (y // TILE * across + x // TILE) * TILE**2 + y % TILE * TILE + x % TILE
    pixels = tiles.flatten(2).transpose(0, 1).flatten(1).index_select(1, places.flatten())
    return pixels.unflatten(1, (height, width))[None]


def to_overlapping_tiles(x: Tensor) -> Tensor:
    """As `attention.to_overlapping_tiles`, for (1, C, H, W)."""
    return _cut(x, _overlapping(x.shape[-2]), _overlapping(x.shape[-1]), STRIDE)


def from_overlapping_tiles(tiles: Tensor, size: torch.Size) -> Tensor:
    """As `attention.from_overlapping_tiles`, for a batch of one."""
    height, width = size[-2:]
    down, across = _overlapping(height), _overlapping(width)
    y, x = torch.arange(height)[:, None], torch.arange(width)
    pixels = tiles.float().flatten(2).transpose(0, 1).flatten(1)
    weights = window(tiles).flatten()
    total, blended = torch.zeros(height, width), torch.zeros(1, height, width)
    for dy in (0, 1):  # overlapping by half, two tiles cover a row at most
        for dx in (0, 1):
            row, column = y // STRIDE - dy, x // STRIDE - dx
            covered = (row >= 0) & (row < down) & (column >= 0) & (column < across)
            row, column = row.clamp(min=0, max=down - 1), column.clamp(min=0, max=across - 1)
            inside = (y - row * STRIDE).clamp(0, TILE - 1) * TILE + (x - column * STRIDE).clamp(0, TILE - 1)
            weight = torch.where(covered, weights[inside], 0.0)
            places = ((row * across + column) * TILE**2 + inside).flatten()
            blended = blended + weight * pixels.index_select(1, places).unflatten(1, (height, width))
            total = total + weight
    return (blended / total)[None].to(tiles.dtype)


def _cut(x: Tensor, down: int, across: int, stride: int) -> Tensor:
    """(1, C, H, W) to (down * across, C, 32, 32), a tile every `stride` steps, reflect-padded at right and bottom."""
    height, width = x.shape[-2:]
    high, wide = (down - 1) * stride + TILE, (across - 1) * stride + TILE
    rows, columns = _sources((height, 0, high - height), (width, 0, wide - width))
    inside = torch.arange(TILE)
    rows = rows[torch.arange(down)[:, None] * stride + inside]
    columns = columns[torch.arange(across)[:, None] * stride + inside]
    places = rows[:, None, :, None] * width + columns[None, :, None, :]
    tiles = x.flatten(2).index_select(2, places.flatten())[0].unflatten(1, (down * across, TILE * TILE))
    return tiles.transpose(0, 1).unflatten(2, (TILE, TILE))


def _sources(*sides: tuple[int, int, int]) -> list[Tensor]:
    """Which pixel stands at each place of a padded side, given as (length, before, after).

    Reflected; replicated on all sides where one is too short to reflect, as `layers.pad_reflect` does.
    """
    places = [(torch.arange(length + before + after) - before, length - 1) for length, before, after in sides]
    mirrored = [last - (last - place.abs()).abs() for place, last in places]
    too_short = torch.stack([place.min() for place in mirrored]).min() < 0
    nearest = [place.clamp(min=0, max=last) for place, last in places]
    return [torch.where(too_short, near, far) for near, far in zip(nearest, mirrored, strict=True)]
