"""Atomic file writing: a file is either the old one, the new one or absent, never half of one."""

import contextlib
import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from fuse2task.runtime.errors import RequestError


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed onto it when the block ends well, removed when it does not.

    The temporary name starts with a dot and ends in `.tmp`, so that no image reader takes it for data.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically, making parent folders."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path` atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any, sort_keys: bool = True) -> None:
    """Write `value` as indented JSON; NaN and infinities are refused (ValueError).

    sort_keys=False keeps the order of the keys where it says something, such as class order.
    """
    write_text(path, json.dumps(value, indent=2, sort_keys=sort_keys, allow_nan=False) + "\n")


def read_json(path: Path, what: str) -> Any:
    """Parse the JSON file `path`.

    Raises:
        RequestError: the file is missing, not UTF-8 or not JSON; `what` names its role in the message.
    """
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except FileNotFoundError:
        raise RequestError(f"{path}: no such {what}") from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, not JSON, endless digits
        raise RequestError(f"{path}: not a readable {what} (JSON expected): {error}") from None


def remove_leftovers(folder: Path, stems: Collection[str] | None = None) -> None:
    """Remove the temporary files that a killed run left in `folder` and below for files of these stems.

    Where other processes, on this host or another, may be writing theirs into `folder`, the stems must be the
    caller's alone; None, for a folder of one's own, means all.
    """
    for leftover in Path(folder).rglob(".*.tmp"):
        target = leftover.name[1:].rsplit(".", 2)[0]  # .NAME.PID.tmp
        if stems is None or Path(target).stem in stems:
            leftover.unlink(missing_ok=True)
