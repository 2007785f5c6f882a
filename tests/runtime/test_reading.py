"""CSV, YAML, JSON and array files as others edit them: what is read, how damage is reported."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuse2task.runtime import reading
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import read_json
from fuse2task.runtime.reading import harmless, read_arrays, read_csv, read_yaml

# What UTF-8 can hold; a lone carriage return is a line break to whoever reads the text first.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=8)


@given(st.data())
def test_what_pythons_writer_writes_is_read_back(tmp_path_factory, data):
    names = st.text(st.characters(codec="utf-8", exclude_characters="\r\0\ufeff"), min_size=1, max_size=8)
    columns = tuple(data.draw(st.lists(names, min_size=2, max_size=4, unique=True)))
    rows = data.draw(st.lists(st.lists(TEXTS, min_size=len(columns), max_size=len(columns)), max_size=4))
    path = tmp_path_factory.getbasetemp() / "any.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle, lineterminator="\n").writerows([columns, *(map(harmless, row) for row in rows)])
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


def test_an_archive_of_arrays_is_refused_by_its_size_before_it_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, zeroes=np.zeros(10**6))
    assert path.stat().st_size < 10**4
    assert read_arrays(path, "file of zeroes", "zeroes")["zeroes"].shape == (10**6,)
    monkeypatch.setattr(reading, "MAX_ARRAYS", 10**6)
    with pytest.raises(RequestError, match=r"bomb\.npz: 8000\d+ bytes unpacked; refused as a bomb"):
        read_arrays(path, "file of zeroes", "zeroes")


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive"])
def test_damaged_arrays_are_named(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=r"a\.npz: not a readable file of x"):
        read_arrays(path, "file of x", "x")


@pytest.mark.parametrize(
    "text", ["a: 1\nb: 2\na: 3\n", "x: {b: 1, b: 2}\n", "- {a: 1}\n- {'a': 1, a: 2}\n", '"a": 1\na: 2\n']
)
def test_a_key_that_is_there_twice_is_refused_in_yaml(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RequestError, match=r"recipe\.yaml: .*the key '[ab]' is there twice"):
        read_yaml(path, "recipe")


def test_merged_keys_of_yaml_may_be_overridden(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("base: &base {a: 1, b: 2}\nown:\n  <<: *base\n  a: 3\n")
    assert read_yaml(path, "recipe")["own"] == {"a": 3, "b": 2}


def test_keys_that_yaml_takes_for_truth_values_are_names(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("truth: { boxes: labels, on: infrared }\nno: yes\n")
    assert read_yaml(path, "recipe") == {"truth": {"boxes": "labels", "on": "infrared"}, "no": True}


def test_a_key_that_is_there_twice_is_refused_in_json(tmp_path):
    path = tmp_path / "gt.json"
    path.write_text('{"images": [], "annotations": [{"id": 1, "bbox": [], "id": 2}]}')
    with pytest.raises(RequestError, match=r"gt\.json: .*the key 'id' is there twice"):
        read_json(path, "truth")


@pytest.mark.parametrize("cell", ["=1+1", "@SUM(A1)", "+cmd", "-cmd", "'=1", "'", "\tx", "-1e5 V", "--1"])
def test_no_cell_begins_like_a_formula_and_all_are_read_back(tmp_path, cell):
    assert harmless(cell)[0] == "'"
    (tmp_path / "a.csv").write_text(f"a,b\n{harmless(cell)},x\n")
    assert read_csv(tmp_path / "a.csv")[1] == [{"a": cell, "b": "x"}]


@pytest.mark.parametrize("cell", ["-0.5", "+3", "-1e-5", "-inf", "1", "", "a=b", "person"])
def test_numbers_and_names_are_written_as_they_are(cell):
    assert harmless(cell) == cell
