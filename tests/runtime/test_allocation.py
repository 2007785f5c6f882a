"""Keeping freed memory: harmless to call, also twice and where glibc is not."""

import ctypes
import sys

from fuse2task.runtime.allocation import keep_freed_memory


def test_asks_glibc_to_keep_what_is_freed(monkeypatch):
    asked = []

    class Library:
        @staticmethod
        def mallopt(parameter: int, value: int) -> int:
            asked.append((parameter, value))
            return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Library)
    monkeypatch.setattr(sys, "platform", "linux")
    keep_freed_memory()
    assert asked == [(-3, 1 << 30), (-1, 1 << 30)]


def test_does_nothing_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", None)
    keep_freed_memory()


def test_a_library_without_mallopt_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    keep_freed_memory()
