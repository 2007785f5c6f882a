"""Errors that a user sees: exit codes, lists of problems, failures of the machine in words."""

import errno
import re
from collections.abc import Iterable
from pathlib import Path

AGAIN = "then run the same command again to resume"
_FILE_ERRORS = {
    errno.ENOSPC: f"no space left on the device; free some, {AGAIN}",
    errno.EDQUOT: f"the disk quota is used up; free some space, {AGAIN}",
    errno.EFBIG: f"the file is larger than the system allows (ulimit -f); raise the limit, {AGAIN}",
    errno.EROFS: "the file system is read-only; choose another output",
    errno.EACCES: "permission denied; fix the permissions, or choose another path",
    errno.EPERM: "not permitted; fix the permissions, or choose another path",
    errno.ENOENT: "no such file or folder, or removed while it was in use; put it back, or run the same command again",
    errno.EEXIST: "a file lies where a folder is needed; move it away, or choose another output",
    errno.ENOTDIR: "a file lies where a folder is needed; move it away, or choose another output",
    errno.EMFILE: f"too many open files; raise the limit (ulimit -n), {AGAIN}",
    errno.EIO: f"the device failed while reading or writing; check the disk, {AGAIN}",
    errno.ESTALE: f"the network folder went away; mount it again, {AGAIN}",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter output path",
}
_DEAD_WORKER = "a worker process died (killed, or out of memory); lower workers or the batch if memory is short"


class Fuse2TaskError(Exception):
    """The work failed. The message is one readable text that names the file and the fix."""

    exit_code = 1

    def __str__(self) -> str:
        # Names of files and classes may hold anything: what would move a terminal's cursor is shown escaped.
        return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in super().__str__())


class RequestError(Fuse2TaskError):
    """The request was wrong: bad file, bad recipe, mismatched pairs."""

    exit_code = 2


def listing(problems: Iterable[str], limit: int = 20) -> str:
    """Problems as indented lines, at most `limit` of them, then how many more there are."""
    problems = list(problems)
    lines = [f"  {problem}" for problem in problems[:limit]]
    if len(problems) > limit:
        lines.append(f"  ... and {len(problems) - limit} more")
    return "\n".join(lines)


def explain(error: BaseException, path: Path | None = None) -> str:
    """One line for an error that is none of ours; `path`: the file concerned, where the error does not name it."""
    text = str(error).strip()
    # Tensors come from loading processes through sockets.
    lost = isinstance(error, ConnectionError | EOFError) or re.search(r"DataLoader worker .*", text)
    if lost or type(error).__name__ in ("BrokenProcessPool", "BrokenThreadPool"):
        return f"{_DEAD_WORKER}, {AGAIN}"
    if isinstance(error, OSError) and error.errno is not None:
        place = error.filename if error.filename is not None else path
        reason = _FILE_ERRORS.get(error.errno, f"{error.strerror}; fix it, {AGAIN}")
        return reason if place is None else f"{place}: {reason}"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"out of memory; lower the batch or the image size, or free memory, {AGAIN}"
    first = text.splitlines()[0] if text else ""
    return f"unexpected {type(error).__name__}: {first} (run again with --debug to see where)"


def write_failure(error: Exception, written: Path, path: Path) -> Fuse2TaskError | None:
    """The readable failure of writing `written` on behalf of `path`; None for an error of another kind. torch and
    safetensors report a full disk as errors of their own."""
    if isinstance(error, OSError):
        if error.errno is None or (error.filename is not None and Path(error.filename) != Path(written)):
            return None
        return Fuse2TaskError(explain(OSError(error.errno, error.strerror), path))
    if number := re.search(r"\(os error (\d+)\)", str(error)):
        return Fuse2TaskError(explain(OSError(int(number[1]), "cannot be written"), path))
    if re.search(r"PytorchStreamWriter|basic_ios|file write failed", str(error)):
        return Fuse2TaskError(f"{path}: cannot be written, the disk is probably full; free some space, {AGAIN}")
    return None
