"""Locks between processes that share a bench folder: released by the system when a process dies."""

import fcntl
from pathlib import Path
from types import TracebackType
from typing import IO

from fuse2task.runtime.hashing import lines_hash


class Lock:
    """An exclusive lock named `name` in `folder`/.locks, over all processes (flock; also NFS version 4)."""

    def __init__(self, folder: Path, name: str):
        # A job's name may hold more than a file's may.
        self.path = Path(folder) / ".locks" / f"{lines_hash([name])}.lock"
        self._handle: IO[str] | None = None

    def acquire(self, wait: bool = True) -> bool:
        """Take the lock; without `wait`, return False where another process holds it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = self.path.open("a")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            handle.close()
            return False
        self._handle = handle
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def __enter__(self) -> "Lock":
        self.acquire()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.release()
