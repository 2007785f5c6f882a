"""Charts of metrics, differences, ranks, correlations, costs and sweeps, as inline SVG in the page's colours."""

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from itertools import product
from typing import TYPE_CHECKING, Any

from fuse2task.report.estimates import Difference, Estimate
from fuse2task.results.schema import SINGLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Stand-ins that `inline_svg` replaces by the page's own colours, so that one drawing serves light and dark.
TEXT, QUIET, GRID, PAPER = "#0a0001", "#0a0002", "#0a0003", "#0a0004"
SOURCE, FUSED, BEST, DOUBT = "#0a0005", "#0a0006", "#0a0007", "#0a0008"
WIDTH = 340  # CSS pixels: fits a phone's screen, so that its text need not shrink
SERIES = ("#0a0011", "#0a0012", "#0a0013", "#0a0014", "#0a0015", "#0a0016")
PAGE_COLOURS = dict(zip((TEXT, QUIET, GRID, PAPER, SOURCE, FUSED, BEST, DOUBT, *SERIES), (
    "ink", "quiet", "line", "paper", "source", "fused", "best", "doubt",
    "series1", "series2", "series3", "series4", "series5", "series6",
), strict=True))  # fmt: skip
STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "fuse2task", "text.parse_math": False, "font.size": 9,
    "font.family": "DejaVu Sans", "text.color": TEXT, "axes.labelcolor": TEXT, "axes.edgecolor": GRID,
    "axes.titlesize": 9.5, "axes.titlelocation": "left", "axes.titleweight": "bold", "axes.linewidth": 0.8,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "grid.color": GRID,
    "grid.linewidth": 0.8, "xtick.color": GRID, "ytick.color": GRID, "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT, "xtick.labelsize": 8.5, "ytick.labelsize": 9, "legend.frameon": False,
    "hatch.linewidth": 0.8, "xtick.major.size": 0, "xtick.minor.size": 0, "ytick.major.size": 0, "ytick.minor.size": 0,
}  # fmt: skip
LINES: dict[str, tuple[Any, str]] = {
    "visible": ("-", "D"),
    "infrared": ((0, (4, 2)), "s"),
}  # line style and marker in sweeps
MARKERS = "o^vPX*"
DODGE = 0.08  # levels by which whiskers of neighbouring methods stand apart


@dataclass(frozen=True)
class Point:
    """A value at a level, ends of its interval (NaN without), and whether the best single camera differs there."""

    level: float
    value: float
    low: float
    high: float
    significant: bool


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
        text = text.replace(stand_in, f"var(--{colour})")
    width, height = (round(side * 96) for side in figure.get_size_inches())
    head = f'<svg role="img" aria-label="{escape(label)}" width="{width}" height="{height}" '
    view = re.search(r'viewBox="[^"]+"', text)
    assert view is not None  # Matplotlib always writes one
    return head + view[0] + ">" + text[text.index(">") + 1 :]


