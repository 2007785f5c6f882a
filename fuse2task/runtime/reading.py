"""Reading what others wrote: regular files of a bounded size, UTF-8, every failure one readable message."""

import os
import stat
from pathlib import Path

from fuse2task.runtime.errors import RequestError

MAX_TEXT = 64 * 2**20  # bytes of a list, a label file or a table
MAX_JSON = 512 * 2**20  # bytes; COCO's own largest annotation file has 450 MB


def check_regular(path: Path, what: str, limit: int | None = None) -> None:
    """Refuse what would block or never end when it is read: pipes, devices, folders, too large files.

    Raises:
        RequestError: missing, not a regular file, more than `limit` bytes; `what` names its role in the message.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise RequestError(f"{path}: no such {what}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        reason = getattr(error, "strerror", None) or error
        raise RequestError(f"{path}: not a usable {what} ({reason}); give a regular file") from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, device or socket"
        raise RequestError(f"{path}: {kind}, but a regular file is needed as {what}")
    if limit is not None and found.st_size > limit:
        raise RequestError(f"{path}: {found.st_size} bytes; a {what} has at most {limit}; is it the right file?")


def read_text(path: Path, what: str, limit: int = MAX_TEXT) -> str:
    """The text of a UTF-8 file, with or without byte order mark.

    Raises:
        RequestError: as `check_regular`; unreadable, or not UTF-8.
    """
    check_regular(path, what, limit)
    try:
        return Path(path).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{path}: not a readable {what} (UTF-8 text expected): {error}") from None


def one_line(error: object, most: int = 300) -> str:
    """The text of another library's error on one line, cut to `most` characters; its type where it says nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[:most]} ..."
