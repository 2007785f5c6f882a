"""The command itself: help, exit codes, one readable error."""

import subprocess
import sys

import pytest


def test_help_does_not_import_what_is_heavy():
    code = (
        "import sys\n"
        "from fuse2task.cli.main import run\n"
        "try: run(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'cv2', 'ultralytics', 'albumentations', 'pandas', 'pydantic'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    for group in ("data", "fusion", "detection", "segmentation", "demo", "doctor"):
        assert group in done.stdout


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