def short(text: str, limit: int = 22) -> str:
    """The text, cut to `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def bars(title: str, values: Mapping[str, Estimate], top: float, name: str) -> str:
    """Horizontal bars with intervals (or deviations over seeds), one for each method, from 0 to `top`.

    Single cameras are hatched and grey, the best bar is outlined and its name bold.
    """
    with chart(WIDTH, 46 + 22 * len(values)) as axes:
        best = max(values, key=lambda method: values[method].value)
        for place, (method, item) in enumerate(values.items()):
            look: dict[str, Any] = {"color": FUSED, "alpha": 0.5, "edgecolor": "none", "linewidth": 0}
            if method in SINGLE:
                look = {"color": PAPER, "edgecolor": SOURCE, "linewidth": 0.8, "hatch": "////"}
            axes.barh(place, item.value, 0.62, **look)
            if method == best:
                axes.barh(place, item.value, 0.62, color="none", edgecolor=BEST, linewidth=1.8)
            axes.plot(span(item), [place, place], color=TEXT, linewidth=1.1, solid_capstyle="butt")
        _rows(axes, values)
        for tick in axes.get_yticklabels():
            tick.set_fontweight("bold" if tick.get_text() == short(best) else "normal")
        axes.set_xlim(0, top)
        axes.locator_params(axis="x", nbins=4)
        axes.set_title(short(title, 44))
        label = f"{title}: " + ", ".join(f"{method} {item.value:.3f}" for method, item in values.items())
        return inline_svg(axes, name, label)


def forest(differences: Sequence[Difference], metric: str, name: str) -> str:
    """Paired differences from the baseline: filled where significant; the band is below the detectable size."""
    with chart(WIDTH * 1.2, 62 + 26 * len(differences)) as axes:
        axes.axvline(0, color=QUIET, linewidth=1)
        for place, item in enumerate(differences):
            if not math.isnan(item.detectable):
                axes.barh(place, 2 * item.detectable, 0.6, left=-item.detectable, color=DOUBT, linewidth=0)
            if not math.isnan(item.low + item.high):
                axes.plot([item.low, item.high], [place, place], color=TEXT, linewidth=1.3, solid_capstyle="butt")
            _mark(axes, item.a, item.value, place, filled=item.significant)
        _rows(axes, [item.a for item in differences], axis_line=False)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel(f"{metric} minus that of {short(differences[0].b)}")
        shown = ", ".join(f"{item.a} {item.value:+.3f}" for item in differences)
        return inline_svg(axes, name, f"Differences of {metric} to {differences[0].b}: {shown}")


def rank_plot(methods: Sequence[str], ranks: Sequence[float], critical: float, name: str) -> str:
    """Average ranks, each with half the critical difference to both sides: bars that do not overlap differ."""
    order = sorted(zip(methods, ranks, strict=True), key=lambda item: item[1])
    with chart(WIDTH * 1.2, 62 + 24 * len(order)) as axes:
        for place, (method, rank) in enumerate(order):
            ends = [rank - critical / 2, rank + critical / 2]
            axes.plot(ends, [place, place], color=SOURCE if method in SINGLE else FUSED, linewidth=3.5, alpha=0.55)
            _mark(axes, method, rank, place)
        axes.axvline(order[0][1] + critical / 2, color=QUIET, linewidth=1, linestyle=(0, (3, 3)))
        _rows(axes, [method for method, _ in order], axis_line=False)
        axes.set_xlabel("average rank (1 is best) ± half the critical difference")
        return inline_svg(axes, name, "Average ranks: " + ", ".join(f"{method} {rank:.2f}" for method, rank in order))


def correlation_map(
    scores: Sequence[str], metrics: Sequence[str], values: Mapping[tuple[str, str], tuple[float, float]], name: str
) -> str:
    """Spearman's correlation of each score (rows) with each task metric (columns), -1 to 1; bold where p < .05.

    A column's name may have parts after commas, which go to lines of their own.

    values: (score, metric) -> (correlation, p); NaN or missing cells stay empty.
    """
    import matplotlib as mpl

    names = ["\n".join(short(part, 18) for part in metric.split(", ")) for metric in metrics]
    lines = max(name.count("\n") for name in names)
    with chart(130 + 110 * len(metrics), 60 + 13 * lines + 22 * len(scores)) as axes:
        colours = mpl.colormaps["PuOr"]
        for (row, score), (column, metric) in product(enumerate(scores), enumerate(metrics)):
            value, p = values.get((score, metric), (math.nan, math.nan))
            if math.isnan(value):
                continue
            axes.add_patch(mpl.patches.Rectangle((column, row), 0.97, 0.94, color=colours(0.5 + value / 2), lw=0))
            weight, ink = "bold" if p < 0.05 else "normal", "#ffffff" if abs(value) > 0.55 else "#161616"
            axes.text(column + 0.49, row + 0.5, f"{value:+.2f}".replace("-", "−"), ha="center", va="center",
                      fontsize=8.5, weight=weight, color=ink)  # fmt: skip
        axes.set_xlim(0, len(metrics))
        axes.set_ylim(len(scores), 0)
        axes.set_yticks([row + 0.5 for row in range(len(scores))], [short(score) for score in scores])
        axes.set_xticks([column + 0.5 for column in range(len(metrics))], names)
        axes.xaxis.tick_top()
        axes.spines[:].set_visible(False)
        label = f"Spearman correlation of {len(scores)} scores with {', '.join(metrics)}; numbers in the table"
        return inline_svg(axes, name, label)


def pareto_plot(points: Mapping[str, tuple[float, float]], metric: str, name: str) -> str:
    """The metric over ms a pair, logarithmic; filled points are on the Pareto front: none is both faster and better."""
    front = pareto_front(points)
    with chart(WIDTH, 250) as axes:
        if min(ms for ms, _ in points.values()) > 0:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter("")
        axes.step([points[method][0] for method in front], [points[method][1] for method in front],
                  where="post", color=BEST, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)  # fmt: skip
        for method, (ms, value) in points.items():
            _mark(axes, method, ms, value, filled=method in front)
        values = [value for _, value in points.values()]
        room = max(max(values) - min(values), 0.02)
        axes.set_ylim(min(values) - 0.12 * room, max(values) + 0.16 * room)
        axes.margins(x=0.1)
        _point_labels(axes, points, 0.055 * room)
        axes.grid()
        axes.set_xlabel("ms a pair")
        axes.set_title(metric)
        return inline_svg(axes, name, f"{metric} over ms a pair; on the Pareto front: {', '.join(front)}")


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names of the points (ms, value) that no other beats in both, fastest first; of equal points the first stays."""
    front: list[str] = []
    for name in sorted(points, key=lambda name: (points[name][0], -points[name][1])):
        if not front or points[name][1] > points[front[-1]][1]:
            front.append(name)
    return front


