"""The command itself: help, exit codes, one readable error."""

import os
import subprocess
import sys

import pytest

from fuse2task.cli.main import run


def test_help_does_not_import_what_is_heavy():
    code = (
        "import sys\n"
        "from fuse2task.cli.main import run\n"
        "try: run(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'cv2', 'ultralytics', 'albumentations', 'pandas', 'pydantic'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))\n"
        "import os; print('SPIN', os.environ['GOMP_SPINCOUNT'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    assert "SPIN 10000" in done.stdout
    for group in ("data", "fusion", "detection", "segmentation", "demo", "doctor"):
        assert group in done.stdout


@pytest.mark.parametrize(
    ("nice", "given", "threads"), [(0, None, None), (10, None, "1"), (10, "2", "2"), (-5, None, None)]
)
def test_a_process_of_low_priority_has_one_thread_unless_told_otherwise(nice, given, threads, monkeypatch):
    for name, value in {"OMP_NUM_THREADS": given, "OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": None}.items():
        # Set before it is removed, so that what the command sets is taken back too.
        monkeypatch.setenv(name, value or "")
        if value is None:
            monkeypatch.delenv(name)
    monkeypatch.setattr(os, "nice", lambda step: nice + step)
    with pytest.raises(SystemExit):
        run(["--version"])
    assert os.environ.get("OMP_NUM_THREADS") == threads
    assert os.environ["OMP_WAIT_POLICY"] == "active"
    assert "GOMP_SPINCOUNT" not in os.environ


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["fusion", "apply"],
        ["fusion", "train", "fusion/crossfuse-modern", "nonsense"],
        ["detection", "eval", "-o", "m.json"],
        ["segmentation", "eval", "--labels", "/nowhere", "--predictions", "/nowhere", "-o", "m.json"],
        ["data", "check", "/nowhere", "--layout", "msrs"],
    ],
)
def test_wrong_requests_exit_with_2_and_no_traceback(run_cli, arguments):
    assert run_cli(*arguments) == 2
    assert run_cli.error
    assert "Traceback" not in run_cli.error


def test_debug_shows_the_traceback(run_cli):
    with pytest.raises(Exception, match="nowhere"):
        run_cli("--debug", "data", "check", "/nowhere", "--layout", "msrs")


def test_version_and_doctor(run_cli):
    assert run_cli("--version") == 0
    assert "fuse2task 0." in run_cli.output
    assert run_cli("doctor") == 0
    assert "AGPL-3.0" in run_cli.output


def test_an_unexpected_error_is_one_line_with_exit_code_1(run_cli, monkeypatch):
    import fuse2task.config

    def broken(*_):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(fuse2task.config, "load_recipe", broken)
    assert run_cli("fusion", "train", "x") == 1
    assert "unexpected ZeroDivisionError: by zero" in run_cli.error
