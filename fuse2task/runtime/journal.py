"""What interrupted work has done already: a JSON line each, appended as it is done."""

import json
import threading
from pathlib import Path
from typing import Any, Self


def journal_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a journal in the order of writing, without a line that a kill cut short; none without a file."""
    rows = []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


class JournalWriter:
    """Appends rows to a journal, from any thread; each is on its way to the disk when `append` returns."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        torn = path.is_file() and not path.read_bytes().endswith(b"\n")
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8")
        if torn:  # lest the next row is glued to what a kill left, and lost with it
            self._file.write("\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, row: dict[str, Any]) -> None:
        """Add a row."""
        with self._lock:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
