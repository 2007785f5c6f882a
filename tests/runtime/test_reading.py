"""CSV files as others edit them: what is read, how damage is reported."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.reading import read_csv

# What UTF-8 can hold; a lone carriage return is a line break to whoever reads the text first.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=8)


@given(st.data())
def test_what_pythons_writer_writes_is_read_back(tmp_path_factory, data):
    names = st.text(st.characters(codec="utf-8", exclude_characters="\r\0\ufeff"), min_size=1, max_size=8)
    columns = tuple(data.draw(st.lists(names, min_size=2, max_size=4, unique=True)))
    rows = data.draw(st.lists(st.lists(TEXTS, min_size=len(columns), max_size=len(columns)), max_size=4))
    path = tmp_path_factory.getbasetemp() / "any.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle, lineterminator="\n").writerows([columns, *rows])
    assert read_csv(path) == (columns, [dict(zip(columns, row, strict=True)) for row in rows])


def test_empty_lines_and_a_byte_order_mark_are_passed_over(tmp_path):
    (tmp_path / "a.csv").write_text("\ufeffa,b\r\n\r\n1,2\r\n\r\n", newline="")
    assert read_csv(tmp_path / "a.csv") == (("a", "b"), [{"a": "1", "b": "2"}])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no columns, or one that is there twice"),
        ("\n1,2\n", "no columns"),
        ("a,a\n1,2\n", "there twice"),
        ('a,b\n"1\n2",3\n4\n', r"a.csv, line 4: does not have 2 fields"),
        ("a,b\n1,2,3\n", "line 2: does not have 2 fields"),
        ('a,b\n"1"2,3\n', "not a readable CSV log"),
        ('a,b\n"1,3\n', "not a readable CSV log"),
    ],
)
def test_damage_is_reported_in_one_line(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(RequestError, match=message) as caught:
        read_csv(tmp_path / "a.csv", "log")
    assert "\n" not in str(caught.value)
