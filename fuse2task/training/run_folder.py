"""The folder of a training run: recipe.yaml, log.csv, samples/, checkpoints, resume/, card.json."""

import contextlib
import csv
import io
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import read_json, remove_leftovers, write_json, write_text
from fuse2task.runtime.locks import make_folder, sole_writer
from fuse2task.runtime.reading import read_csv, read_yaml

NOT_DECISIVE = ("device", "workers")
SCRATCH = "kept"  # what a run can make again at any time
_LOCK = ".lock"


def kept_recipe(root: Path) -> dict[str, Any]:
    """The resolved recipe that a run folder was begun with.

    Raises:
        RequestError: recipe.yaml is missing or is no recipe.
    """
    path = root / "recipe.yaml"
    recipe = read_yaml(path, "recipe of a run")
    if not isinstance(recipe, dict):
        raise RequestError(f"{path}: not the recipe of a run; give another -o, or remove the folder")
    return recipe


def forget(root: Path) -> None:
    """Remove the scratch folder of the run in `root`."""
    shutil.rmtree(root / SCRATCH, ignore_errors=True)


class RunFolder:
    """A run folder bound to its resolved recipe (a plain mapping of JSON values).

    Opening an existing folder continues it; the recipe must be the same but for device and workers. It is written
    within `held`.

    Raises:
        RequestError: the folder holds a run of another recipe, one that cannot be read, or files that are no run.
    """

    def __init__(self, root: Path, recipe: Mapping[str, Any]):
        self.root = Path(root)
        self.samples, self.resume = self.root / "samples", self.root / "resume"
        self.best, self.last = self.root / "best.safetensors", self.root / "last.safetensors"
        self._log, self._card = self.root / "log.csv", self.root / "card.json"
        self._kept, self._recipe = self.root / "recipe.yaml", dict(recipe)
        self._check()

    @contextlib.contextmanager
    def held(self, main: bool = True) -> Iterator[None]:
        """Be the folder's only writer in the block; of a run's several processes the main one is.

        What a killed run left half-written is removed.

        Raises:
            Fuse2TaskError: another run is writing the folder.
            RequestError: as for the class.
        """
        if not main:
            yield
            return
        with sole_writer(self.root, self.root / _LOCK):
            self._check()
            remove_leftovers(self.root)
            forget(self.root)  # its sources may have changed since
            if not self._kept.is_file():
                write_text(self._kept, yaml.safe_dump(self._recipe, sort_keys=False))
            for folder in (self.samples, self.resume):
                make_folder(folder)
            yield

    @property
    def is_begun(self) -> bool:
        """Whether the folder is there, with its recipe."""
        return self._kept.is_file()

    @property
    def finished(self) -> bool:
        """Whether the run has ended well (its card is there)."""
        return self._card.is_file()

    def card(self) -> dict[str, Any]:
        """The card of a finished run."""
        return read_json(self._card, "run card")

    def finish(self, card: Mapping[str, Any]) -> None:
        """Remove the scratch folder and write the card, which marks the run as finished."""
        forget(self.root)
        write_json(self._card, dict(card))

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one row to log.csv; a column that is new is added to the rows before it as empty."""
        self._write([*self.rows(), {key: str(value) for key, value in row.items()}])

    def rows(self) -> list[dict[str, str]]:
        """The rows of log.csv as texts.

        Raises:
            RequestError: the file is damaged.
        """
        return read_csv(self._log, "log")[1] if self._log.is_file() else []

    def keep_rows(self, count: int) -> None:
        """Cut log.csv to its first `count` rows: what a killed run logged after its last saved state goes."""
        rows = self.rows()
        if len(rows) > count:
            self._write(rows[:count])

    def _write(self, rows: list[dict[str, str]]) -> None:
        if not rows:
            self._log.unlink()
            return
        columns = list(dict.fromkeys(key for row in rows for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self._log, text.getvalue())

    def _check(self) -> None:
        if not self._kept.is_file():
            if self.root.is_dir() and any(not self._is_beginning(path.name) for path in self.root.iterdir()):
                raise RequestError(f"{self.root}: not empty and not a run folder; give another -o")
            return
        before, recipe = kept_recipe(self.root), self._recipe
        differing = [
            key for key in {**before, **recipe} if key not in NOT_DECISIVE and before.get(key) != recipe.get(key)
        ]
        if differing:
            raise RequestError(
                f"{self.root}: holds a run of another recipe (different: {', '.join(map(str, differing))}); "
                "give another -o, or remove the folder"
            )

    def _is_beginning(self, name: str) -> bool:
        # What a run leaves that is killed before its recipe is written.
        return name == _LOCK or (name.startswith(f".{self._kept.name}.") and name.endswith(".tmp"))
