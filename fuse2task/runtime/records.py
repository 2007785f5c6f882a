"""What a result is made of: declared by its job, recorded beside the result, compared before the result is used."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import by_content, file_digest, read_json, weights_digest, write_json
from fuse2task.runtime.reading import read_yaml

NOT_DONE, FORMER = "not done", "recorded by a former version"
NOT_DECISIVE = ("device", "workers")  # of a training recipe


def differing(before: Any, made_of: Mapping[str, Any]) -> list[str]:
    """Names of inputs that are others now than `before`, what a record says; `FORMER` alone where it names none.

    An input that is None now is not there any more, which keeps no result from being used: fused images and trained
    judges may be removed when they have served.
    """
    if not isinstance(before, Mapping):
        return [FORMER]
    return [
        name
        for name in {**before, **made_of}
        if made_of.get(name, "") is not None and before.get(name) != made_of.get(name)
    ]


def begun(folder: Path, manifest: str) -> Any:
    """What a folder that `files.filling` fills says of its content: its plan, or its `manifest` once it is filled.
    None for a folder that is new or empty. RequestError: other files are in it."""
    work = folder / ".fuse2task"
    found = next((path for path in (work / "plan.json", folder / manifest) if path.is_file()), None)
    if found is not None:
        return read_json(found, "manifest")
    if folder.exists() and not (folder.is_dir() and set(folder.iterdir()) <= {work}):
        raise RequestError(f"{folder}: not an empty folder; give another -o")
    return None


def refuse(folder: Path, what: str, names: Sequence[str]) -> None:
    """RequestError where `names`, of inputs as `differing` gives them, keep the `what` in `folder` from being used."""
    if names:
        which = "of a former version" if FORMER in names else f"of another {', '.join(names)}"
        raise RequestError(f"{folder}: holds {what} {which}; give another -o, or remove the folder")


class Record:
    """A JSON file beside a result.

    made_of: all that the result depends on, by a name that says to people what it is: JSON values, files as paths,
    which count by their content (None for one that is not there, see `differing`).
    """

    def __init__(self, path: Path, made_of: Mapping[str, Any]):
        self.path = path
        self.made_of = {name: _content(value) for name, value in made_of.items()}

    def read(self) -> dict[str, Any]:
        """What was written; empty without a file, or where something else is in it. RequestError: as `read_json`."""
        found = read_json(self.path, "record of a result") if self.path.is_file() else None
        return found if isinstance(found, dict) else {}

    def differing(self) -> list[str]:
        """Why the result cannot be used: `NOT_DONE`, inputs that are others now, files that are gone or altered."""
        if not self.path.is_file():
            return [NOT_DONE]
        found = self.read()
        return differing(found.get("made_of"), self.made_of) + self._lost(found)

    def files(self) -> list[Path]:
        """The recorded files of the result. RequestError: one is gone or altered."""
        found = self.read()
        if lost := self._lost(found):
            path = self.path.parent / lost[0]
            raise RequestError(f"{path}: not the file that was recorded; `fuse2task bench run` makes it again")
        return [self.path.parent / name for name in _files(found)]

    def write(self, files: Iterable[Path], more: Mapping[str, Any] | None = None) -> None:
        """Record the result. files: what it consists of, beside or below the record; more: what else the file says."""
        folder = self.path.parent
        found = {path.relative_to(folder).as_posix(): file_digest(path) for path in sorted(files)}
        write_json(self.path, {**(more or {}), "made_of": self.made_of, "files": found}, sort_keys=not more)

    def remove(self) -> None:
        """Call before the result is made again."""
        self.path.unlink(missing_ok=True)

    def _lost(self, found: Mapping[str, Any]) -> list[str]:
        """Names of files that are gone or altered."""
        return [name for name, before in _files(found).items() if not _is(self.path.parent / name, before)]


def _files(found: Mapping[str, Any]) -> dict[str, Any]:
    files = found.get("files")
    return files if isinstance(files, dict) else {}


def _is(path: Path, before: Any) -> bool:
    # Records of former versions have sizes.
    return path.is_file() and before == (path.stat().st_size if isinstance(before, int) else file_digest(path))


def _content(value: Any) -> Any:
    if not isinstance(value, Path):
        return value
    return weights_digest(value) if value.is_file() else None


def training_inputs(recipe: Mapping[str, Any], data: Any) -> dict[str, Any]:
    """What a training is made of: its recipe, files by content, and as `dataset` JSON on what the data holds."""
    decisive = {key: value for key, value in recipe.items() if key not in ("data", *NOT_DECISIVE)}
    return {**by_content(decisive), "dataset": data}


def kept_recipe(run: Path) -> dict[str, Any]:
    """The resolved recipe that a run folder was begun with. RequestError: recipe.yaml is missing or is no recipe."""
    path = run / "recipe.yaml"
    recipe = read_yaml(path, "recipe of a run")
    if not isinstance(recipe, dict):
        raise RequestError(f"{path}: not the recipe of a run; give another -o, or remove the folder")
    return recipe


def card_record(run: Path, made_of: Mapping[str, Any]) -> Record:
    """The card of a run folder as the record of what it was trained on and by."""
    return Record(run / "card.json", made_of)
