"""Journals of interrupted work: one JSON line with a checksum for each finished item."""

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any, Self

from fuse2task.runtime.errors import RequestError, write_failure
from fuse2task.runtime.files import bytes_digest
from fuse2task.runtime.locks import check_held, make_folder

_MARK = b', "check": '  # the last key of every line: a checksum of the row without it


def journal_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a journal in the order of writing; none without a file.

    A line that a kill cut short, or that does not agree with its checksum, is skipped: its work is done again.

    Raises:
        RequestError: the file cannot be read.
    """
    try:
        data = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({error.strerror}); remove it to redo its work") from None
    rows = []
    for line in data.splitlines():
        text, mark, digest = line.rpartition(_MARK)
        if mark and digest == _checksum(text + b"}"):
            rows.append(json.loads(text + b"}"))
    return rows


class JournalWriter:
    """Appends rows to a journal, from any thread; each is on its way to the disk when `append` returns."""

    def __init__(self, path: Path):
        make_folder(path.parent)
        torn = _is_torn(path)
        self._path, self._lock = path, threading.Lock()
        self._file = path.open("a", encoding="utf-8")
        if torn:  # so that the next row is not appended to the rest of a killed one, and lost with it
            self._file.write("\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # of a row that could not be written, which `append` has reported
            self._file.close()

    def append(self, row: dict[str, Any]) -> None:
        """Add a row, which has at least one key.

        Raises:
            Fuse2TaskError: no space left, or the folder was removed in the meantime.
        """
        check_held(self._path)
        text = json.dumps(row).encode()
        line = text[:-1] + _MARK + _checksum(text)
        with self._lock:
            try:
                self._file.write(line.decode() + "\n")
                self._file.flush()
            except OSError as error:
                raise write_failure(error, self._path, self._path) or error from error


def _checksum(text: bytes) -> bytes:
    return f'"{bytes_digest(text)[:16]}"}}'.encode()


def _is_torn(path: Path) -> bool:
    if not (path.is_file() and path.stat().st_size):
        return False
    with path.open("rb") as handle:
        handle.seek(-1, os.SEEK_END)
        return handle.read() != b"\n"
