"""Drawings are well-formed, follow the page's colours, and escape what they are given."""

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuse2task.report.charts import bars, correlation_map, forest, pareto_front, pareto_plot, rank_plot
from fuse2task.report.estimates import Difference, Estimate

HOSTILE = "</text><script>alert(1)</script>"
VALUES = {"visible": Estimate(0.2, 0.1, 0.3), HOSTILE: Estimate(0.4, deviation=0.02, seeds=3), "$x_1$": Estimate(0.3)}
DIFFERENCES = [
    Difference("visible", "average", -0.1, -0.15, -0.05, 0.01, 0.05),
    Difference(HOSTILE, "average", 0.01, math.nan, math.nan, 0.8, math.nan),
]


def drawings():
    points = {"visible": (1.0, 0.2), HOSTILE: (20.0, 0.4), "slow": (30.0, 0.3)}
    return {
        "bars": bars("AP of <person>", VALUES, 0.5, "a"),
        "forest": forest(DIFFERENCES, "AP", "b"),
        "pareto": pareto_plot(points, "AP", "c"),
        "correlations": correlation_map([HOSTILE, "EN"], ["AP"], {(HOSTILE, "AP"): (-0.5, 0.01)}, "d"),
        "ranks": rank_plot(["visible", HOSTILE], [1.2, 1.8], 0.5, "e"),
        "other bars": bars("AP", VALUES, 0.5, "f"),
    }


def test_drawings_are_safe_xml_with_ids_of_their_own():
    ids: list[str] = []
    for name, text in drawings().items():
        root = ElementTree.fromstring(text.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1))
        assert not [item for item in root.iter() if item.tag.endswith("script")], name
        assert root.get("aria-label"), name
        own = [item.get("id") for item in root.iter() if item.get("id")]
        known = set(own)
        for reference in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text):
            assert set(reference) - {""} <= known, name
        ids += own
        assert "var(--" in text
        assert not re.search(r"#0a000\d", text), name
        assert not re.search(r"DejaVu", text), name
        assert not re.search(r"""(?:src|href)=["']?https?:""", text), name
    assert len(ids) == len(set(ids))


def test_bars_say_what_they_show():
    text = drawings()["bars"]
    assert 'aria-label="AP of &lt;person&gt;: visible 0.200, ' in text
    assert "$x_1$" in text  # no mathematics in names


def test_an_undefined_correlation_stays_empty():
    text = drawings()["correlations"]
    assert "−0.50" in text
    assert "nan" not in text.lower()


@given(
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=2), st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1
    )
)
def test_the_front_is_what_none_beats(points):
    def beats(one, other):
        return one[0] <= other[0] and one[1] >= other[1] and one != other

    expected = {point for point in points.values() if not any(beats(other, point) for other in points.values())}
    front = pareto_front(points)
    assert {points[name] for name in front} == expected
    assert len(front) == len(expected)
    assert [points[name][0] for name in front] == sorted(points[name][0] for name in front)


@pytest.mark.parametrize("points", [{"a": (0.0, 0.5), "b": (1.0, 0.5)}, {"a": (2.0, 0.1), "b": (2.0, 0.1)}])
def test_equal_and_instant_points_can_be_drawn(points):
    assert "<svg" in pareto_plot(points, "AP", "x")
