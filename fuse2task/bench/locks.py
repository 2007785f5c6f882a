"""Locks between processes that share a bench folder, by name."""

from pathlib import Path

from fuse2task.runtime import locks
from fuse2task.runtime.hashing import lines_hash


class Lock(locks.Lock):
    """The exclusive lock named `name` of a bench folder, in `folder`/.locks; its file stays."""

    def __init__(self, folder: Path, name: str):
        # A job's name may hold more than a file's may.
        super().__init__(Path(folder) / ".locks" / f"{lines_hash([name])}.lock", guards=folder)
