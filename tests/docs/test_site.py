"""The site: built without a warning, whole, and asking nobody for anything; the README beside it."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))


class Addresses(HTMLParser):
    """Addresses that a browser fetches when it opens a page."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag in ("script", "img", "iframe", "source") or (tag == "link" and given.get("rel") != "canonical"):
            self.found += [given[key] for key in ("src", "href") if given.get(key)]


@pytest.fixture
def site(tmp_path):
    """A copy of what the site is made from, and `build()`: the exit code of a strict build of it."""
    pytest.importorskip("zensical", reason="the extra [docs] is not installed")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)

    def build() -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("zensical")
        return subprocess.run(
            [program, "build", "--clean", "--strict"], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    build.folder = tmp_path
    return build


@pytest.mark.slow
def test_the_site_builds_strictly_and_asks_nobody(site):
    done = site()
    assert done.returncode == 0, done.stdout + done.stderr
    built = site.folder / "build" / "site"
    for page in PAGES:
        assert (built / page.relative_to(ROOT / "docs")).with_suffix(".html").is_file()
    addresses = Addresses()
    for page in built.rglob("*.html"):
        addresses.feed(page.read_text("utf-8"))
    assert addresses.found
    foreign = [address for address in addresses.found if re.match(r"(https?:)?//", address)]
    assert foreign == []


def test_a_link_that_leads_nowhere_stops_the_build(site):
    (site.folder / "docs" / "index.md").write_text("[lost](nowhere.md)\n")
    assert site().returncode != 0


def test_every_page_is_in_the_menu_once():
    def leaves(item):
        parts = item.values() if isinstance(item, dict) else item
        return [item] if isinstance(item, str) else [leaf for part in parts for leaf in leaves(part)]

    menu = leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    assert sorted(menu) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in PAGES)


def test_links_lead_somewhere():
    for path in (ROOT / "README.md", *PAGES):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_pictures_are_small_and_used():
    texts = "".join(path.read_text("utf-8") for path in (ROOT / "README.md", *PAGES))
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture.stat().st_size < 150_000, picture.name
        assert f"images/{picture.name}" in texts, picture.name


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 200
