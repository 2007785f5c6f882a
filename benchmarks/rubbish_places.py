"""Things that stand where a file should: nothing, folders, pipes, devices, links in a circle, endless files."""

import os
from pathlib import Path
from random import Random

PLACES = ("empty", "missing", "folder", "pipe", "loop", "dangling", "device", "sparse", "name")


def put(path: Path, data: bytes, rng: Random) -> Path:
    """Put one of them at `path`; returns what to read, which for a hostile name is another path."""
    kind = rng.choice(PLACES)
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "device":
        path.symlink_to(rng.choice(("/dev/zero", "/dev/full", "/dev/tty", "/proc/self/mem")))
    elif kind == "sparse":
        path.write_bytes(data[: rng.randrange(len(data))])
        os.truncate(path, rng.choice((10**6, 50 * 10**6, 10**10)))
    elif kind == "name":
        stem = rng.choice(("a b", "é", "new\nline", "\x1b[31m", "\udcff", "-x", "$(x)", "x" * 180, "<b>", "a'\"b"))
        path = path.with_name(f"{stem}{path.suffix}")
        path.write_bytes(data)
    return path
