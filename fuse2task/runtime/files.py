"""Files: atomic writing (the old content, the new one or none, never half of one), JSON, hashes, journals."""

import contextlib
import glob
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from fuse2task.runtime.errors import RequestError, write_failure
from fuse2task.runtime.locks import check_held, make_folder, sole_writer
from fuse2task.runtime.reading import MAX_JSON, read_text

_MARK = b', "check": '  # the last key of every line: a checksum of the row without it


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed onto it when the block ends well, removed when it does not. The temporary
    name starts with a dot and ends in `.tmp`, so that no image reader takes it for data. Fuse2TaskError, which names
    `path`: no space left, a folder that was removed in the meantime, or the like."""
    path = Path(path)
    check_held(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        make_folder(path.parent)
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except Exception as error:
        failure = write_failure(error, temporary, path)
        if failure is None:
            raise
        raise failure from error
    finally:
        with contextlib.suppress(OSError):  # what is wrong with the folder has been reported
            temporary.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically, making parent folders."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path` atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any, sort_keys: bool = True) -> None:
    """Write `value` as indented JSON; NaN and infinities are refused (ValueError). sort_keys=False keeps the order of
    the keys where it says something, such as class order."""
    write_text(path, json.dumps(value, indent=2, sort_keys=sort_keys, allow_nan=False) + "\n")


def read_json(path: Path, what: str) -> Any:
    """Parse the JSON file `path`.

    Raises:
        RequestError: the file is missing, no regular file, not UTF-8 or not JSON, or an object has a key twice; `what`
            names its role in the message.
    """
    text = read_text(path, what, MAX_JSON)
    try:
        return json.loads(text, object_pairs_hook=_no_key_twice)
    except (ValueError, RecursionError) as error:  # ValueError: not JSON, endless digits
        raise RequestError(f"{path}: not a readable {what} (JSON expected): {error}") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice in an object")
    return found


def refuse_overlap(output: Path, *inputs: Path | None) -> None:
    """Call before any work with what is read: an output must not be, hold or lie in an input; links are followed.

    RequestError: it is a file or folder of `inputs` by whatever spelling or link, lies in such a folder, or holds one.
    """
    place = Path(os.path.realpath(output))
    for given in inputs:
        if given is None:
            continue
        source = Path(os.path.realpath(given))
        same = os.path.exists(place) and os.path.exists(source) and os.path.samefile(place, source)
        if same or place == source:
            raise RequestError(f"{output}: is the input {given}, which would be overwritten; give another -o")
        if place.is_relative_to(source) or source.is_relative_to(place):
            raise RequestError(f"{output}: it and the input {given} lie in one another; give another -o")


@contextlib.contextmanager
def sole_file(path: Path) -> Iterator[None]:
    """Be the only process that writes the file `path` in the block; what killed ones left of it is removed.
    Fuse2TaskError: another process is writing it."""
    path = Path(path)
    with sole_writer(path, path.with_name(f".{path.name}.lock")):
        remove_halves(path)
        yield


def remove_halves(path: Path) -> None:
    """Remove what killed processes left of writes of `path`, which no other process may be writing now."""
    for leftover in Path(path).parent.glob(f".{glob.escape(Path(path).name)}.*.tmp"):
        leftover.unlink(missing_ok=True)


def remove_leftovers(folder: Path, stems: Collection[str] | None = None) -> None:
    """Remove the temporary files that a killed run left in `folder` and below for files of these stems. Where other
    processes, on this host or another, may be writing theirs into `folder`, the stems must be the caller's alone; None,
    for a folder of one's own, means all."""
    for leftover in Path(folder).rglob(".*.tmp"):
        target = leftover.name[1:].rsplit(".", 2)[0]  # .NAME.PID.tmp
        if stems is None or Path(target).stem in stems:
            leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def filling(folder: Path, plan: Any, refuse: Callable[[], None]) -> Iterator[None]:
    """Fill `folder` as its sole writer; `.fuse2task/plan.json` in it stays if the block does not end well.

    refuse: raises where the folder holds something else than the beginning of `plan`.
    """
    work = folder / ".fuse2task"
    refuse_links(folder)
    refuse()
    with sole_writer(folder, work / "lock"):
        refuse()  # again: another process may have been quicker
        remove_leftovers(folder)
        write_json(work / "plan.json", plan)
        yield
        (work / "plan.json").unlink()
    with contextlib.suppress(OSError):  # another process waits for the lock there
        work.rmdir()


