"""`fuse2task doctor`: what is installed, what can be used, what is missing."""

import importlib.util

import typer


def doctor() -> None:
    """Versions, devices, optional parts that are missing, licence notes."""
    import platform

    import torch
    from rich.console import Console
    from rich.table import Table

    from fuse2task.config import shipped_recipes
    from fuse2task.runtime.provenance import versions

    table = Table(title="fuse2task doctor", show_header=False)
    table.add_row("Python", platform.python_version())
    for name, version in versions().items():
        table.add_row(name, version)
    table.add_row("CPU", f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
    for number in range(torch.cuda.device_count()):
        table.add_row(f"cuda:{number}", torch.cuda.get_device_name(number))
    if not torch.cuda.is_available():
        table.add_row("CUDA", "none; everything runs on the CPU")
    for module, extra in (("onnxruntime", "onnx"), ("onnx", "onnx"), ("tensorboard", "tensorboard")):
        if importlib.util.find_spec(module) is None:
            table.add_row(module, f"missing; pip install 'fuse2task[{extra}]'")
    for kind in ("fusion", "detection", "segmentation"):
        table.add_row(f"{kind} recipes", ", ".join(shipped_recipes(kind)))
    Console().print(table)
    typer.echo(
        "Licence: fuse2task is AGPL-3.0-or-later, because Ultralytics is AGPL-3.0. Datasets and the authors' "
        "CrossFuse weights have terms of their own; none of them come with fuse2task."
    )
