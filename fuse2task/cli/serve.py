"""`fuse2task serve`: a page that fuses one pair at a time."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    judge: Annotated[
        Path | None, typer.Option("--judge", help="Detector whose boxes are shown: .onnx or .safetensors.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="CrossFuse weights: a file, or shipped ones by name.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8750,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let --host be one that other machines reach. No password!")
    ] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
) -> None:
    """Open a page on this machine: drop an infrared and a visible image, see them fused, with boxes and scores.

    Nothing is stored and nothing leaves the machine.
    """
    from fuse2task.runtime.errors import RequestError

    try:
        from fuse2task.serve import server
        from fuse2task.serve.app import make_app
        from fuse2task.serve.fusing import load_fuser
    except ModuleNotFoundError as error:
        raise RequestError(f"{error.name} is not installed; `pip install 'fuse2task[serve]'` brings it") from None
    with server.bind(host, port, allow_remote) as bound:
        server.run(make_app(load_fuser(checkpoint, judge, device), server.host_rule(host)), bound, host)
