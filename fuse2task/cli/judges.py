"""Options of commands that take a judge of another package."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from fuse2task.runtime.errors import RequestError

if TYPE_CHECKING:
    from fuse2task.judges import JudgeSource

Plugin = Annotated[str | None, Option(help="A judge of another package, by its name (`fuse2task doctor`).")]
JudgeOptions = Annotated[
    list[str] | None, Option("--option", metavar="KEY=VALUE", help="What that judge is made with; repeat it.")
]


def judge_source(plugin: str | None, weights: Path | None, options: Sequence[str] | None) -> "Path | JudgeSource":
    """What the options name: weights, or a plug-in with its options.

    Raises:
        RequestError: neither of both, an option without a value or without a plug-in.
    """
    from fuse2task.judges import JudgeSource
    from fuse2task.runtime.reading import parse_yaml

    values = {}
    for text in options or ():
        key, separator, value = text.partition("=")
        if not separator:
            raise RequestError(f"--option {text}: give KEY=VALUE")
        if key in values:
            raise RequestError(f"--option {text}: {key} is given twice; keep one")
        values[key] = parse_yaml(value, f"--option {text}: the value is not YAML")
    if plugin:
        return JudgeSource(plugin, weights, json.dumps(values, sort_keys=True))
    if weights is None or values:
        raise RequestError("--option belongs to --plugin" if values else "give a file of weights, or --plugin")
    return weights
