"""Atomic files: never half of one."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import (
    atomic_path,
    file_digest,
    lines_hash,
    read_json,
    remove_leftovers,
    value_hash,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fails():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fails()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """After a loss of power the file is the old one or the new one, not an empty one."""
    events = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: events.append(os.fstat(number).st_size) or sync(number))
    monkeypatch.setattr(Path, "replace", lambda *paths: events.append("renamed") or replace(*paths))
    write_text(tmp_path / "a.txt", "12345")
    assert events == [5, "renamed"]


def test_only_leftovers_of_the_given_stems_are_removed(tmp_path):
    mine, theirs = tmp_path / "sub" / ".a.b.png.4711.tmp", tmp_path / "sub" / ".c.png.4711.tmp"
    mine.parent.mkdir()
    for path in (mine, theirs, tmp_path / "a.b.tmp"):
        path.write_text("x")
    remove_leftovers(tmp_path, {"a.b"})
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [theirs.name, "a.b.tmp"]


def test_json_is_written_with_sorted_keys_and_without_nan(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": None})
    assert list(json.loads((tmp_path / "a.json").read_text())) == ["a", "b"]
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "b.json", float("nan"))
    assert not (tmp_path / "b.json").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_unreadable_json_is_one_readable_error(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(RequestError, match=r"a\.json: not a readable truth file"):
        read_json(tmp_path / "a.json", "truth file")
    with pytest.raises(RequestError, match="no such truth file"):
        read_json(tmp_path / "none.json", "truth file")


def test_hashes_are_those_of_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert file_digest(tmp_path / "a") == abc
    assert lines_hash([]) == "e3b0c44298fc"
    assert lines_hash(["b", "a"]) == lines_hash(["a", "b"]) != lines_hash(["ab"])


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_value_hash_does_not_depend_on_the_order_of_keys(value):
    assert value_hash(value) == value_hash(dict(reversed(value.items())))


def test_long_lists_are_cut_and_counted():
    assert listing(map(str, range(25)), limit=3).splitlines()[-1] == "  ... and 22 more"
