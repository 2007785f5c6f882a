"""Failures of the machine in words: what happened to which file, and what mends it."""

import errno
import re
from pathlib import Path

from fuse2task.runtime.errors import Fuse2TaskError

AGAIN = "then run the same command again to go on"
_OF_FILES = {
    errno.ENOSPC: f"no space left on the device; free some, {AGAIN}",
    errno.EDQUOT: f"the disk quota is used up; free some space, {AGAIN}",
    errno.EFBIG: f"the file is larger than the system allows (ulimit -f); raise the limit, {AGAIN}",
    errno.EROFS: "the file system is read-only; choose another output",
    errno.EACCES: "permission denied; mend the permissions, or choose another path",
    errno.EPERM: "not permitted; mend the permissions, or choose another path",
    errno.ENOENT: "no such file or folder, or removed while it was in use; put it back, or run the same command again",
    errno.EEXIST: "a file lies where a folder is needed; move it away, or choose another output",
    errno.ENOTDIR: "a file lies where a folder is needed; move it away, or choose another output",
    errno.EMFILE: f"too many open files; raise the limit (ulimit -n), {AGAIN}",
    errno.EIO: f"the device failed while reading or writing; look at the disk, {AGAIN}",
    errno.ESTALE: f"the network folder went away; mount it again, {AGAIN}",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter output path",
}
_DEAD_WORKER = (
    "a worker process died (killed, or out of memory); lower workers or the batch if memory is short, " + AGAIN
)


def explain(error: BaseException, path: Path | None = None) -> str:
    """One line for an error that is none of ours; `path`: the file concerned, where the error does not name it."""
    text = str(error).strip()
    # Tensors come from loading processes through sockets.
    lost = isinstance(error, ConnectionError | EOFError) or re.search(r"DataLoader worker .*", text)
    if lost or type(error).__name__ in ("BrokenProcessPool", "BrokenThreadPool"):
        return _DEAD_WORKER
    if isinstance(error, OSError) and error.errno is not None:
        place = error.filename if error.filename is not None else path
        told = _OF_FILES.get(error.errno, f"{error.strerror}; mend it, {AGAIN}")
        return told if place is None else f"{place}: {told}"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"out of memory; lower the batch or the image size, or free memory, {AGAIN}"
    first = text.splitlines()[0] if text else ""
    return f"unexpected {type(error).__name__}: {first} (run again with --debug to see where)"


def write_failure(error: Exception, written: Path, path: Path) -> Fuse2TaskError | None:
    """The readable failure of writing `written` on behalf of `path`; None for an error that does not stand for one.

    torch and safetensors report a full disk as errors of their own.
    """
    if isinstance(error, OSError):
        if error.errno is None or (error.filename is not None and Path(error.filename) != Path(written)):
            return None
        return Fuse2TaskError(explain(OSError(error.errno, error.strerror), path))
    if number := re.search(r"\(os error (\d+)\)", str(error)):
        return Fuse2TaskError(explain(OSError(int(number[1]), "cannot be written"), path))
    if re.search(r"PytorchStreamWriter|basic_ios|file write failed", str(error)):
        return Fuse2TaskError(f"{path}: cannot be written, the disk is probably full; free some space, {AGAIN}")
    return None
