"""File locks between processes, on one host or several; the system releases them when a process dies.

Not `filelock`: it names no holder and does not see that the locked folder was removed or moved.
"""

import contextlib
import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.progress import say

PATIENCE = 3.0  # seconds: a process that was just told to stop is waited for
POLL = 0.1
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)

_held: dict[int, "Lock"] = {}  # by descriptor


class Lock:
    """An exclusive lock on the file `path`, which is made where it is missing (flock; also NFS version 4). guards: the
    folder that is written under the lock, by default the file's (see `check_held`)."""

    def __init__(self, path: Path, guards: Path | None = None):
        self.path = Path(path)
        self.guards = Path(os.path.abspath(self.path.parent if guards is None else guards))
        self._descriptor: int | None = None

    def acquire(self, wait: bool = True) -> bool:
        """Take the lock; without `wait`, return False where another process holds it. A long wait is said once.

        Raises:
            RequestError: a link, pipe, device or folder lies there; links are never followed.
        """
        patience = time.monotonic() + PATIENCE
        is_patient = False  # a process that was stopped holds its locks on: said before the wait without end
        while True:
            make_folder(self.path.parent)
            descriptor = self._open()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if is_patient else fcntl.LOCK_NB))
            except BaseException as error:
                if not isinstance(error, OSError) or error.errno not in _NO_LOCKS:
                    os.close(descriptor)
                    if not isinstance(error, BlockingIOError):
                        raise
                    if not wait:
                        return False
                    time.sleep(POLL / 10)
                    if time.monotonic() > patience and not is_patient:
                        is_patient = True
                        say(f"{self.guards}: waits for {self.holder}, which writes there")
                    continue
                say(f"{self.guards}: this file system has no locks; let no second process write there")
            if self._is_at_path(descriptor):
                break
            os.close(descriptor)  # its last holder has removed the file in the meantime
        with contextlib.suppress(OSError):  # a full disk: locked all the same
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()}".encode(), 0)
        self._descriptor = descriptor
        _held[descriptor] = self
        return True

    def release(self, remove: bool = False) -> None:
        """Release the lock; `remove` its file too."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        del _held[descriptor]
        if remove:
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(descriptor)

    @property
    def holder(self) -> str:
        """Who holds the lock, or held it last: `pid N on HOST`."""
        try:
            return self.path.read_text("utf-8") or "unknown"
        except OSError:
            return "unknown"

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _open(self) -> int:
        # A link in a folder of somebody else would have another file emptied, a pipe would block.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            descriptor = os.open(self.path, flags, 0o666)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.EISDIR):
                raise RequestError(f"{self.path}: a lock file must be a regular file; remove it") from None
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise RequestError(f"{self.path}: a lock file must be a regular file; remove it")
        return descriptor

    def _is_at_path(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.lstat(self.path))
        except (FileNotFoundError, NotADirectoryError):
            return False


@contextlib.contextmanager
def sole_writer(output: Path, file: Path) -> Iterator[None]:
    """Be the only process that writes `output`, a file or a folder, in the block; Fuse2TaskError: another one does.
    file: the lock's."""
    lock = Lock(file, Path(output) if file.is_relative_to(output) else None)
    patience = time.monotonic() + PATIENCE
    while not lock.acquire(wait=False):
        if time.monotonic() > patience:
            fix = "wait for it, or choose another output"
            raise Fuse2TaskError(f"{output}: another fuse2task is writing there ({lock.holder}); {fix}")
        time.sleep(POLL)
    try:
        yield
    finally:
        lock.release(remove=True)


def check_held(path: Path) -> None:
    """Fuse2TaskError where `path`, about to be written, is in a folder that is locked here and was removed or moved."""
    where = os.path.abspath(path)
    for descriptor, lock in list(_held.items()):
        if where.startswith(f"{lock.guards}{os.sep}") and not lock._is_at_path(descriptor):
            raise removed(lock.guards)


def make_folder(folder: Path) -> None:
    """Make `folder` and what is missing above it; Fuse2TaskError where that is a folder that is locked here."""
    folder = Path(os.path.abspath(folder))
    guards = [lock.guards for lock in list(_held.values()) if folder.is_relative_to(lock.guards)]
    if not guards:
        folder.mkdir(parents=True, exist_ok=True)
        return
    guard = place = max(guards, key=lambda path: len(path.parts))
    try:
        for part in folder.relative_to(guard).parts:
            place /= part
            place.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise removed(guard) from None


def removed(folder: Path) -> Fuse2TaskError:
    """The error for an output folder that is not there any more."""
    what = "was removed or moved while this command was writing it; run the same command to start again"
    return Fuse2TaskError(f"{folder}: {what}")


def _forget() -> None:
    # A fork shares its parent's locks; one that outlived the parent would hold them on.
    for descriptor, lock in _held.items():
        lock._descriptor = None
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget)
