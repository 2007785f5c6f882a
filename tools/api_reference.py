"""docs/api.md: the public names with signatures and docstrings. `python tools/api_reference.py > docs/api.md`"""

import importlib
import inspect
import re

PUBLIC = (
    "fuse2task", "fuse2task.bench", "fuse2task.tasks", "fusion", "fusion.quality", "fusion.methods", "detection",
    "segmentation", "fuse2task.judges", "fuse2task.data.layouts",
)  # fmt: skip
# Public names of modules without __all__.
MORE = {
    "fuse2task.tasks": ("Task", "find_task", "task_names"),
    "fuse2task.judges": ("Judge", "DetectionJudge", "SegmentationJudge", "make_judge"),
    "fuse2task.data.layouts": ("Layout",),
}


def main() -> None:
    print("# Python API\n\nThe public names. This page is made from the docstrings by `tools/api_reference.py`.")
    for module_name in PUBLIC:
        module = importlib.import_module(module_name)
        print(f"\n## `{module_name}`\n\n{inspect.cleandoc(module.__doc__ or '')}")
        for name in MORE.get(module_name, getattr(module, "__all__", ())):
            entry(name, getattr(module, name))


def entry(name: str, value: object) -> None:
    """Print one name; of a class its public methods too."""
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return
    print(f"\n### `{name}{signature(value)}`\n\n{text(value)}")
    for method, function in vars(value).items() if inspect.isclass(value) else ():
        if inspect.isfunction(function) and not method.startswith("_") and function.__doc__:
            print(f"\n**`{method}{signature(function)}`**\n\n{text(function)}")


def signature(value: object) -> str:
    """The parameters without annotations."""
    try:
        found = inspect.signature(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    listed = ", ".join(str(item.replace(annotation=inspect._empty)) for item in found.parameters.values())
    return f"({re.sub(r'<function .*? at 0x[0-9a-f]+>', '<function>', listed)})"  # no memory address: pages are equal


def text(value: object) -> str:
    """The docstring as Markdown: sections indented as code keep their lines."""
    lines = inspect.cleandoc(getattr(value, "__doc__", None) or "").splitlines()
    return "\n".join(f"**{line}**\n" if line in ("Args:", "Returns:", "Raises:") else line for line in lines)


if __name__ == "__main__":
    main()
