"""docs/scores.md says what the profiles do."""

from pathlib import Path

import pytest

from fusion.quality.profiles import PROFILES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "scores.md").read_text("utf-8")


@pytest.mark.parametrize("name", PROFILES)
def test_every_definition_is_on_the_page(name):
    section = PAGE.split(f"### `{name}`\n")[1].split("\n### ")[0]
    for score in PROFILES[name].scores:
        row = next(line for line in section.splitlines() if line.startswith(f"| {score.name} |"))
        for text in (score.formula, score.range, score.aggregation, score.source):
            assert text.replace("|", "\\|") in row
