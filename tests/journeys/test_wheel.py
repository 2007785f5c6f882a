"""The wheel: everything is inside, and the command runs outside the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fuse2task", "fusion", "detection", "segmentation")

pytestmark = pytest.mark.slow


def test_code_recipes_weights_and_templates_are_inside(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    wanted |= {f"fuse2task/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "configs").rglob("*.*")}
    assert wanted >= {"fuse2task/py.typed", "fuse2task/configs/bench/synthetic.yaml"}
    assert not wanted - names
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)


def test_the_command_runs_from_the_installed_files(installed, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(installed)}

    def run(*command):
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=True
        ).stdout

    program = "import fuse2task, fusion; print(fuse2task.__file__); print(fusion.__file__)"
    for line in run(sys.executable, "-c", program).splitlines():
        assert line.startswith(str(installed))
    assert "fuse2task 0." in run(installed / "bin" / "fuse2task", "--version")
    program = "from fuse2task.config import configs_folder, shipped_recipes as r; print(configs_folder(), r('bench'))"
    shipped = run(sys.executable, "-c", program)
    assert shipped.startswith(str(installed))
    assert "bench/synthetic" in shipped
