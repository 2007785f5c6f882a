"""What methods and judges with weights identify themselves by, kept beside the results: to find it, networks have to be
loaded, and a bench folder in which nothing has changed is to answer without."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from fuse2task.results.schema import BenchFolder
from fuse2task.runtime.compute import machine_hash
from fuse2task.runtime.files import by_content, read_json, value_hash, write_json
from fuse2task.runtime.packages import source_hash, versions_hash

Identity = TypeVar("Identity")


class Identities:
    """identities.json of a bench folder: hash of all that decides about an identity -> the identity.

    What decides is the caller's inputs, files by content, and besides them packages, our own source and the machine,
    whose device and precision may be part of an identity. Nothing is written before `save`.
    """

    def __init__(self, at: BenchFolder):
        self._at = at
        self._used: dict[str, Any] = {}

    def find(self, inputs: Mapping[str, Any], kind: type[Identity], make: Callable[[], Identity]) -> Identity:
        """The identity, of JSON values, that `make` gives for these inputs, which name files by their paths."""
        key, adapter = value_hash({"inputs": by_content(inputs), "by": self._by}), TypeAdapter(kind)
        found = self._used.get(key, self._before.get(key))
        try:
            identity = adapter.validate_python(found)
        except ValidationError:  # there is none, or the file is damaged
            identity = make()
        self._used[key] = adapter.dump_python(identity, mode="json")
        return identity

    def save(self) -> None:
        """Write what has been used, and nothing else, where that is not what the file holds."""
        if self._used != self._before:
            with self._at.lock("identities"):
                write_json(self._at.entries("identities"), self._used)

    @cached_property
    def _by(self) -> list[str]:
        return [versions_hash(), source_hash(), machine_hash()]

    @cached_property
    def _before(self) -> dict[str, Any]:
        path: Path = self._at.entries("identities")
        found = read_json(path, "file of the bench") if path.is_file() else {}
        return found if isinstance(found, dict) else {}
