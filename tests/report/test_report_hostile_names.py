"""Names of methods, data sets, judges, truths and files that are markup stay text in HTML, Markdown and LaTeX."""

import csv
import json
import re

import pytest

from fuse2task.report import write_report

NAMES = ("toy", "yolo", "sum_100%", "fusion", "p1")
HOSTILE = (
    "<script>alert(1)</script>", "'\"><img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "{{ 7*7 }}",
    r"\input{/etc/passwd}%$&_#^~",
)  # fmt: skip


@pytest.fixture(params=HOSTILE)
def page(request, bench):
    """The report of a bench folder in which markup is put behind every name that users choose."""
    for path in bench.glob("*.csv"):
        with path.open(newline="") as handle:
            rows = [[cell + request.param * (cell in NAMES) for cell in row] for row in csv.reader(handle)]
        with path.open("w", newline="") as handle:
            csv.writer(handle, lineterminator="\n").writerows(rows)
    for path in bench.glob("*.json"):
        text = path.read_text()
        for name in NAMES:
            text = text.replace(json.dumps(name), json.dumps(name + request.param))
        path.write_text(text)
    return write_report(bench)


@pytest.mark.slow
def test_nothing_that_is_named_becomes_markup(page):
    html = page.read_text("utf-8")
    tags = re.findall(r"<(script|img|iframe|svg)\b([^>]*)", html)
    assert [rest for kind, rest in tags if kind == "script"] in ([""], [' type="application/json" id="scenes"', ""])
    assert not [kind for kind, _ in tags if kind in ("img", "iframe")]
    assert "toy49" not in html.replace(" ", "")
    markdown = (page.parent / "summary.md").read_text("utf-8")
    assert not re.search(r"<(script|img)", markdown)
    assert not re.search(r"(?<!\\)\]\(javascript", markdown)
    tex = (page.parent / "summary.tex").read_text("utf-8")
    assert r"\input{" not in tex
    for text in (html, markdown, tex):
        assert "toy" in text
