"""A bench folder with a damaged file: reading it ends with one readable line that names the file."""

import csv
import io
import json

import pytest

from fuse2task.report.contents import read_contents
from fuse2task.runtime.errors import RequestError

PUBLISHED = {
    "label": "paper", "dataset": "toy", "judge": "yolo", "metric": "AP", "class": "all", "method": "average",
    "value": 0.3, "unit": "fraction", "decimals": 2, "source": "a paper", "caveat": "other data", "ours": 0.4,
    "ci_low": None, "ci_high": None, "deviation": None, "seeds": 1,
}  # fmt: skip
WRONG = (None, "x", {}, [7], float("nan"))
FREE = ("truth_hash", "class", "dataset", "kind", "classes")  # told where they are there, or not at all


def refused(bench, path, data: bytes) -> None:
    before = path.read_bytes()
    path.write_bytes(data)
    with pytest.raises(RequestError) as caught:
        read_contents(bench)
    assert path.name in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    path.write_bytes(before)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["truths", "ranking", "extremes", "published"])
def test_wrong_entries(bench, name):
    (bench / "published.json").write_text(json.dumps([PUBLISHED]))
    path = bench / f"{name}.json"
    value = json.loads(path.read_text())
    place = next(iter(value)) if isinstance(value, dict) else 0
    for wrong in WRONG:
        value_of = dict(value) if isinstance(value, dict) else list(value)
        value_of[place] = wrong
        refused(bench, path, json.dumps(value_of).encode())
    entry = value[place]
    for key in (key for key in entry if key not in FREE):
        for wrong in WRONG:
            may_lack = entry[key] is None or key in ("value", "ours")
            if (wrong is None and may_lack) or (wrong == "x" and isinstance(entry[key], str)):
                continue
            value[place] = entry | {key: wrong}
            refused(bench, path, json.dumps(value).encode())
        value[place] = {other: entry[other] for other in entry if other != key}
        refused(bench, path, json.dumps(value).encode())


@pytest.mark.parametrize("data", [b"", b"\x00\xff\xfe", b"[" * 100_000, b'{"definitions": 7}'])
def test_rubbish_in_json_files(bench, data):
    names = ("truths.json", "ranking.json", "extremes.json", "scores/toy/standard.json")
    for name in names:
        refused(bench, bench / name, data)


@pytest.mark.parametrize(
    "name", ["results", "comparisons", "costs", "correlations", "openings", "conditions", "robustness"]
)
def test_damaged_tables(bench, name):
    path = bench / f"{name}.csv"
    lines = path.read_text().splitlines()
    numbers = ("value", "difference", "ms", "spearman", "evaluations", "level", "area")
    rows = list(csv.DictReader(lines))
    column = next(number for number in numbers if number in rows[0])
    for wrong in ("x", "inf", "1e999"):
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0].keys())
        writer.writeheader()
        writer.writerows([rows[0] | {column: wrong}, *rows[1:]])
        refused(bench, path, text.getvalue().encode())
    refused(bench, path, "\n".join([*lines, "a,b"]).encode())
    refused(bench, path, b"")
    refused(bench, path, b"\x00\xff\xfe\x80" * 9)


def test_curves_and_areas_belong_together(bench):
    points, areas = bench / "conditions.csv", bench / "robustness.csv"
    refused(bench, points, points.read_bytes().split(b"\n")[0])
    refused(bench, points, points.read_bytes().replace(b",haze,", b",rain,"))
    for change in ((b",detection,", b",detect,"), (b",0 1 2,", b",0 to 2,"), (b",AP,", b",AP75,")):
        refused(bench, areas, areas.read_bytes().replace(*change))


def test_a_task_that_is_none(bench):
    path = bench / "results.csv"
    refused(bench, path, path.read_bytes().replace(b",segmentation,", b",depth,"))
