"""The commands of README and docs: all parse, the tour runs."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer

from fuse2task.cli.main import app
from fuse2task.config import configs_folder

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(sh[^\n]*)\n(.*?)^```", re.M | re.S)


def blocks(kind: str) -> list[str]:
    texts = [path.read_text("utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))]
    return [body for text in texts for name, body in FENCE.findall(text) if name == kind]


def commands() -> list[list[str]]:
    found = []
    for body in blocks("sh") + blocks("sh tour"):
        for line in body.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == "fuse2task":
                found.append(words[1:])
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_parses_and_its_recipe_is_shipped(words):
    command = typer.main.get_command(app)
    while isinstance(command, click.Group):
        name, *words = words
        assert name in command.commands
        command = command.commands[name]
    with command.make_context(command.name, list(words)) as context:
        recipe = context.params.get("recipe")
    if recipe:
        assert (configs_folder() / f"{recipe}.yaml").is_file()


def test_make_commands_are_in_the_makefile():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    for line in blocks("sh")[0].splitlines():
        assert line.split()[1] in targets


def test_links_lead_somewhere():
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


@pytest.mark.slow
def test_the_tour_runs(tmp_path):
    script = "set -e\n" + blocks("sh tour")[0]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "average.json").is_file()
    assert len(list((tmp_path / "loose").glob("*.png"))) == 12
