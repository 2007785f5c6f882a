"""What a result was made of and which files it consists of: written when it is done, compared before it is used."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import read_json, write_json


class Record:
    """A JSON file in the folder of a result.

    made_of: names and hashes, or JSON values, of all that it depends on; None for what is not there any more (fused
    images and trained judges may be removed when they have served), which keeps no result from being used.
    """

    def __init__(self, path: Path, made_of: Mapping[str, Any]):
        self.path, self.made_of = path, dict(made_of)

    def differing(self) -> list[str]:
        """Why the result cannot be used: names of inputs that are others now, and of files that are gone or cut."""
        if not self.path.is_file():
            return ["not done"]
        found = read_json(self.path, "record of a result")
        before, files = (found.get(key) if isinstance(found, dict) else None for key in ("made_of", "files"))
        if not isinstance(before, dict) or not isinstance(files, dict):
            return ["recorded by a former version"]
        names = [
            name
            for name in {**before, **self.made_of}
            if self.made_of.get(name, "") is not None and before.get(name) != self.made_of.get(name)
        ]
        return names + [name for name, size in files.items() if _size(self.path.parent / name) != size]

    def recorded(self, name: str) -> dict[str, Any]:
        """The mapping that was recorded under a name; empty where there is no record, or none of this version."""
        found = read_json(self.path, "record of a result") if self.path.is_file() else None
        made_of = found.get("made_of") if isinstance(found, dict) else None
        value = made_of.get(name) if isinstance(made_of, dict) else None
        return value if isinstance(value, dict) else {}

    def files(self) -> list[Path]:
        """The recorded files of the result. RequestError: one is gone or cut."""
        found = read_json(self.path, "record of a result") if self.path.is_file() else {}
        files = found.get("files") if isinstance(found, dict) else None
        paths = {self.path.parent / name: size for name, size in files.items()} if isinstance(files, dict) else {}
        for path, size in paths.items():
            if _size(path) != size:
                raise RequestError(f"{path}: not the file that was recorded; `fuse2task bench run` makes it again")
        return list(paths)

    def write(self) -> None:
        """Record the result, which is all that lies beside and below the record but for other records."""
        folder = self.path.parent
        found = (path for path in sorted(folder.rglob("*")) if path.is_file() and not _is_record(path))
        files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in found}
        write_json(self.path, {"made_of": self.made_of, "files": files})

    def remove(self) -> None:
        """Call before the result is made again."""
        self.path.unlink(missing_ok=True)


PREDICTED, EVALUATED = "predicted.json", "evaluated.json"


def _is_record(path: Path) -> bool:
    return path.name in (PREDICTED, EVALUATED)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
