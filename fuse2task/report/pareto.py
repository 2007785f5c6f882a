"""Use over cost, with the Pareto front, as inline SVG."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fuse2task.report import drawing
from fuse2task.report.drawing import BEST, FUSED, PAPER, SOURCE, STYLE
from fuse2task.report.estimates import SINGLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def pareto_plot(points: Mapping[str, tuple[float, float]], metric: str, name: str) -> str:
    """The metric over ms a pair, logarithmic; filled points are on the Pareto front: none is both faster and better."""
    import matplotlib as mpl

    front = pareto_front(points)
    with mpl.rc_context(STYLE):
        figure = drawing.new_figure(drawing.WIDTH, 250)
        axes = figure.add_subplot()
        if min(ms for ms, _ in points.values()) > 0:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
        axes.step([points[method][0] for method in front], [points[method][1] for method in front],
                  where="post", color=BEST, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)  # fmt: skip
        for method, (ms, value) in points.items():
            colour = SOURCE if method in SINGLE else FUSED
            axes.plot(ms, value, "D" if method in SINGLE else "o", color=colour if method in front else PAPER,
                      markeredgecolor=colour, markersize=7, markeredgewidth=1.6)  # fmt: skip
        values = [value for _, value in points.values()]
        room = max(max(values) - min(values), 0.02)
        axes.set_ylim(min(values) - 0.12 * room, max(values) + 0.16 * room)
        axes.margins(x=0.1)
        _labels(axes, points, 0.055 * room)
        axes.grid()
        axes.tick_params(which="both", length=0)
        axes.set_xlabel("ms a pair")
        axes.set_title(metric)
        label = f"{metric} over ms a pair; on the Pareto front: {', '.join(front)}"
        return drawing.inline_svg(figure, name, label)


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names of the points (ms, value) that no other beats in both, fastest first.

    Of equal points the first stays.
    """
    front: list[str] = []
    for name in sorted(points, key=lambda name: (points[name][0], -points[name][1])):
        if not front or points[name][1] > points[front[-1]][1]:
            front.append(name)
    return front


def _labels(axes: "Axes", points: Mapping[str, tuple[float, float]], step: float) -> None:
    """Names beside the points, towards the middle, pushed apart downwards where they would overlap."""
    previous = math.inf
    middle = math.sqrt(min(ms for ms, _ in points.values()) * max(ms for ms, _ in points.values()))
    for method, (ms, value) in sorted(points.items(), key=lambda item: -item[1][1]):
        previous = min(value, previous - step)
        right = ms <= middle or middle == 0
        axes.annotate(
            drawing.short(method), (ms, previous), xytext=(8 if right else -8, 0), textcoords="offset points",
            fontsize=8.5, va="center", ha="left" if right else "right",
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
        )  # fmt: skip
