"""The journal of a fused dataset in the making: one row for each pair that lies on disk."""

from pathlib import Path
from typing import Any

from fuse2task.runtime.journal import JournalWriter, journal_rows
from fusion.shard import Shard


class FusedJournal(JournalWriter):
    """Rows of the pairs that are done, by any shard; new ones go to the file of this shard, from any thread."""

    def __init__(self, folder: Path, shard: Shard):
        self.rows: dict[str, dict[str, Any]] = {
            row["id"]: row for path in sorted(folder.glob("journal-*.jsonl")) for row in journal_rows(path)
        }
        super().__init__(folder / f"journal-{shard.index}-of-{shard.count}.jsonl")
