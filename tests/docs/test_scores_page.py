"""docs/scores.md holds the definitions as the catalogue has them."""

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_definitions_on_the_page_are_those_of_the_catalogue(capsys):
    runpy.run_path(str(ROOT / "tools" / "score_tables.py"))["definitions"]()
    generated = capsys.readouterr().out.strip()
    assert generated.count("\n### `") == 5  # six profiles
    page = (ROOT / "docs" / "scores.md").read_text("utf-8")
    assert page.partition("\n### `standard`")[1:] != ("", "")
    assert "### `standard`" + page.partition("\n### `standard`")[2].rstrip() == generated
