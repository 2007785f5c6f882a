"""The folder of a training run: recipe.yaml, log.csv, samples/, checkpoints, resume/, card.json."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import read_json, remove_leftovers, write_json, write_text

NOT_DECISIVE = ("device", "workers")


class RunFolder:
    """A run folder bound to its resolved recipe (a plain mapping of JSON values).

    Opening an existing folder continues it; the recipe must be the same but for device and workers.

    Raises:
        RequestError: the folder holds a run of another recipe, or files that are no run.
    """

    def __init__(self, root: Path, recipe: Mapping[str, Any]):
        self.root = Path(root)
        self.samples, self.resume = self.root / "samples", self.root / "resume"
        self.best, self.last = self.root / "best.safetensors", self.root / "last.safetensors"
        self._log, self._card = self.root / "log.csv", self.root / "card.json"
        kept = self.root / "recipe.yaml"
        remove_leftovers(self.root)
        if kept.is_file():
            self._compare(kept, recipe)
        elif self.root.is_dir() and any(self.root.iterdir()):
            raise RequestError(f"{self.root}: not empty and not a run folder; give another -o")
        else:
            write_text(kept, yaml.safe_dump(dict(recipe), sort_keys=False))
        for folder in (self.samples, self.resume):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def finished(self) -> bool:
        """Whether the run has ended well (its card is there)."""
        return self._card.is_file()

    def card(self) -> dict[str, Any]:
        """The card of a finished run."""
        return read_json(self._card, "run card")

    def finish(self, card: Mapping[str, Any]) -> None:
        """Write the card, which marks the run as finished."""
        write_json(self._card, dict(card))

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one row to log.csv; a column that is new is added to the rows before it as empty."""
        self._write([*self.rows(), {key: str(value) for key, value in row.items()}])

    def rows(self) -> list[dict[str, str]]:
        """The rows of log.csv as texts."""
        if not self._log.is_file():
            return []
        with self._log.open(newline="", encoding="utf-8") as handle:
            return list(csv.DictReader(handle))

    def keep_rows(self, count: int) -> None:
        """Cut log.csv to its first `count` rows: what a killed run logged after its last saved state goes."""
        rows = self.rows()
        if len(rows) > count:
            self._write(rows[:count])

    def _write(self, rows: list[dict[str, str]]) -> None:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self._log, text.getvalue())

    def _compare(self, kept: Path, recipe: Mapping[str, Any]) -> None:
        before = yaml.safe_load(kept.read_text("utf-8")) or {}
        differing = [
            key for key in {**before, **recipe} if key not in NOT_DECISIVE and before.get(key) != recipe.get(key)
        ]
        if differing:
            raise RequestError(
                f"{self.root}: holds a run of another recipe (different: {', '.join(differing)}); "
                "give another -o, or remove the folder"
            )
