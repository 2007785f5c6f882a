"""Hashes that name data: the first 12 hex digits of sha256 unless a whole digest is asked for."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fuse2task.runtime.errors import RequestError


def file_digest(path: Path) -> str:
    """The whole sha256 of a file's bytes, in hex.

    Raises:
        RequestError: missing or unreadable.
    """
    try:
        with Path(path).open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({error.strerror}); put the file there, or replace it") from None


def bytes_digest(data: bytes) -> str:
    """The whole sha256 of `data`, in hex."""
    return hashlib.sha256(data).hexdigest()


def lines_hash(lines: Iterable[str]) -> str:
    """First 12 hex digits of sha256 over the sorted lines, each ended by a newline."""
    text = "".join(f"{line}\n" for line in sorted(lines))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]


def value_hash(value: Any) -> str:
    """First 12 hex digits of sha256 over `value` as canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]
