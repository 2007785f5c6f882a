"""docs/architecture.md and docs/api.md agree with the code."""

import re
import runpy
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_every_package_is_in_the_table_of_packages():
    packages = {f"fuse2task.{path.parent.name}" for path in (ROOT / "fuse2task").glob("*/__init__.py")}
    table = ARCHITECTURE.split("## Packages")[1].split("\n## ")[0]
    assert packages | {"fusion", "detection", "segmentation"} <= set(re.findall(r"`([\w.]+)`", table))


def test_names_on_the_architecture_page_exist():
    found = re.findall(r"`(\w+)(?:\.(\w+))?` \((?:[^`()]*)`([\w.]+)`\)", ARCHITECTURE)
    assert len(found) > 10
    for name, attribute, module in found:
        value = getattr(import_module(module), name)
        assert not attribute or hasattr(value, attribute)
    for module in re.findall(r"`((?:fuse2task|fusion|detection|segmentation)\.[\w.]+)`", ARCHITECTURE):
        import_module(module)


def test_modules_named_for_the_benchmark_are_all_there_are():
    row = next(line for line in ARCHITECTURE.splitlines() if line.startswith("| `fuse2task.bench` |"))
    modules = {path.stem for path in (ROOT / "fuse2task" / "bench").glob("*.py")} - {"__init__"}
    assert modules - set(re.findall(r"`(\w+)`", row)) <= {"costs"}


def test_the_api_page_is_made_from_the_docstrings(capsys):
    runpy.run_path(str(ROOT / "tools" / "api_reference.py"), run_name="__main__")
    assert capsys.readouterr().out == (ROOT / "docs" / "api.md").read_text("utf-8")
