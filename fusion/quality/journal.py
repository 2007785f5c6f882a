"""What an interrupted scoring has done already."""

from collections.abc import Sequence
from pathlib import Path

from fuse2task.runtime.journal import JournalWriter, journal_rows


class Journal(JournalWriter):
    """Scored images beside the table that is being made, for one set of definitions (`key`).

    rows: scores by method and image.
    """

    def __init__(self, out: Path, key: str):
        self.path, self.key = out.with_name(f".{out.name}.journal.jsonl"), key
        kept = {(row["method"], row["image"]): row for row in journal_rows(self.path) if row["key"] == key}
        self.rows: dict[tuple[str, str], dict[str, float]] = {at: row["scores"] for at, row in kept.items()}
        self._inputs: dict[tuple[str, str], list[str]] = {at: row["inputs"] for at, row in kept.items()}
        super().__init__(self.path)

    def holds(self, method: str, image: str, inputs: Sequence[str]) -> bool:
        """Whether there are scores of the same three files (their digests)."""
        return self._inputs.get((method, image)) == list(inputs)

    def add(self, method: str, image: str, inputs: Sequence[str], scores: dict[str, float]) -> None:
        """Keep one image's scores."""
        self.rows[method, image], self._inputs[method, image] = scores, list(inputs)
        self.append({"key": self.key, "method": method, "image": image, "inputs": list(inputs), "scores": scores})

    def remove(self) -> None:
        """The table is written: the journal goes."""
        self.path.unlink(missing_ok=True)
