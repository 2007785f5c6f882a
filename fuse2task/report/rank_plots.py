"""Rank correlations and average ranks as inline SVG."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fuse2task.report import drawing
from fuse2task.report.drawing import FUSED, QUIET, SOURCE, STYLE
from fuse2task.report.estimates import SINGLE

if TYPE_CHECKING:
    pass


def correlation_map(
    scores: Sequence[str], metrics: Sequence[str], values: Mapping[tuple[str, str], tuple[float, float]], name: str
) -> str:
    """Spearman's correlation of each score (rows) with each task metric (columns), -1 to 1; bold where p < .05.

    A column's name may have parts after commas, which go to lines of their own.

    values: (score, metric) -> (correlation, p); NaN or missing cells stay empty.
    """
    import matplotlib as mpl

    names = ["\n".join(drawing.short(part, 18) for part in metric.split(", ")) for metric in metrics]
    lines = max(name.count("\n") for name in names)
    with mpl.rc_context(STYLE):
        figure = drawing.new_figure(130 + 110 * len(metrics), 60 + 13 * lines + 22 * len(scores))
        axes = figure.add_subplot()
        colours = mpl.colormaps["PuOr"]
        for row, score in enumerate(scores):
            for column, metric in enumerate(metrics):
                value, p = values.get((score, metric), (math.nan, math.nan))
                if math.isnan(value):
                    continue
                axes.add_patch(mpl.patches.Rectangle((column, row), 0.97, 0.94, color=colours(0.5 + value / 2), lw=0))
                axes.text(column + 0.49, row + 0.5, f"{value:+.2f}".replace("-", "−"), ha="center", va="center",
                          fontsize=8.5, weight="bold" if p < 0.05 else "normal",
                          color="#ffffff" if abs(value) > 0.55 else "#161616")  # fmt: skip
        axes.set_xlim(0, len(metrics))
        axes.set_ylim(len(scores), 0)
        axes.set_yticks([row + 0.5 for row in range(len(scores))], [drawing.short(score) for score in scores])
        axes.set_xticks([column + 0.5 for column in range(len(metrics))], names)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        label = f"Spearman correlation of {len(scores)} scores with {', '.join(metrics)}; numbers in the table"
        return drawing.inline_svg(figure, name, label)


def rank_plot(methods: Sequence[str], ranks: Sequence[float], critical: float, name: str) -> str:
    """Average ranks, each with half the critical difference to both sides: bars that do not overlap are told apart."""
    import matplotlib as mpl

    order = sorted(zip(methods, ranks, strict=True), key=lambda item: item[1])
    with mpl.rc_context(STYLE):
        figure = drawing.new_figure(drawing.WIDTH * 1.2, 62 + 24 * len(order))
        axes = figure.add_subplot()
        for place, (method, rank) in enumerate(order):
            colour = SOURCE if method in SINGLE else FUSED
            axes.plot(
                [rank - critical / 2, rank + critical / 2], [place, place], color=colour, linewidth=3.5, alpha=0.55
            )
            axes.plot(rank, place, "D" if method in SINGLE else "o", color=colour, markersize=7)
        axes.axvline(order[0][1] + critical / 2, color=QUIET, linewidth=1, linestyle=(0, (3, 3)))
        axes.set_yticks(range(len(order)), [drawing.short(method) for method, _ in order])
        axes.set_ylim(len(order) - 0.5, -0.5)
        axes.grid(axis="x")
        axes.tick_params(length=0)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_xlabel("average rank (1 is best) ± half the critical difference")
        label = "Average ranks: " + ", ".join(f"{method} {rank:.2f}" for method, rank in order)
        return drawing.inline_svg(figure, name, label)
