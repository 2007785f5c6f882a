"""The page as text: self-contained, everything from files escaped, everything there."""

import re
from html.parser import HTMLParser

import pytest

from fuse2task.report import write_report
from fuse2task.runtime.errors import RequestError

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


class Page(HTMLParser):
    """Tags with their attributes, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside = tag

    def handle_data(self, data):
        if self._inside not in ("script", "style"):
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def page(bench) -> Page:
    return Page(write_report(bench).read_text("utf-8"))


@pytest.mark.slow
def test_nothing_is_asked_from_outside(page):
    (policy,) = [item["content"] for item in page.all("meta") if item.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith(POLICY)
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), value


@pytest.mark.slow
def test_names_from_files_are_text(page):
    assert [item.get("type") for item in page.all("script")] == ["application/json", None]
    assert page.all("img") == []
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text
    assert "<img src=x onerror=alert(1)>" in page.text
    assert "<script>alert(2)</script>" in page.text  # from the recipe


def test_every_part_is_there(page):
    ids = {attributes["id"] for _, attributes in page.tags if attributes.get("id")}
    assert {
        "findings",
        "study-1",
        "study-2",
        "study-3",
        "viewer",
        "ranking",
        "scores",
        "costs",
        "limits",
        "provenance",
    } <= ids
    targets = {item["href"][1:] for item in page.all("a")}
    assert targets <= ids
    for words in (
        "sum_100% has the highest AP: .410", "Smallest detectable difference", "opened by 2 recipes", "seed 0",
        "bridge",
        "not ranked together", "Kendall τ", "Higher is better, except for Nabf.",
        "Nemenyi's critical difference at the 95 % level: 1.70 ranks",
        "on the Pareto front", "truth0", "checkpoint ffffffffffff",
    ):  # fmt: skip
        assert words in page.text, words


@pytest.mark.slow
def test_a_map_of_many_correlations_keeps_to_the_main_metrics(bench):
    head, *lines = (bench / "correlations.csv").read_text().splitlines()
    more = [line.replace(",AP,", f",AP{number},") for line in lines for number in range(6)]
    (bench / "correlations.csv").write_text("\n".join([head, *lines, *more, ""]))
    text = write_report(bench).read_text("utf-8")
    assert "Spearman correlation of 2 scores with AP; numbers in the table" in text
    assert all(f'data-order="AP{number}"' in text for number in range(6))


@pytest.mark.slow
def test_tables_are_labelled_and_ids_unique(page):
    tables = len(page.all("table"))
    assert (
        tables == len(page.all("caption")) == len([item for item in page.all("div") if item.get("class") == "scroller"])
    )
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    headings = [item for item in page.all("th") if item.get("scope") == "col"]
    assert all(item["aria-sort"] == "none" for item in headings)


def test_results_alone_make_a_page(bench):
    for path in bench.iterdir():
        if path.is_file() and path.name != "results.csv":
            path.unlink()
    page = Page(write_report(bench).read_text("utf-8"))
    assert "No paired differences have been computed for this table." in page.text
    assert "No test split was opened" in page.text
    assert page.all("select") == []


def test_image_scores_alone_make_a_page(bench):
    (bench / "openings.csv").unlink()
    lines = (bench / "results.csv").read_text().splitlines()
    (bench / "results.csv").write_text("\n".join([lines[0], *(line for line in lines if ",quality," in line), ""]))
    page = Page(write_report(bench).read_text("utf-8")).text
    assert "this folder holds image scores only" in page
    assert "test split" not in page  # no truth was used
    for kind in ("md", "tex"):
        assert "Means over images" in (bench / "report" / f"summary.{kind}").read_text()


def test_an_empty_table_is_refused(bench):
    (bench / "results.csv").write_text((bench / "results.csv").read_text().splitlines()[0] + "\n")
    with pytest.raises(RequestError, match="no rows yet"):
        write_report(bench)


def test_text_contrast():
    """WCAG 2: at least 4.5 to 1 for text on what it stands on, in both themes."""
    from importlib.resources import files

    style = (files("fuse2task.report") / "templates" / "report.css").read_text("utf-8")
    light, dark, system = (
        dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r"\{([^{}]*--page: #[^{}]*)\}", style)
    )
    assert dark == system

    def luminance(colour):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for theme in (light, dark):
        for text in ("ink", "quiet", "accent", "good", "bad", "best"):
            for ground in ("page", "paper"):
                high, low = sorted((luminance(theme[text]), luminance(theme[ground])), reverse=True)
                assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)
