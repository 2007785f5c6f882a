"""fuse2task as a stranger has it: built as a wheel, installed into a folder, the checkout out of reach."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
OFFLINE = ("--no-deps", "--no-build-isolation", "--no-index")  # dependencies are those of the running environment


def pip(*arguments: object) -> None:
    """Run pip quietly; what it says is shown when it fails."""
    done = subprocess.run([*PIP, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The wheel of the checkout."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", *OFFLINE, "--wheel-dir", folder, ROOT)
    return next(folder.glob("fuse2task-*.whl"))


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder with the installed wheel, bin/fuse2task in it."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", *OFFLINE, "--target", folder, wheel)
    return folder


@pytest.fixture
def journey(installed, tmp_path) -> Callable[..., str]:
    """`journey(name)`: runs tests/journeys/NAME.sh in an empty folder; what it printed. Stops at the first failure."""
    here, extra = tmp_path / "here", tmp_path / "site"
    here.mkdir()

    def run(name: str) -> str:
        python = Path(sys.executable).parent
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")} | {
            "PATH": os.pathsep.join((str(installed / "bin"), str(python), os.environ["PATH"])),
            "PYTHONPATH": os.pathsep.join((str(extra), str(installed))),
            "PIP_TARGET": str(extra), "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "160",
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "-euo", "pipefail", str(Path(__file__).with_name(f"{name}.sh"))],
            cwd=here, env=environment, capture_output=True, text=True, timeout=500, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    run.folder = here  # type: ignore[attr-defined]
    return run
