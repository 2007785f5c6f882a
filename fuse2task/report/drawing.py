"""Matplotlib figures as inline SVG that follows the page's colours and font."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Stand-ins that `inline_svg` replaces by the page's own colours, so that one drawing serves light and dark.
TEXT, QUIET, GRID, PAPER = "#0a0001", "#0a0002", "#0a0003", "#0a0004"
SOURCE, FUSED, BEST, DOUBT = "#0a0005", "#0a0006", "#0a0007", "#0a0008"
WIDTH = 340  # CSS pixels: fits a phone's screen, so that its text need not shrink
SERIES = ("#0a0011", "#0a0012", "#0a0013", "#0a0014", "#0a0015", "#0a0016")
PAGE_COLOURS = {
    TEXT: "var(--ink)", QUIET: "var(--quiet)", GRID: "var(--line)", PAPER: "var(--paper)",
    SOURCE: "var(--source)", FUSED: "var(--fused)", BEST: "var(--best)", DOUBT: "var(--doubt)",
    **{colour: f"var(--series{number})" for number, colour in enumerate(SERIES, 1)},
}  # fmt: skip
STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "fuse2task", "text.parse_math": False, "font.size": 9,
    "font.family": "DejaVu Sans", "text.color": TEXT, "axes.labelcolor": TEXT, "axes.edgecolor": GRID,
    "axes.titlesize": 9.5, "axes.titlelocation": "left", "axes.titleweight": "bold", "axes.linewidth": 0.8,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "grid.color": GRID,
    "grid.linewidth": 0.8, "xtick.color": GRID, "ytick.color": GRID, "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT, "xtick.labelsize": 8.5, "ytick.labelsize": 9, "legend.frameon": False,
    "hatch.linewidth": 0.8, **{f"{axis}tick.{kind}.size": 0 for axis in "xy" for kind in ("major", "minor")},
}  # fmt: skip


@contextmanager
def chart(width: float, height: float) -> Iterator["Axes"]:
    """Axes that fill a figure of `width` x `height` CSS pixels; draw, and call `inline_svg`, inside the context."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        yield Figure(figsize=(width / 96, height / 96), layout="constrained").add_subplot()


def inline_svg(axes: "Axes", name: str, label: str) -> str:
    """The figure of these axes as an `<svg>` element for the page.

    name: prefix of every id in this drawing, unique on the page. label: description for readers who do not see it.
    """
    figure: Any = axes.figure
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    for start, end in (('\\bid="', '"'), ('href="#', '"'), (r"url\(#", r"\)")):
        text = re.sub(f"({start})([^{end[-1]}]+{end})", rf"\g<1>{name}-\2", text)
    text = re.sub(r"""(style="[^"]*?)'DejaVu Sans'[^;"]*""", r"\1var(--sans)", text)
    for stand_in, colour in PAGE_COLOURS.items():
        text = text.replace(stand_in, colour)
    width, height = (round(side * 96) for side in figure.get_size_inches())
    head = f'<svg role="img" aria-label="{escape(label)}" width="{width}" height="{height}" '
    view = re.search(r'viewBox="[^"]+"', text)
    assert view is not None  # Matplotlib always writes one
    return head + view[0] + ">" + text[text.index(">") + 1 :]


def short(text: str, limit: int = 22) -> str:
    """The text, cut to `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
