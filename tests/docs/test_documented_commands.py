"""The commands of README and docs: `bash` blocks run, page by page; all others are held against the program."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from fuse2task.bench.recipe import BenchRecipe
from fuse2task.cli.main import app
from fuse2task.config import configs_folder, load_recipe
from fusion.recipe import FusionRecipe

ROOT = Path(__file__).resolve().parents[2]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
         for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))}  # fmt: skip
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.M | re.S)
HEREDOC = re.compile(r"<< '(\w+)'\n.*?^\1$", re.M | re.S)
RECIPES = {"bench": BenchRecipe, "fusion": FusionRecipe}


def blocks(page: str, *kinds: str) -> list[str]:
    return [body for kind, body in FENCE.findall(PAGES[page]) if kind in kinds]


def commands(page: str) -> list[list[str]]:
    """What follows `fuse2task` on the lines of a page's blocks, under torchrun or srun as well."""
    found = []
    for body in blocks(page, "sh", "bash"):
        for line in HEREDOC.sub("", body).replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            starts = [number for number, word in enumerate(words) if word in ("fuse2task", "fuse2task)")]
            found += [words[number + 1 :] for number in starts]
    return found


def mentions(page: str) -> list[str]:
    """Commands inside sentences and tables."""
    return re.findall(r"`fuse2task ([a-z][^`]*)`", FENCE.sub("", PAGES[page]))


def resolve(words: list[str]) -> tuple[Any, list[str]]:
    """The command that `words` begin with, and the rest of them."""
    command, rest = typer.main.get_command(app), list(words)
    while hasattr(command, "commands") and rest and re.fullmatch("[a-z]+", rest[0]):
        assert rest[0] in command.commands, f"no command {rest[0]!r} in {' '.join(words)}"
        command = command.commands[rest.pop(0)]
    return command, rest


@pytest.mark.parametrize(("page", "words"), [(page, words) for page in PAGES for words in commands(page)])
def test_every_command_parses_and_its_recipe_is_one(page, words):
    command, rest = resolve(words)
    with command.make_context(command.name, rest) as context:
        recipe, overrides = context.params.get("recipe"), context.params.get("overrides") or []
    if recipe is None or f"> {recipe} <<" in PAGES[page]:
        return
    assert (configs_folder() / f"{recipe}.yaml").is_file()
    if recipe.split("/")[0] in RECIPES:
        load_recipe(RECIPES[recipe.split("/")[0]], recipe, overrides)


@pytest.mark.parametrize("page", [page for page in PAGES if mentions(page)])
def test_commands_in_sentences_exist_with_their_options(page):
    for mention in mentions(page):
        command, rest = resolve(mention.split())
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if re.fullmatch("--?[a-z-]+", word)} <= known, mention


def test_make_commands_are_in_the_makefile():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    wanted = [line.split()[1] for page in PAGES for body in blocks(page, "sh") for line in body.splitlines()
              if line.startswith("make ")]  # fmt: skip
    assert wanted
    assert set(wanted) <= set(targets)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "bash")])
def test_the_page_runs_from_top_to_bottom(page, tmp_path):
    here, extra = tmp_path / "here", tmp_path / "site"
    here.mkdir()
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1",
        # What a page installs goes beside it, with the build backend that is here.
        "PYTHONPATH": str(extra), "PIP_TARGET": str(extra), "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks(page, "bash"))],
        cwd=here, env=environment, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    assert any(path.suffix in (".png", ".csv") for path in here.rglob("*"))
