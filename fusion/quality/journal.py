"""What an interrupted scoring has done already."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO


class Journal:
    """Scored images beside the table that is being made, a JSON line each, for one set of definitions (`key`).

    rows: scores by method and image.
    """

    def __init__(self, out: Path, key: str):
        self.path = out.with_name(f".{out.name}.journal.jsonl")
        self.key = key
        self.rows: dict[tuple[str, str], dict[str, float]] = {}
        self._inputs: dict[tuple[str, str], list[str]] = {}
        self._handle: TextIO | None = None

    def __enter__(self) -> "Journal":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.is_file():
            for line in self.path.read_text("utf-8").splitlines():
                try:
                    item = json.loads(line)
                except json.JSONDecodeError:  # the line that a kill cut short
                    continue
                if item["key"] == self.key:
                    self._inputs[item["method"], item["image"]] = item["inputs"]
                    self.rows[item["method"], item["image"]] = item["scores"]
        self._handle = self.path.open("a", encoding="utf-8")
        self._handle.write("\n")  # ends such a line
        return self

    def __exit__(self, _kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        assert self._handle is not None
        self._handle.close()

    def holds(self, method: str, image: str, inputs: Sequence[str]) -> bool:
        """Whether there are scores of the same three files (their digests)."""
        return self._inputs.get((method, image)) == list(inputs)

    def add(self, method: str, image: str, inputs: Sequence[str], scores: dict[str, float]) -> None:
        """Keep one image's scores."""
        assert self._handle is not None
        self.rows[method, image], self._inputs[method, image] = scores, list(inputs)
        item = {"key": self.key, "method": method, "image": image, "inputs": list(inputs), "scores": scores}
        self._handle.write(json.dumps(item) + "\n")
        self._handle.flush()

    def remove(self) -> None:
        """The table is written: the journal goes."""
        self.path.unlink(missing_ok=True)
