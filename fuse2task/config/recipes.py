"""Loading a recipe: a YAML path or the name of a shipped one, overrides, strict checking."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

import fuse2task
from fuse2task.runtime.errors import RequestError, listing


class Recipe(BaseModel):
    """Base of every recipe and of its sections: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


def configs_folder() -> Path:
    """The folder of shipped recipes: inside the installed package, or `configs/` of a checkout."""
    package = Path(fuse2task.__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def shipped_recipes(kind: str) -> list[str]:
    """Names (`kind/name`) of the shipped recipes of one package, sorted."""
    return sorted(f"{kind}/{path.stem}" for path in (configs_folder() / kind).glob("*.yaml"))


def read_yaml(path: Path, what: str) -> Any:
    """Parse a YAML file with the safe loader.

    Raises:
        RequestError: the file is missing, not UTF-8 or not YAML.
    """
    try:
        return yaml.safe_load(Path(path).read_text("utf-8"))
    except FileNotFoundError:
        raise RequestError(f"{path}: no such {what}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise RequestError(f"{path}: not a readable {what} (YAML expected): {error}") from None


def load_recipe(model: type[AnyRecipe], reference: str, overrides: Sequence[str] = ()) -> AnyRecipe:
    """The checked recipe behind `reference`.

    Args:
        model: the pydantic class to check against.
        reference: a path to a YAML file, or the name of a shipped recipe such as `fusion/crossfuse-release`.
        overrides: `key.sub=value` texts; values are YAML, list items are addressed by number (`data.0.root=X`).

    Raises:
        RequestError: no such recipe, unreadable YAML, a bad override, an unknown key or a wrong value.
    """
    path = _find(reference)
    values = read_yaml(path, "recipe") or {}
    if not isinstance(values, dict):
        raise RequestError(f"{path}: a recipe is a mapping of keys to values, not a {type(values).__name__}")
    for override in overrides:
        _apply(values, override)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in item['loc']) or 'recipe'}: {item['msg']}" for item in error.errors()
        ]
        known = ", ".join(model.model_fields)
        raise RequestError(f"{path}: bad recipe\n{listing(problems)}\n  top-level keys are: {known}") from None


def _find(reference: str) -> Path:
    path = Path(reference)
    if path.is_file():
        return path
    shipped = configs_folder() / f"{reference.removesuffix('.yaml')}.yaml"
    if ".." not in path.parts and not path.is_absolute() and shipped.is_file():
        return shipped
    kind = path.parts[0] if len(path.parts) > 1 else "*"
    names = sorted(f"{found.parent.name}/{found.stem}" for found in configs_folder().glob(f"{kind}/*.yaml"))
    raise RequestError(
        f"{reference}: no such recipe file, and no shipped recipe of that name. Shipped: {', '.join(names)}"
    )


def _apply(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise RequestError(f"override {override!r} is not of the form key.sub=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RequestError(f"override {override!r}: the value is not YAML: {error}") from None
    target: Any = values
    *path, last = key.split(".")
    for part in path:
        target = _step(target, part, override)
    if isinstance(target, list):
        if not last.isdigit() or int(last) >= len(target):
            raise RequestError(f"override {override!r}: the list has no item {last}")
        target[int(last)] = value
    else:
        target[last] = value


def _step(target: Any, part: str, override: str) -> Any:
    if isinstance(target, list) and part.isdigit() and int(part) < len(target):
        found = target[int(part)]
    elif isinstance(target, dict):
        found = target.setdefault(part, {})
    else:
        raise RequestError(f"override {override!r}: there is no {part!r} to go into")
    if not isinstance(found, dict | list):
        raise RequestError(f"override {override!r}: {part!r} is a single value, not a section")
    return found
