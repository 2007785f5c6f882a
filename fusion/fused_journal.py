"""The journal of a fused dataset in the making: one JSON row for each pair that lies on disk."""

import json
import threading
from pathlib import Path
from typing import Any

from fusion.shard import Shard


class FusedJournal:
    """Rows of the pairs that are done, by any shard; new ones go to the file of this shard, from any thread."""

    def __init__(self, folder: Path, shard: Shard):
        self.rows = _read(folder)
        path = folder / f"journal-{shard.index}-of-{shard.count}.jsonl"
        torn = path.is_file() and not path.read_bytes().endswith(b"\n")
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8")
        if torn:
            self._file.write("\n")

    def __enter__(self) -> "FusedJournal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, row: dict[str, Any]) -> None:
        """Add the row of a pair whose files are in place."""
        with self._lock:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()


def _read(folder: Path) -> dict[str, dict[str, Any]]:
    rows = {}
    for path in sorted(folder.glob("journal-*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:  # the line that a kill cut short
                continue
            rows[row["id"]] = row
    return rows
