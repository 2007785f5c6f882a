"""Memory allocation for work on many temporary images."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_KEPT = 1 << 30


def keep_freed_memory() -> None:
    """Let glibc keep what this process frees instead of returning it to the system; no effect elsewhere.

    By default every temporary of a few megabytes is mapped anew, and filling its pages costs more than the
    arithmetic on them (2.5 times as much for a local similarity in float64 on images of 640x480).
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _KEPT)
        mallopt(_TRIM_THRESHOLD, _KEPT)
