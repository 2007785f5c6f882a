"""Loading a recipe: a YAML path or the name of a shipped one, overrides, strict checking.

Not OmegaConf: pydantic checks the values, and interpolation would let a stranger's recipe read the environment.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, model_serializer

from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.reading import parse_yaml, read_yaml


class Recipe(BaseModel):
    """Base of every recipe and of its sections: unknown keys and numbers that are not finite are refused.

    later_keys: those that were added later. With its default such a key is not written, so that a recipe without it
    keeps the hash that it had before, and what was made or begun by it is still its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    later_keys: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _without_unused_later_keys(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        unused = {
            key for key in self.later_keys if getattr(self, key) == fields[key].get_default(call_default_factory=True)
        }
        return {key: value for key, value in serialize(self).items() if key not in unused}


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


def configs_folder() -> Path:
    """The folder of shipped recipes: inside the installed package, or `configs/` of a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def shipped_recipes(kind: str) -> list[str]:
    """Names (`kind/name`) of the shipped recipes of one package, sorted."""
    return sorted(f"{kind}/{path.stem}" for path in (configs_folder() / kind).glob("*.yaml"))


def load_recipe(model: type[AnyRecipe], reference: str, overrides: Sequence[str] = ()) -> AnyRecipe:
    """The checked recipe behind `reference`.

    Args:
        model: the pydantic class to check against.
        reference: a path to a YAML file, or the name of a shipped recipe such as `fusion/crossfuse-release`.
        overrides: `key.sub=value` texts; values are YAML, list items are addressed by number (`data.0.root=X`).

    RequestError: no such recipe, unreadable YAML, a bad override, an unknown key or a wrong value.
    """
    path = _find(reference)
    values = read_yaml(path, "recipe") or {}
    if not isinstance(values, dict):
        raise RequestError(f"{path}: a recipe is a mapping of keys to values, not a {type(values).__name__}")
    for override in overrides:
        _apply(values, override)
    return checked(model, values, path, "recipe")


def checked(model: type[AnyRecipe], values: Any, path: Path, what: str) -> AnyRecipe:
    """`values`, which were read from the file `path`, as a `model`; `what` names the role of the file.

    RequestError: unknown keys or wrong values: all of them, with their places, and the keys that there are.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = [f"{'.'.join(_place(values, item['loc'])) or 'file'}: {item['msg']}" for item in error.errors()]
        known = ", ".join(model.model_fields)
        raise RequestError(f"{path}: bad {what}\n{listing(problems)}\n  top-level keys are: {known}") from None


def _place(values: Any, parts: Sequence[int | str]) -> list[str]:
    """pydantic's location of an error as keys of the file: names of a union's members, which it adds, are left out."""
    place = []
    for number, part in enumerate(parts):
        if isinstance(values, dict) and part not in values and number < len(parts) - 1:
            continue
        place.append(str(part))
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
    return place


def _find(reference: str) -> Path:
    path = Path(reference)
    if os.path.isfile(path):  # unlike Path.is_file, also says no to a name that no file can have
        return path
    shipped = configs_folder() / f"{reference.removesuffix('.yaml')}.yaml"
    if ".." not in path.parts and not path.is_absolute() and os.path.isfile(shipped):
        return shipped
    kinds = sorted(folder.name for folder in configs_folder().iterdir() if folder.is_dir())
    kinds = [path.parts[0]] if path.parts[:1] and path.parts[0] in kinds else kinds
    names = [name for kind in kinds for name in shipped_recipes(kind)]
    raise RequestError(
        f"{reference}: no such recipe file, and no shipped recipe of that name. Shipped: {', '.join(names)}"
    )


def _apply(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise RequestError(f"override {override!r} is not of the form key.sub=value")
    value = parse_yaml(text, f"override {override!r}: the value is not YAML")
    target: Any = values
    *path, last = key.split(".")
    for part in path:
        target = _step(target, part, override)
    if isinstance(target, list):
        if not _is_index(last, target):
            raise RequestError(f"override {override!r}: the list has no item {last}")
        target[int(last)] = value
    else:
        target[last] = value


def _step(target: Any, part: str, override: str) -> Any:
    if isinstance(target, list) and _is_index(part, target):
        found = target[int(part)]
    elif isinstance(target, dict):
        found = target.setdefault(part, {})
    else:
        raise RequestError(f"override {override!r}: there is no {part!r} to go into")
    if not isinstance(found, dict | list):
        raise RequestError(f"override {override!r}: {part!r} is a single value, not a section")
    return found


def _is_index(text: str, items: list[Any]) -> bool:
    return text.isdecimal() and len(text) < 10 and int(text) < len(items)
