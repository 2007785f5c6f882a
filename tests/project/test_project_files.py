"""Files around the code that must agree with each other."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import fuse2task

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def read_yaml(name):
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def test_one_version_and_licence(project):
    citation = read_yaml("CITATION.cff")
    assert project["version"] == fuse2task.__version__ == citation["version"]
    assert project["license"] == citation["license"] == "AGPL-3.0-or-later"
    assert "[Unreleased]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_actions_run_what_ci_runs(project):
    (job,) = read_yaml(".github/workflows/ci.yml")["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]
    version = next(step["with"]["python-version"] for step in job["steps"] if "setup-python" in step.get("uses", ""))
    assert project["requires-python"] == f">={version}"
    assert "make test" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_pre_commit_runs_the_linters_of_make_check_and_make_test():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "\ncheck: lint\n" in makefile
    assert "\ntest: lint\n" in makefile
    body = makefile.split("\nlint:")[1].split("\n\n")[0]
    linters = re.findall(r"^\t\$\(BIN\)/([a-z-]+)", body, re.M)
    (repository,) = read_yaml(".pre-commit-config.yaml")["repos"]
    assert [re.findall(r"bin/([a-z-]+)", hook["entry"])[0] for hook in repository["hooks"]] == ["ruff", *linters[1:]]
    assert linters[:2] == ["ruff", "ruff"]


def test_issue_forms_are_whole():
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) >= 3
    for path in forms:
        form = yaml.safe_load(path.read_text("utf-8"))
        if path.stem != "config":
            assert form["name"]
            assert len({part["id"] for part in form["body"]}) == len(form["body"])


def test_every_extra_that_a_message_names_exists(project):
    asked = set()
    for package in ("fuse2task", "fusion", "detection", "segmentation"):
        for path in (ROOT / package).rglob("*.py"):
            asked |= set(re.findall(r"fuse2task\[([a-z]+)\]", path.read_text("utf-8")))
    assert asked
    assert asked <= project["optional-dependencies"].keys()
