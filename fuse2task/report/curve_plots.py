"""Curves of a metric over the levels of a condition as inline SVG."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fuse2task.report import drawing
from fuse2task.report.drawing import PAPER, SERIES, SOURCE, STYLE

SINGLE_STYLES = {"visible": ("-", "D"), "infrared": ((0, (4, 2)), "s")}
MARKERS = "o^vPX*"
DODGE = 0.08  # levels by which whiskers of neighbouring methods stand apart


@dataclass(frozen=True)
class Point:
    """A value at a level, with the ends of its interval (NaN without). sure: told apart from the best camera."""

    level: float
    value: float
    low: float
    high: float
    sure: bool


def curves(
    title: str,
    series: Mapping[str, Sequence[Point]],
    limits: tuple[float, float],
    colours: Mapping[str, int],
    name: str,
) -> str:
    """One line a method with intervals; points of fused images are filled where told apart from the best camera.

    limits: of the vertical axis. colours: fused method -> its number, the same in every chart of a page.
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        rows = math.ceil(len(series) / 3)
        figure = drawing.new_figure(drawing.WIDTH, 214 + 18 * rows)
        axes = figure.add_subplot()
        handles = []
        for number, (method, points) in enumerate(series.items()):
            shift = DODGE * (number - (len(series) - 1) / 2)
            line, marker, colour = _style(method, colours)
            at = [point.level + shift for point in points]
            axes.plot(at, [point.value for point in points], linestyle=line, color=colour, linewidth=1.4)
            for place, point in zip(at, points, strict=True):
                if not math.isnan(point.low + point.high):
                    axes.plot([place, place], [point.low, point.high], color=colour, linewidth=0.9, alpha=0.75)
                face = colour if point.sure or method in SINGLE_STYLES else PAPER
                axes.plot(
                    place, point.value, marker, color=face, markeredgecolor=colour, markersize=5, markeredgewidth=1.2
                )
            handles.append(mpl.lines.Line2D([], [], linestyle=line, marker=marker, color=colour, markersize=5,
                                            label=drawing.short(method, 14)))  # fmt: skip
        levels = sorted({point.level for points in series.values() for point in points})
        axes.set_xticks(levels, [f"{level:g}" for level in levels])
        axes.set_xlabel("level")
        axes.set_xlim(levels[0] - 0.4, levels[-1] + 0.4)
        axes.set_ylim(*limits)
        axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(4))
        axes.grid(axis="y")
        axes.tick_params(length=0)
        axes.spines[["left"]].set_visible(False)
        axes.set_title(drawing.short(title, 44))
        figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8.5, handlelength=2.2,
                      columnspacing=1.2, borderpad=0.1)  # fmt: skip
        told = (f"{method} {points[0].value:.3g} to {points[-1].value:.3g}" for method, points in series.items())
        label = f"{title}, level {levels[0]:g} to {levels[-1]:g}: " + ", ".join(told)
        return drawing.inline_svg(figure, name, label)


def span(points: Sequence[Point]) -> tuple[float, float]:
    """Lowest and highest of values and interval ends."""
    found = [value for point in points for value in (point.low, point.value, point.high) if not math.isnan(value)]
    return min(found), max(found)


def _style(method: str, colours: Mapping[str, int]) -> tuple[Any, str, str]:
    if method in SINGLE_STYLES:
        line, marker = SINGLE_STYLES[method]
        return line, marker, SOURCE
    number = colours[method]
    return "-", MARKERS[number % len(MARKERS)], SERIES[number % len(SERIES)]