_SETTLED = 2 * 10**9  # ns after which a file's times tell whether it was written again
_digests: dict[tuple[int, ...], str] = {}


def file_digest(path: Path) -> str:
    """The whole sha256 of a file's bytes, in hex; not read again in this process while inode, size and times are equal.

    The time of change counts, which no program can set back. RequestError: missing or unreadable.
    """
    try:
        with Path(path).open("rb") as handle:
            found = os.fstat(handle.fileno())
            key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            if key not in _digests:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
                if time.time_ns() - found.st_ctime_ns < _SETTLED:
                    return digest
                _digests[key] = digest
            return _digests[key]
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({error.strerror}); put the file there, or replace it") from None


def by_content(values: Any) -> Any:
    """JSON values (a recipe, say) with the digest of a file in place of every path of one.

    What a result is made of is compared by this, so that no list of the settings that name files has to be kept.
    """
    if isinstance(values, Mapping):
        return {key: by_content(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [by_content(value) for value in values]
    is_path = isinstance(values, str) and 0 < len(values) < 4096 and "\0" not in values
    return weights_digest(Path(values)) if is_path and os.path.isfile(values) else values


def weights_digest(path: Path) -> str:
    """`file_digest`, for an ONNX file whose tensors lie in files beside it of all of them."""
    path = Path(path)
    digest, beside = file_digest(path), []
    if path.suffix.lower() == ".onnx":
        beside = sorted(other for other in path.parent.glob(f"{glob.escape(path.stem)}*.data") if other.is_file())
    return bytes_digest("".join([digest, *map(file_digest, beside)]).encode()) if beside else digest


def refuse_links(root: Path) -> None:
    """Call before reading or writing a folder that may come from somebody else.

    RequestError: a link below `root` leads out of it.
    """
    inside = os.path.realpath(root)
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = os.path.join(folder, name)
            if os.path.islink(path) and os.path.commonpath([inside, os.path.realpath(path)]) != inside:
                raise RequestError(f"{path}: a link that leads out of {root}; put the file itself there, or remove it")


def bytes_digest(data: bytes) -> str:
    """The whole sha256 of `data`, in hex."""
    return hashlib.sha256(data).hexdigest()


def lines_hash(lines: Iterable[str]) -> str:
    """Name of data: the first 12 hex digits of sha256 over the sorted lines, each ended by a newline."""
    return bytes_digest("".join(f"{line}\n" for line in sorted(lines)).encode())[:12]


def value_hash(value: Any) -> str:
    """Name of data: the first 12 hex digits of sha256 over `value` as canonical JSON (sorted keys, no spaces)."""
    return bytes_digest(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())[:12]


def journal_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a journal in the order of writing; none without a file. RequestError: it cannot be read. A line that
    a kill cut short, or that does not agree with its checksum, is skipped: its work is done again."""
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
    """Appends rows to a journal of interrupted work, one JSON line with a checksum for each finished item. From any
    thread; a row is on its way to the disk when `append` returns."""

    def __init__(self, path: Path):
        make_folder(path.parent)
        self._path, self._lock = path, threading.Lock()
        self._file = path.open("a+b")
        if self._file.tell():
            self._file.seek(-1, os.SEEK_END)
            if self._file.read() != b"\n":  # or the next row would be appended to a killed one, and lost with it
                self._file.write(b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # of a row that could not be written, which `append` has reported
            self._file.close()

    def append(self, row: dict[str, Any]) -> None:
        """Add a row, which has at least one key. Fuse2TaskError: no space left, or the folder was removed."""
        check_held(self._path)
        text = json.dumps(row).encode()
        with self._lock:
            try:
                self._file.write(text[:-1] + _MARK + _checksum(text) + b"\n")
                self._file.flush()
            except OSError as error:
                raise write_failure(error, self._path, self._path) or error from error


def _checksum(text: bytes) -> bytes:
    return f'"{bytes_digest(text)[:16]}"}}'.encode()
