"""Rows are ranked together only where all keys agree."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuse2task.report.contents import Contents, read_contents
from fuse2task.report.provenance import refusals, warnings
from fuse2task.report.study import families
from fuse2task.results.schema import COMPARISONS, KEYS, RESULTS
from fuse2task.runtime.errors import RequestError


def contents_of(rows, truths=None):
    from pathlib import Path

    empty = pd.DataFrame(columns=list(COMPARISONS))
    table = pd.DataFrame(rows, columns=list(RESULTS))
    return Contents(Path(), table, *[empty] * 6, truths or {}, [], [], [], {}, "", {})


def row(**keys):
    base = dict.fromkeys(RESULTS, "") | {
        "dataset": "toy",
        "task": "detection",
        "judge": "yolo",
        "metric": "AP",
        "level": 0,
    }
    return base | {"class": "all", "condition": "all", "value": 0.5, "method": "visible"} | keys


@pytest.mark.slow
@given(st.lists(st.tuples(*[st.sampled_from("ab")] * len(KEYS)), min_size=1, max_size=12, unique=True))
def test_groups_part_the_rows_by_all_keys(combinations):
    rows = [row(**dict(zip(KEYS, values, strict=True))) for values in combinations]
    groups = contents_of(rows).groups
    assert [tuple(group.keys.values()) for group in groups] == combinations
    for group in groups:
        assert len(group.results[list(KEYS)].drop_duplicates()) == 1
    assert sum(len(group.results) for group in groups) == len(rows)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("split_hash", "split (a, b)"),
        ("truth_hash", "truth (a, b)"),
        ("image_size", "image size (a, b)"),
        ("protocol", "protocol (a, b)"),
        ("judge", "judge (a, b)"),
        ("judge_hash", "hash of the judge (a, b)"),
        ("recipe_hash", "hash of the evaluation recipe (a, b)"),
        ("source_hash", "hash of the source images (a, b)"),
        ("resampled", "what intervals resample (a, b)"),
    ],
)
def test_a_refusal_names_the_key_that_differs(key, words):
    groups = contents_of([row(**{key: "a"}), row(**{key: "b"})]).groups
    (sentence,) = refusals(groups)
    assert sentence == f"toy detection: 2 tables, not ranked together because they differ in {words}."


def test_agreeing_rows_are_not_refused():
    groups = contents_of([row(), row(method="infrared"), row(dataset="other")]).groups
    assert len(groups) == 2
    assert refusals(groups) == []


def test_other_versions_are_a_warning_and_an_older_method_is_not_shown():
    rows = [
        row(method_hash="old", value=0.9), row(method_hash="new", value=0.4, versions_hash="v1"),
        row(method="infrared", versions_hash="v2"),
    ]  # fmt: skip
    contents = contents_of(rows)
    (group,) = contents.groups
    assert list(group.results["value"]) == [0.4, 0.5]
    found = " ".join(warnings([group], contents.results))
    assert "different package versions (v1, v2)" in found
    assert "visible in 2 versions (hashes old, new)" in found


def test_primary_truth_leads_and_another_recipe_stands_for_itself():
    rows = [row(truth_hash="t1"), row(truth_hash="t0"), row(truth_hash="t0", recipe_hash="r2"), row(task="quality")]
    truths = {"t0": {"name": "fusion", "primary": True}, "t1": {"name": "visible", "primary": False}}
    found = families(contents_of(rows, truths).groups)
    shape = [(first.truth, first.keys["recipe_hash"], [other.truth for other in others]) for first, others in found]
    assert shape == [("fusion", "", ["visible"]), ("fusion", "r2", [])]


def test_reading_refuses_what_is_no_bench_folder(tmp_path, bench):
    with pytest.raises(RequestError, match=r"no results\.csv; run"):
        read_contents(tmp_path)
    (bench / "comparisons.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RequestError, match="no column run, dataset"):
        read_contents(bench)
    (bench / "comparisons.csv").unlink()
    (bench / "truths.json").write_text("[]")
    with pytest.raises(RequestError, match=r"truths\.json: .*\(as a whole: .*valid dictionary\)"):
        read_contents(bench)
