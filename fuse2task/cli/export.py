"""`fuse2task fusion export`: CrossFuse as ONNX or as PyTorch's exported program."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import fuse2task


class FormatName(StrEnum):
    """Kinds of file."""

    onnx = "onnx"
    torch_export = "torch-export"


def export_command(
    checkpoint: Annotated[Path, typer.Argument(help="CrossFuse weights: a file, or a name of `fusion weights`.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="model.onnx", help="The file to write.")],
    kind: Annotated[FormatName, typer.Option("--format", help="What torch.export.load or ONNX runtimes read.")] = (
        FormatName.onnx
    ),
) -> None:
    """Write the network as one file that runs without fuse2task, for one pair of any size from 16x16 up.

    Inputs `infrared` and `visible`, output `fused`: luma, (1, 1, H, W) float32, 0 to 255.
    """
    from fusion.export import export_network
    from fusion.weights import find_checkpoint, load_crossfuse

    network, digest = load_crossfuse(find_checkpoint(checkpoint))
    about = {"made_by": f"fuse2task {fuse2task.__version__}", "network": type(network).__name__, "tensor_hash": digest}
    export_network(network, output, kind.value, about)
    typer.echo(f"{output}: {kind.value}, {output.stat().st_size / 1e6:.0f} MB, weights {digest[:12]}")
