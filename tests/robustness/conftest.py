"""Material for commands that are killed, made once; small full or read-only file systems; a fused dataset.

The helpers beside this file (damage, valid_files, weight_files, readers, bad_input, killing) are imported by name.
"""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

sys.path.append(str(Path(__file__).parent))  # stays: the processes that commands run in import the helpers too


@pytest.fixture(scope="session")
def killing() -> ModuleType:
    """The module `killing`."""
    if not sys.platform.startswith("linux"):
        pytest.skip("looks at processes in /proc")
    return importlib.import_module("killing")


@pytest.fixture(scope="session")
def material(killing: ModuleType, tmp_path_factory: pytest.TempPathFactory):
    """Scenes, fused datasets and recipes, with the outcome of undisturbed commands."""
    made = killing.Material(tmp_path_factory.mktemp("material"), pairs=8)
    made.prepare()
    return made


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """`mounted(options, name)`: a tmpfs of its own, such as `size=256k`; skipped where mounting is not allowed."""
    folders: list[Path] = []

    def mount(options: str, name: str = "mounted") -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        if os.getuid() != 0 or shutil.which("mount") is None:
            pytest.skip("mounting a file system needs root")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def fused_dataset(folder_dataset, tmp_path):
    """A fused dataset of four pairs with boxes, written by the method `average`; all in the split test."""
    from fuse2task.data.loading import load_dataset
    from fusion.dataset_writer import write_fused
    from fusion.methods import make_method

    root = folder_dataset(boxes=True)
    write_fused(load_dataset(root, "folder", boxes=root / "boxes"), make_method("average"), tmp_path / "fused")
    return tmp_path / "fused"