def sweep_curves(
    title: str, series: Mapping[str, Sequence[Point]], limits: tuple[float, float], colours: Mapping[str, int],
    name: str,
) -> str:  # fmt: skip
    """One line a method with intervals over levels; points of fused images are filled where significant.

    limits: of the vertical axis. colours: fused method -> its number, the same in every chart of a page.
    """
    import matplotlib as mpl

    with chart(WIDTH, 214 + 18 * math.ceil(len(series) / 3)) as axes:
        handles = []
        for number, (method, points) in enumerate(series.items()):
            shift = DODGE * (number - (len(series) - 1) / 2)
            if method in LINES:
                (line, marker), colour = LINES[method], SOURCE
            else:
                at = colours[method]
                line, marker, colour = "-", MARKERS[at % len(MARKERS)], SERIES[at % len(SERIES)]
            places = [point.level + shift for point in points]
            axes.plot(places, [point.value for point in points], linestyle=line, color=colour, linewidth=1.4)
            for place, point in zip(places, points, strict=True):
                if not math.isnan(point.low + point.high):
                    axes.plot([place, place], [point.low, point.high], color=colour, linewidth=0.9, alpha=0.75)
                face = colour if point.significant or method in LINES else PAPER
                edge: dict[str, Any] = {"markeredgecolor": colour, "markersize": 5, "markeredgewidth": 1.2}
                axes.plot(place, point.value, marker, color=face, **edge)
            shown = {"linestyle": line, "marker": marker, "color": colour, "markersize": 5}
            handles.append(mpl.lines.Line2D([], [], label=short(method, 14), **shown))
        levels = sorted({point.level for points in series.values() for point in points})
        axes.set_xticks(levels, [f"{level:g}" for level in levels])
        axes.set_xlabel("level")
        axes.set_xlim(levels[0] - 0.4, levels[-1] + 0.4)
        axes.set_ylim(*limits)
        axes.locator_params(axis="y", nbins=4)
        axes.grid(axis="y")
        axes.spines[["left"]].set_visible(False)
        axes.set_title(short(title, 44))
        axes.figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8.5, handlelength=2.2,
                           columnspacing=1.2, borderpad=0.1)  # fmt: skip
        told = (f"{method} {points[0].value:.3g} to {points[-1].value:.3g}" for method, points in series.items())
        return inline_svg(axes, name, f"{title}, level {levels[0]:g} to {levels[-1]:g}: " + ", ".join(told))


def span(item: Estimate) -> tuple[float, float]:
    """Ends of the interval; one standard deviation to both sides without one."""
    spread = 0.0 if math.isnan(item.deviation) else item.deviation
    ends = (item.value - spread, item.value + spread)
    return ends if math.isnan(item.low + item.high) else (item.low, item.high)


def _mark(axes: "Axes", method: str, x: float, y: float, filled: bool = True) -> None:
    """A circle for a fused method, a diamond for a single camera."""
    shape, colour = ("D", SOURCE) if method in SINGLE else ("o", FUSED)
    face = colour if filled else PAPER
    axes.plot(x, y, shape, color=face, markeredgecolor=colour, markersize=7, markeredgewidth=1.6)


def _rows(axes: "Axes", methods: Any, axis_line: bool = True) -> None:
    """One named row for each method, the first on top, over vertical grid lines."""
    axes.set_yticks(range(len(methods)), [short(method) for method in methods])
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.grid(axis="x")
    axes.spines[["bottom"] if axis_line else ["left", "bottom"]].set_visible(False)


def _point_labels(axes: "Axes", points: Mapping[str, tuple[float, float]], step: float) -> None:
    """Names beside the points, towards the middle, pushed apart downwards where they would overlap."""
    previous, times = math.inf, [ms for ms, _ in points.values()]
    middle = math.sqrt(min(times) * max(times))
    for method, (ms, value) in sorted(points.items(), key=lambda item: -item[1][1]):
        previous = min(value, previous - step)
        right = ms <= middle or middle == 0
        box = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
        axes.annotate(short(method), (ms, previous), xytext=(8 if right else -8, 0), textcoords="offset points",
                      fontsize=8.5, va="center", ha="left" if right else "right", bbox=box)  # fmt: skip
