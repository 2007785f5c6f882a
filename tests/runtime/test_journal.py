"""Journals: rows come back in order, and a torn line costs no other row."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from fuse2task.runtime.files import JournalWriter, journal_rows


def test_rows_come_back_in_order_from_several_runs(tmp_path):
    path = tmp_path / "below" / "journal.jsonl"
    assert journal_rows(path) == []
    for number in range(2):
        with JournalWriter(path) as journal:
            journal.append({"id": f"a{number}"})
            assert journal_rows(path)[-1] == {"id": f"a{number}"}  # already there for a run after a kill
    assert [row["id"] for row in journal_rows(path)] == ["a0", "a1"]


def test_a_torn_line_is_left_out_and_spares_the_next_row(tmp_path):
    path = tmp_path / "journal.jsonl"
    with JournalWriter(path) as journal:
        journal.append({"id": "whole"})
    path.write_text(path.read_text() + '{"id": "to')
    with JournalWriter(path) as journal:
        journal.append({"id": "next"})
    assert [row["id"] for row in journal_rows(path)] == ["whole", "next"]


@given(st.integers(0, 10**6), st.integers(0, 7))
def test_a_flipped_bit_costs_its_row_and_changes_none(tmp_path_factory, place, bit):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    rows = [{"id": "é", "value": 0.125 * number, "nested": {"a": None}} for number in range(3)]
    with JournalWriter(path) as journal:
        for row in rows:
            journal.append(row)
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    found = journal_rows(path)
    assert len(found) >= 1
    assert all(row in rows for row in found)


def test_threads_do_not_mix_their_rows(tmp_path):
    with JournalWriter(tmp_path / "journal.jsonl") as journal, ThreadPoolExecutor(8) as pool:
        list(pool.map(journal.append, ({"id": number, "text": "x" * 2000} for number in range(200))))
    assert sorted(row["id"] for row in journal_rows(tmp_path / "journal.jsonl")) == list(range(200))
